"""PostgreSQL with pgvector.

pip install "crossrank" psycopg
"""

import json
from collections.abc import Sequence
from typing import Any, LiteralString

import numpy as np
import psycopg
from psycopg.sql import SQL, Composed, Identifier

from crossrank.errors import InputError
from crossrank.retrieval.base import Hits
from crossrank.retrieval.dense import BiEncoder
from crossrank.retrieval.stores.base import StoreRetriever, document
from crossrank.types import Floats


class PgvectorRetriever(StoreRetriever):
    """Documents in a table of PostgreSQL, by pgvector's operators.

    Vectors are compared by cosine (``<=>``), or by inner product (``<#>``) where the bi-encoder was
    made for that: let the table's index be of the same kind. An HNSW index finds no more rows than
    ``hnsw.ef_search`` says, 40 by default: set that to the depth, or set ``hnsw.iterative_scan``.

    Args:
        connection: A connection of psycopg.
        table: Name of the table, ``"documents"`` or ``"schema.documents"``.
        encoder: The bi-encoder of its vectors.
        id: The column of the id.
        text: The column of the text.
        vector: The column of the vector, a ``vector`` or ``halfvec``.
        where: A condition that documents must meet, with ``%s`` for its values.
        values: The values.

    Raises:
        InputError: There is no such table or column.
    """

    def __init__(
        self,
        connection: psycopg.Connection[Any],
        table: str,
        encoder: BiEncoder,
        *,
        id: str = "id",  # noqa: A002  # names the column
        text: str = "text",
        vector: str = "embedding",
        where: LiteralString = "true",
        values: Sequence[Any] = (),
    ) -> None:
        super().__init__(encoder)
        self._connection = connection
        self._table = table
        self._text = text
        self._values = tuple(values)
        self._cosine = encoder.normalized
        self._search = _search(table, id, text, vector, where, "<=>" if self._cosine else "<#>")
        self.nearest(np.ones(encoder.width, dtype=np.float32), 0)

    def nearest(self, vector: Floats, k: int) -> Hits:
        """Find the documents nearest to a vector ``[width]``.

        Raises:
            InputError: PostgreSQL refuses the query, e.g. as the vectors are of another width.
        """
        values = (json.dumps(vector.tolist()), *self._values, k)
        try:
            with self._connection.transaction():
                rows = self._connection.cursor(row_factory=psycopg.rows.tuple_row).execute(
                    self._search, values
                )
                found = rows.fetchall()
        except (psycopg.ProgrammingError, psycopg.DataError) as error:
            raise InputError(
                f"The table {self._table!r} cannot be searched for vectors {len(vector)} wide: "
                f"{error}"
            ) from error
        # <#> gives the inner product times -1, <=> 1 minus the cosine.
        best = 1.0 if self._cosine else 0.0
        return [
            (document(identity, text, self._text), best - distance)
            for identity, text, distance in found
        ]


def _search(
    table: str, identity: str, text: str, vector: str, where: LiteralString, operator: LiteralString
) -> Composed:
    return SQL(
        "SELECT {id}, {text}, {vector} {operator} %s FROM {table} "
        "WHERE {vector} IS NOT NULL AND ({where}) ORDER BY 3 LIMIT %s"
    ).format(
        id=Identifier(identity),
        text=Identifier(text),
        vector=Identifier(vector),
        operator=SQL(operator),
        table=Identifier(*table.split(".")),
        where=SQL(where),
    )
