"""Words and vectors together."""

from collections.abc import Sequence

import numpy as np

from crossrank.fusion import reciprocal_rank_fusion
from crossrank.retrieval.base import Hits
from crossrank.retrieval.bm25 import BM25
from crossrank.retrieval.dense import Dense
from crossrank.types import Floats, Pair


class Hybrid:
    """Documents that BM25 or a bi-encoder finds, in the order of reciprocal rank fusion.

    Scores are the bi-encoder's: they can be compared from query to query, fused ones cannot. So
    the best document need not have the highest score.

    Args:
        bm25: Ranks by words.
        dense: Ranks the same documents by vectors.
    """

    def __init__(self, bm25: BM25, dense: Dense) -> None:
        self._bm25 = bm25
        self._dense = dense

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
        fused = reciprocal_rank_fusion(runs)
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
