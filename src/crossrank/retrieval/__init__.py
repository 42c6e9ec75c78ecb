"""First-stage retrieval: finding the documents that are worth reranking."""
