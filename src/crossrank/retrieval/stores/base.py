"""What the adapters of all stores have in common."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

from crossrank.errors import InputError, describe
from crossrank.retrieval.base import Document, Hits
from crossrank.retrieval.dense import BiEncoder
from crossrank.types import Floats, Pair


class StoreRetriever(ABC):
    """Documents of a store, ranked by their vectors.

    Args:
        encoder: The bi-encoder that made the vectors in the store; it makes those of queries.
    """

    def __init__(self, encoder: BiEncoder) -> None:
        self.encoder = encoder

    def search_many(self, queries: Sequence[str], k: int) -> list[Hits]:
        """Find the nearest documents of each query, as ``Document``.

        Raises:
            InputError: ``k`` is below 1, or what was found has no text.
        """
        if k < 1:
            raise InputError(f"k must be at least 1, received {k!r}.")
        vectors = self.encoder.encode(queries, role="query")
        return [self.nearest(vector, k) for vector in vectors]

    def score(self, pairs: Sequence[Pair]) -> Floats:
        """Score pairs of a query and any text; ``[pairs]``."""
        return self.encoder.score(pairs)

    @abstractmethod
    def nearest(self, vector: Floats, k: int) -> Hits:
        """Find the documents nearest to a vector ``[width]``."""

    def check_width(self, field: str, width: Any) -> None:
        """Make sure that vectors are as wide as the encoder's; what is no width is none of them.

        Raises:
            InputError: They are not.
        """
        if width != self.encoder.width:
            raise InputError(
                f"{field} must hold vectors of the encoder, {self.encoder.width} wide; received "
                f"{width}."
            )


def document(identity: Any, text: Any, field: str) -> Document:
    """Make a document of what a store gave.

    Raises:
        InputError: There is no text in the field.
    """
    if not isinstance(text, str):
        raise InputError(
            f"The document {identity!r} must have its text in {field!r}, received "
            f"{describe(text)}. Is the field named right?"
        )
    return Document(identity, text)
