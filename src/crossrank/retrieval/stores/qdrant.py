"""Qdrant.

pip install "crossrank" qdrant-client
"""

from typing import Any

from qdrant_client import QdrantClient

from crossrank.errors import InputError
from crossrank.retrieval.base import Hits
from crossrank.retrieval.dense import BiEncoder
from crossrank.retrieval.stores.base import StoreRetriever, document
from crossrank.types import Floats


class QdrantRetriever(StoreRetriever):
    """Documents in a collection of Qdrant.

    Args:
        client: A client, of a server or in memory.
        collection: Name of the collection; its distance is ``Cosine`` or ``Dot``.
        encoder: The bi-encoder of its vectors.
        text: The field of the payload with the text.
        vector: Name of the vector, where the collection has named ones.
        where: A ``qdrant_client.models.Filter`` that documents must pass.

    Raises:
        InputError: There is no such collection or vector, or it is of another model.
    """

    def __init__(
        self,
        client: QdrantClient,
        collection: str,
        encoder: BiEncoder,
        *,
        text: str = "text",
        vector: str | None = None,
        where: Any = None,
    ) -> None:
        super().__init__(encoder)
        self._client = client
        self._collection = collection
        self._text = text
        self._vector = vector
        self._where = where
        self._check()

    def nearest(self, vector: Floats, k: int) -> Hits:
        """Find the documents nearest to a vector ``[width]``."""
        found = self._client.query_points(
            self._collection,
            query=vector.tolist(),
            using=self._vector,
            query_filter=self._where,
            with_payload=[self._text],
            limit=k,
        )
        return [
            (document(point.id, (point.payload or {}).get(self._text), self._text), point.score)
            for point in found.points
        ]

    def _check(self) -> None:
        if not self._client.collection_exists(self._collection):
            raise InputError(f"Qdrant has no collection {self._collection!r}.")
        vectors = self._client.get_collection(self._collection).config.params.vectors
        known: dict[Any, Any] = vectors if isinstance(vectors, dict) else {None: vectors}
        if known.get(self._vector) is None:
            there = ", ".join(map(repr, known))
            raise InputError(
                f"vector must be one of the collection's, {there}; received {self._vector!r}."
            )
        chosen = known[self._vector]
        self.check_width(f"The collection {self._collection!r}", chosen.size)
        if chosen.distance not in ("Cosine", "Dot"):
            raise InputError(
                f"A collection with the distance Cosine or Dot is required, and "
                f"{self._collection!r} has {chosen.distance.value}."
            )
