"""What every first stage can do."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from crossrank.types import Floats, Pair


@dataclass(frozen=True, slots=True)
class Document:
    """A document with its text.

    Attributes:
        id: Its position in the collection, or its id in a store.
        text: The text.
    """

    id: Any
    text: str


Hits = list[tuple[Any, float]]
"""Documents and their scores, best first.

A document is its position in the collection; a store that keeps the texts itself gives a
``Document``.
"""


class Retriever(Protocol):
    """Finds documents of one collection, and scores any text as if it belonged to it."""

    def search_many(self, queries: Sequence[str], k: int) -> list[Hits]:
        """Find the best ``k`` documents of each query, or fewer when there are no more."""
        ...

    def score(self, pairs: Sequence[Pair]) -> Floats:
        """Score pairs of a query and any document, on the scale of the hits; ``[pairs]``."""
        ...
