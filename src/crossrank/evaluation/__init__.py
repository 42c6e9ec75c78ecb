"""Measuring rankings: judgement files, runs and measures."""

from crossrank.evaluation.reranking import evaluate_reranker

__all__ = ["evaluate_reranker"]
