"""A server that existing clients of rerankers already know."""
