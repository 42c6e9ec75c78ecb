"""Exact nearest neighbours among vectors on disk."""

from collections.abc import Callable

import numpy as np
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
        device: Where to compute; all but the CPU need torch.

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
    above = _above_on_cpu(queries, k) if device == "cpu" else _above_on(device, queries, k)
    bars: Floats | None = None
    best = _Best(len(queries), k)
    for start in range(0, len(vectors), BLOCK_VECTORS):
        # A later vector wins only if it is better: ties go to the earlier position.
        query, column, scores = above(vectors[start : start + BLOCK_VECTORS], bars)
        best.add(query, start + column, scores)
        bars = best.bars()
    return best.hits()


Found = tuple[NDArray[np.int64], NDArray[np.int64], Floats]
"""Rows of queries, columns of vectors, and their scores."""

Above = Callable[[NDArray[np.float16], Floats | None], Found]
"""Finds what exceeds the bars ``[queries, 1]`` in a block; without bars about the best ``k``."""


def _above_on_cpu(queries: Floats, k: int) -> Above:
    def above(block: NDArray[np.float16], bars: Floats | None) -> Found:
        scores = queries @ block.astype(np.float32).T
        if bars is None:  # all of the first block would count as found
            last = min(k, len(block))
            least = np.partition(scores, -last, axis=1)[:, [-last]]
            bars = np.nextafter(least, np.float32(-np.inf))
        query, column = np.nonzero(scores > bars)
        return query, column, scores[query, column]

    return above


def _above_on(device: str, queries: Floats, k: int) -> Above:
    import torch

    asked = torch.from_numpy(np.ascontiguousarray(queries)).to(device)

    def above(block: NDArray[np.float16], bars: Floats | None) -> Found:
        scores = asked @ torch.from_numpy(block.copy()).to(device).float().T
        if bars is None:
            least = scores.topk(min(k, len(block))).values[:, -1:].cpu().numpy()
            bars = np.nextafter(least, np.float32(-np.inf))
        query, column = (scores > torch.from_numpy(bars).to(device)).nonzero(as_tuple=True)
        found = scores[query, column].cpu().numpy()
        return query.cpu().numpy(), column.cpu().numpy(), found

    return above


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
