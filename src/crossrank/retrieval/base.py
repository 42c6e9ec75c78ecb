"""What every first stage can do."""

from collections.abc import Sequence
from typing import Protocol

from crossrank.types import Floats, Pair

Hits = list[tuple[int, float]]
"""Position and score of documents, best first."""


class Retriever(Protocol):
    """Finds documents of one collection, and scores any text as if it belonged to it."""

    def search_many(self, queries: Sequence[str], k: int) -> list[Hits]:
        """Find the best ``k`` documents of each query, or fewer when there are no more."""
        ...

    def score(self, pairs: Sequence[Pair]) -> Floats:
        """Score pairs of a query and any document, on the scale of the hits; ``[pairs]``."""
        ...
