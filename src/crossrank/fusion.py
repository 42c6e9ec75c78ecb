"""Fusing runs: several rankings of the same queries become one.

A run is ``run[query][document]`` = score; ids may be anything that can be a key. The fused run has
every query and document of any of them, best first; ties are in the order of the runs.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from crossrank.errors import InputError

Query = TypeVar("Query", bound=Hashable)
Document = TypeVar("Document", bound=Hashable)

Normalization = Literal["min-max", "z-score"]
Values = NDArray[np.float64]


def reciprocal_rank_fusion(
    runs: Sequence[Mapping[Query, Mapping[Document, float]]], *, k: float = 60
) -> dict[Query, dict[Document, float]]:
    """Add up ``1 / (k + rank)``, ranks from 1 (Cormack, Clarke and Büttcher, 2009).

    Only the order of each ranking counts, so scores of any two scales can be fused. In a run,
    equal scores are ranked in the order of its dict.

    Args:
        runs: At least one run.
        k: How little the first ranks differ; larger is flatter.

    Raises:
        InputError: There is no run, a score is not finite, or ``k`` is negative.

    Example:
        >>> bm25 = {"q": {"a": 9.1, "b": 7.5}}
        >>> dense = {"q": {"b": 0.8, "c": 0.7, "a": 0.1}}
        >>> fused = reciprocal_rank_fusion([bm25, dense])
        >>> {document: round(score, 4) for document, score in fused["q"].items()}
        {'b': 0.0325, 'a': 0.0323, 'c': 0.0161}
    """
    if not k >= 0:
        raise InputError(f"k must be at least 0, received {k!r}.")

    def contribution(scores: Values) -> Values:
        ranks = np.empty(len(scores))
        ranks[np.argsort(-scores, kind="stable")] = np.arange(1, len(scores) + 1)
        return 1 / (k + ranks)

    return _fuse(runs, [1.0] * len(runs), contribution, lambda found: 0.0)


def weighted_fusion(
    runs: Sequence[Mapping[Query, Mapping[Document, float]]],
    weights: Sequence[float],
    *,
    normalization: Normalization = "min-max",
) -> dict[Query, dict[Document, float]]:
    """Add up normalised scores, each run with its weight.

    Scores are normalised query by query. ``"min-max"`` maps them to 0 ... 1; scores that are all
    equal, e.g. a single one, become 1, and a document that a run did not find gets 0.
    ``"z-score"`` makes their mean 0 and their standard deviation 1 (all 0 where they are equal); a
    document that a run did not find gets the lowest of them.

    Args:
        runs: At least one run.
        weights: One a run.
        normalization: ``"min-max"`` or ``"z-score"``.

    Raises:
        InputError: There is no run, a weight too many or too few, a number is not finite, or the
            normalisation is unknown.

    Example:
        >>> bm25 = {"q": {"a": 10.0, "b": 8.0, "c": 6.0}}
        >>> dense = {"q": {"b": 0.8, "a": 0.4}}
        >>> weighted_fusion([bm25, dense], [0.5, 0.5])
        {'q': {'b': 0.75, 'a': 0.5, 'c': 0.0}}
    """
    if len(weights) != len(runs) or not np.isfinite(list(weights)).all():
        raise InputError(
            f"One finite weight a run is required, received {list(weights)!r} for {len(runs)} runs."
        )
    if normalization == "min-max":
        return _fuse(runs, weights, _min_max, lambda found: 0.0)
    if normalization == "z-score":
        return _fuse(runs, weights, _z_score, lambda found: float(found.min()))
    raise InputError(f"normalization must be 'min-max' or 'z-score', received {normalization!r}.")


def _min_max(scores: Values) -> Values:
    low, high = scores.min(), scores.max()
    return (scores - low) / (high - low) if high > low else np.ones_like(scores)


def _z_score(scores: Values) -> Values:
    scores = _min_max(scores)  # so that no difference is too small to square
    deviation = scores.std()
    return (scores - scores.mean()) / deviation if deviation > 0 else np.zeros_like(scores)


def _fuse(
    runs: Sequence[Mapping[Query, Mapping[Document, float]]],
    weights: Sequence[float],
    contribution: Callable[[Values], Values],
    absent: Callable[[Values], float],
) -> dict[Query, dict[Document, float]]:
    """Add up what each run contributes; ``absent`` is for documents it did not find."""
    if not runs:
        raise InputError("At least one run is required, received none.")
    fused: dict[Query, dict[Document, float]] = {}
    for query in dict.fromkeys(query for run in runs for query in run):
        rankings = [run.get(query, {}) for run in runs]
        total = dict.fromkeys((document for ranking in rankings for document in ranking), 0.0)
        for ranking, weight in zip(rankings, weights, strict=True):
            if not ranking:
                continue
            values = contribution(_checked(ranking, query))
            found = dict(zip(ranking, values.tolist(), strict=True))
            missing = absent(values)
            for document in total:
                total[document] += weight * found.get(document, missing)
        fused[query] = dict(sorted(total.items(), key=lambda item: -item[1]))
    return fused


def _checked(ranking: Mapping[Document, float], query: Hashable) -> Values:
    scores = np.fromiter(ranking.values(), dtype=np.float64, count=len(ranking))
    if not np.isfinite(scores).all():
        raise InputError(f"Scores must be finite numbers, and query {query!r} has another.")
    return scores
