"""Scored pairs whose relevance is known, and how their queries are divided."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from crossrank.errors import InputError

MIN_QUERIES = 10
"""Queries to fit on, and to judge on: with fewer an interval over queries says nothing."""


@dataclass(frozen=True)
class JudgedPairs:
    """Scored pairs whose relevance is known.

    Attributes:
        logits: ``[pairs]``.
        relevant: ``[pairs]``: is the document relevant to the query?
        queries: ``[pairs]``: the number of the query.

    Raises:
        InputError: The lengths differ, a logit is not finite, or there are fewer than ten queries,
            or fewer than two with a relevant document, or two with another one.
    """

    logits: NDArray[np.float64]
    relevant: NDArray[np.bool_]
    queries: NDArray[np.int64]

    def __post_init__(self) -> None:
        if not len(self.logits) == len(self.relevant) == len(self.queries):
            raise InputError(
                "Each pair needs a logit, a judgement and a query, received "
                f"{len(self.logits)}, {len(self.relevant)} and {len(self.queries)}."
            )
        bad = np.flatnonzero(~np.isfinite(self.logits))
        if len(bad):
            raise InputError(
                f"Finite logits are required, and {len(bad)} of {len(self.logits)} are not: the "
                f"first is number {bad[0]}, {self.logits[bad[0]]}."
            )
        found = [len(np.unique(self.queries[chosen])) for chosen in (self.relevant, ~self.relevant)]
        if min(found) < 2:
            raise InputError(
                "Relevant and other documents are required, each for at least two queries; "
                f"received relevant ones for {found[0]} and others for {found[1]} of "
                f"{self.size} queries. Is the grade right from which documents count as relevant?"
            )
        if self.size < MIN_QUERIES:
            raise InputError(
                f"At least {MIN_QUERIES} queries are required to fit on and {MIN_QUERIES} others "
                f"to judge on, received {self.size}."
            )

    @classmethod
    def of(cls, logits: Sequence[float], relevant: Sequence[bool], queries: Sequence[int]) -> Self:
        """Make arrays of sequences."""
        return cls(
            np.asarray(logits, dtype=np.float64),
            np.asarray(relevant, dtype=bool),
            np.asarray(queries, dtype=np.int64),
        )

    @cached_property
    def _places(self) -> tuple[int, NDArray[np.intp]]:
        """How many queries there are, and the place of each pair's among them."""
        names, places = np.unique(self.queries, return_inverse=True)
        return len(names), places

    @property
    def size(self) -> int:
        """How many queries there are."""
        return self._places[0]

    def counts(self) -> dict[str, int]:
        """Count queries, pairs and relevant pairs."""
        return {
            "queries": self.size,
            "pairs": len(self.relevant),
            "relevant": int(self.relevant.sum()),
        }

    def where(self, chosen: NDArray[np.bool_]) -> Self:
        """Take some of the pairs."""
        return type(self)(self.logits[chosen], self.relevant[chosen], self.queries[chosen])

    def sums(
        self, values: NDArray[Any], columns: NDArray[np.int64] | None = None, width: int = 1
    ) -> NDArray[np.float64]:
        """Add up values for each query.

        Args:
            values: ``[pairs]``.
            columns: ``[pairs]``: in which column each is added; by default there is one.
            width: How many columns there are.

        Returns:
            ``[queries, width]``.
        """
        size, places = self._places
        cells = places * width + (0 if columns is None else columns)
        added = np.bincount(cells, weights=values, minlength=size * width)
        return added.astype(np.float64).reshape(size, width)

    def parts(self, count: int, seed: int) -> NDArray[np.int64]:
        """Deal the queries out to parts, those with relevant documents evenly.

        Args:
            count: How many parts.
            seed: Of the shuffling.

        Returns:
            ``[pairs]``: the part of each pair; all pairs of a query are in one.
        """
        size, places = self._places
        has_relevant = np.bincount(places, weights=self.relevant) > 0
        order = np.random.default_rng(seed).permutation(size)
        order = order[np.argsort(has_relevant[order], kind="stable")]
        dealt = np.empty(size, dtype=np.int64)
        dealt[order] = np.arange(size) % count
        parts: NDArray[np.int64] = dealt[places]
        return parts


def split(pairs: JudgedPairs, seed: int = 0) -> tuple[JudgedPairs, JudgedPairs]:
    """Take half of the queries to fit on, and the others to judge on.

    Raises:
        InputError: There are too few queries for two parts.
    """
    if pairs.size < 2 * MIN_QUERIES:
        raise InputError(
            f"At least {MIN_QUERIES} queries are required to fit on and {MIN_QUERIES} others to "
            f"judge on, received {pairs.size} in all."
        )
    parts = pairs.parts(2, seed)
    return pairs.where(parts == 0), pairs.where(parts == 1)
