"""Explanations: which parts of a document make its score, and whether that can be believed."""
