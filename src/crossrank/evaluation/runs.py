"""The best documents of a run."""

import heapq
from collections.abc import Mapping
from itertools import islice

from crossrank.types import Run


def best_candidates(run: Run, depth: int | None = None) -> Run:
    """Take the best documents of each query, best first; equal scores in the order of the dict.

    Example:
        >>> best_candidates({"q": {"a": 1.0, "b": 2.0, "c": 2.0}}, 2)
        {'q': {'b': 2.0, 'c': 2.0}}
    """
    return {
        query: dict(islice(sorted(scores.items(), key=lambda item: -item[1]), depth))
        for query, scores in run.items()
    }


def top_documents(scores: Mapping[str, float], count: int) -> list[str]:
    """Name the documents that measures look at first; of equal scores the later id comes first, as
    trec_eval has it.

    Example:
        >>> top_documents({"a": 1.0, "b": 2.0, "c": 2.0}, 2)
        ['c', 'b']
    """
    return heapq.nlargest(count, scores, key=lambda document: (scores[document], document))
