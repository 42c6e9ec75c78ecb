"""Words and vectors together."""

from collections.abc import Sequence

import numpy as np

from crossrank.errors import InputError
from crossrank.fusion import reciprocal_rank_fusion, weighted_fusion
from crossrank.retrieval.base import Hits
from crossrank.retrieval.bm25 import BM25
from crossrank.retrieval.dense import Dense
from crossrank.types import Floats, Pair


class Hybrid:
    """Documents that BM25 or a bi-encoder finds, in the order of both together.

    Scores are the bi-encoder's: they can be compared from query to query, fused ones cannot. So
    the best document need not have the highest score.

    Args:
        bm25: Ranks by words.
        dense: Ranks the same documents by vectors.
        weight: Share of the vectors in a sum of scores, each normalised to 0 ... 1 within a query;
            BM25 has the rest. By default ranks are fused instead, which no scale can upset.

    Raises:
        InputError: The weight is not between 0 and 1.
    """

    def __init__(self, bm25: BM25, dense: Dense, *, weight: float | None = None) -> None:
        if weight is not None and not 0 <= weight <= 1:
            raise InputError(f"weight must be between 0 and 1, received {weight!r}.")
        self._bm25 = bm25
        self._dense = dense
        self._weight = weight

    def search_many(self, queries: Sequence[str], k: int) -> list[Hits]:
        """Find documents for each query: the best ``k`` of what both find at that depth."""
        vectors = self._dense.encoder.encode(queries, role="query")
        runs = [
            {number: dict(hits) for number, hits in enumerate(found) if hits}
            for found in (
                self._bm25.search_many(queries, k),
                self._dense.search_vectors(vectors, k),
            )
        ]
        if self._weight is None:
            fused = reciprocal_rank_fusion(runs)
        else:
            fused = weighted_fusion(runs, [1 - self._weight, self._weight])
        found: list[Hits] = []
        for number, vector in enumerate(vectors):
            positions = list(fused.get(number, {}))[:k]
            # Those that only BM25 found have no score of vectors yet.
            scores = self._dense.vectors[positions].astype(np.float32) @ vector
            found.append(list(zip(positions, scores.tolist(), strict=True)))
        return found

    def score(self, pairs: Sequence[Pair]) -> Floats:
        """Score pairs of a query and any text by the bi-encoder; ``[pairs]``."""
        return self._dense.score(pairs)
