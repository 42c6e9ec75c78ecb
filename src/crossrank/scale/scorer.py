"""A column of scores beside queries and documents, in Arrow tables."""

from pathlib import Path
from typing import Any

import numpy as np

from crossrank.cross_encoder import CrossEncoder
from crossrank.errors import InputError
from crossrank.optional import require


class PairScorer:
    """Adds a score to each row of a table; ``Dataset.map_batches`` of Ray Data makes actors of it.

    ::

        dataset.map_batches(
            PairScorer,
            batch_format="pyarrow",
            fn_constructor_kwargs={"model": "small"},
            compute=ray.data.ActorPoolStrategy(size=4),
        )

    Each actor loads the model once. Ray gives it ``num_cpus`` cores, and the engine takes no more.

    Args:
        model: As for ``CrossEncoder``.
        query: Name of the column with the query.
        document: Name of the column with the document.
        score: Name of the column to add.
        calibrated: Give probabilities, by the calibration that is saved with the model.
        options: As for ``CrossEncoder``.

    Raises:
        CrossRankError: The model cannot be loaded.

    Example:
        >>> import pyarrow
        >>> rows = pyarrow.table({"query": ["fruit"] * 2, "document": ["An apple.", "A car."]})
        >>> apple, car = PairScorer()(rows)["score"].to_pylist()
        >>> apple > car
        True
    """

    def __init__(
        self,
        model: str | Path | None = None,
        *,
        query: str = "query",
        document: str = "document",
        score: str = "score",
        calibrated: bool = False,
        **options: Any,
    ) -> None:
        self.columns = (query, document)
        self.score = score
        self.calibrated = calibrated
        self.encoder = CrossEncoder(model, **options)

    def __call__(self, rows: Any, source: str = "the batch", start: int = 0) -> Any:
        """Score a table.

        Args:
            rows: A ``pyarrow.Table`` with both columns.
            source: What to call it in messages.
            start: How many rows came before it there.

        Returns:
            The table with the column of scores, fp32; of lists where the model has several labels.

        Raises:
            InputError: A column is missing, or a query or document is no text.
        """
        pyarrow = require("pyarrow", extra="ray")
        check_columns(rows.schema, *self.columns, self.score, source)
        texts = [self._texts(rows, name, source, start) for name in self.columns]
        scores = self.encoder.predict(list(zip(*texts, strict=True)), calibrated=self.calibrated)
        kind = pyarrow.list_(pyarrow.float32()) if np.ndim(scores) == 2 else pyarrow.float32()
        return rows.append_column(self.score, pyarrow.array(list(scores), kind))

    def _texts(self, rows: Any, name: str, source: str, start: int) -> list[str]:
        texts: list[Any] = rows[name].to_pylist()
        if rows[name].null_count:
            row = start + texts.index(None) + 1
            raise InputError(f"{source}, row {row}: {name!r} must be a text, received null.")
        return texts


def check_columns(schema: Any, query: str, document: str, score: str, source: str) -> None:
    """See that a table has the columns, and none of the score's name.

    Args:
        schema: A ``pyarrow.Schema``.
        query: Name of the column with the query.
        document: Name of the column with the document.
        score: Name of the column to add.
        source: What to call the table in messages.

    Raises:
        InputError: It has not.
    """
    for name in (query, document):
        if schema.names.count(name) != 1:
            there = ", ".join(map(repr, schema.names)) or "none"
            raise InputError(f"{source}: one column {name!r} is required; its columns are {there}.")
        if not _is_text(schema.field(name).type):
            raise InputError(
                f"{source}: the column {name!r} must hold texts, and holds "
                f"{schema.field(name).type}."
            )
    if score in schema.names:
        raise InputError(
            f"{source}: there is a column {score!r} already: choose another name for the score."
        )


def _is_text(kind: Any) -> bool:
    types = require("pyarrow.types", extra="ray")
    kind = kind.value_type if types.is_dictionary(kind) else kind
    # A column without a value has no type.
    known = (types.is_string, types.is_large_string, types.is_string_view, types.is_null)
    return any(is_known(kind) for is_known in known)
