"""The best documents of a run."""

import heapq
from collections.abc import Mapping
from itertools import islice

import numpy as np

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
    read = as_trec_eval_reads(scores)
    return heapq.nlargest(count, read, key=lambda document: (read[document], document))


def as_trec_eval_reads(scores: Mapping[str, float]) -> dict[str, float]:
    """Round scores to single precision, in which trec_eval compares them.

    Example:
        >>> as_trec_eval_reads({"a": 20.0000003, "b": 20.0000001})
        {'a': 20.0, 'b': 20.0}
    """
    with np.errstate(over="ignore"):  # what is too large becomes infinite there, too
        rounded = np.array(list(scores.values()), dtype=np.float64).astype(np.float32)
    return dict(zip(scores, rounded.tolist(), strict=True))
