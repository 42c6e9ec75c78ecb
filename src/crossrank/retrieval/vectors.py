"""Exact nearest neighbours among vectors on disk."""

import numpy as np
import torch
from numpy.typing import NDArray

from crossrank.errors import InputError
from crossrank.retrieval.base import Hits
from crossrank.types import Floats

BLOCK_QUERIES = 1024
BLOCK_VECTORS = 8192
"""A block of scores takes 32 MB, whatever the number of vectors."""


def nearest(
    queries: Floats, vectors: NDArray[np.float16], k: int, *, device: str = "cpu"
) -> list[Hits]:
    """Find the vectors with the largest inner products.

    Exact: every vector is compared, block by block, in fp32. Memory does not depend on how many
    there are when ``vectors`` is memory-mapped.

    Args:
        queries: ``[queries, width]``.
        vectors: ``[vectors, width]``.
        k: Most vectors to return.
        device: Where to compute.

    Returns:
        Position and inner product, best first, ties by position, for each query.

    Raises:
        InputError: ``k`` is below 1, or the widths differ.

    Example:
        >>> vectors = np.array([[1, 0], [0, 1], [1, 1]], dtype=np.float16)
        >>> nearest(np.array([[2, 1]], dtype=np.float32), vectors, k=2)
        [[(2, 3.0), (0, 2.0)]]
    """
    if k < 1:
        raise InputError(f"k must be at least 1, received {k!r}")
    if queries.ndim != 2 or queries.shape[1] != vectors.shape[1]:
        raise InputError(
            f"Queries [queries, {vectors.shape[1]}] are required, as wide as the vectors; received "
            f"{list(queries.shape)}."
        )
    hits: list[Hits] = []
    for start in range(0, len(queries), BLOCK_QUERIES):
        hits += _nearest(queries[start : start + BLOCK_QUERIES], vectors, k, device)
    return hits


def _nearest(queries: Floats, vectors: NDArray[np.float16], k: int, device: str) -> list[Hits]:
    asked = torch.from_numpy(np.ascontiguousarray(queries)).to(device)
    bars = torch.full((len(queries), 1), -torch.inf, device=device)
    best = _Best(len(queries), k)
    for start in range(0, len(vectors), BLOCK_VECTORS):
        block = torch.from_numpy(vectors[start : start + BLOCK_VECTORS].copy())
        scores = asked @ block.to(device).float().T
        if start == 0 and k < len(block):  # else all of it would count as found
            least = scores.topk(k).values[:, -1:]
            bars = torch.nextafter(least, torch.full_like(least, -torch.inf))
        # A later vector wins only if it is better: ties go to the earlier position.
        query, column = (scores > bars).nonzero(as_tuple=True)
        found = scores[query, column].cpu().numpy()
        best.add(query.cpu().numpy(), start + column.cpu().numpy(), found)
        bars = torch.maximum(bars, torch.from_numpy(best.bars()).to(device))
    return best.hits()


class _Best:
    """The best ``k`` so far of each query, in three flat arrays."""

    def __init__(self, queries: int, k: int) -> None:
        self._queries, self._k = queries, k
        self._query = np.empty(0, dtype=np.int64)
        self._position = np.empty(0, dtype=np.int64)
        self._score = np.empty(0, dtype=np.float32)

    def add(self, query: NDArray[np.int64], position: NDArray[np.int64], score: Floats) -> None:
        if not len(query):
            return
        query = np.concatenate((self._query, query))
        position = np.concatenate((self._position, position))
        score = np.concatenate((self._score, score))
        order = np.lexsort((position, -score, query))
        query = query[order]
        counts = np.bincount(query, minlength=self._queries)
        rank = np.arange(len(query)) - np.repeat(np.cumsum(counts) - counts, counts)
        order = order[rank < self._k]
        self._query, self._position, self._score = (
            query[rank < self._k],
            position[order],
            score[order],
        )

    def bars(self) -> Floats:
        """What the next one must exceed, ``[queries, 1]``: the k-th score, if there are k."""
        bars = np.full((self._queries, 1), -np.inf, dtype=np.float32)
        counts = np.bincount(self._query, minlength=self._queries)
        full = counts == self._k
        bars[full, 0] = self._score[np.cumsum(counts)[full] - 1]
        return bars

    def hits(self) -> list[Hits]:
        ends = np.cumsum(np.bincount(self._query, minlength=self._queries))
        pairs = list(zip(self._position.tolist(), self._score.tolist(), strict=True))
        return [pairs[a:b] for a, b in zip([0, *ends.tolist()], ends.tolist(), strict=False)]
