"""LanceDB.

pip install "crossrank" lancedb
"""

from typing import Any

from crossrank.errors import InputError
from crossrank.retrieval.base import Hits
from crossrank.retrieval.dense import BiEncoder
from crossrank.retrieval.stores.base import StoreRetriever, document
from crossrank.types import Floats


class LanceDBRetriever(StoreRetriever):
    """Documents in a table of LanceDB.

    Vectors are compared by cosine, or by inner product where the bi-encoder was made for that: let
    the table's index, if it has one, be of the same kind.

    Args:
        table: A ``lancedb.table.Table``.
        encoder: The bi-encoder of its vectors.
        id: The column of the id.
        text: The column of the text.
        vector: The column of the vector.
        where: A condition in SQL that documents must meet.

    Raises:
        InputError: There is no such column, or the vectors are of another model.
    """

    def __init__(
        self,
        table: Any,
        encoder: BiEncoder,
        *,
        id: str = "id",  # noqa: A002  # names the column
        text: str = "text",
        vector: str = "vector",
        where: str | None = None,
    ) -> None:
        super().__init__(encoder)
        self._table = table
        self._id, self._text, self._vector = id, text, vector
        self._where = where
        there = table.schema.names
        if missing := [name for name in (id, text, vector) if name not in there]:
            raise InputError(
                f"The table must have the columns {id!r}, {text!r} and {vector!r}; it lacks "
                f"{', '.join(map(repr, missing))} and has {', '.join(map(repr, there))}."
            )
        kind = table.schema.field(vector).type
        self.check_width(f"The column {vector!r}", getattr(kind, "list_size", kind))

    def nearest(self, vector: Floats, k: int) -> Hits:
        """Find the documents nearest to a vector ``[width]``."""
        search = (
            self._table.search(vector, vector_column_name=self._vector)
            .distance_type("cosine" if self.encoder.normalized else "dot")
            .select([self._id, self._text, "_distance"])
            .limit(k)
        )
        if self._where is not None:
            search = search.where(self._where, prefilter=True)
        return [
            # Both distances are 1 minus the product.
            (document(row[self._id], row[self._text], self._text), 1 - row["_distance"])
            for row in search.to_list()
        ]
