"""Parquet files of pairs.

A Parquet file ends with an index of all of it, so it cannot grow. What grows is a stream of Arrow
record batches, which becomes a Parquet file when it is complete.
"""

import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from crossrank.cli.pair_files import Chunk, PairFile, Rows, Score
from crossrank.errors import InputError
from crossrank.optional import require

BATCH_ROWS = 256
"""Rows that are read together."""


class ParquetPairs(PairFile):
    """A Parquet file; columns keep their types."""

    def rows(self, skip: int) -> Iterator[Rows]:
        with self._open() as file:
            done = 0
            for batch in file.iter_batches(BATCH_ROWS):
                start = done
                done += batch.num_rows
                if start >= skip:  # chunks are made of whole batches
                    yield Rows(list(self._pairs(batch, start)), batch)

    def header(self) -> bytes:
        return b""

    def encode(self, chunk: Chunk, scores: list[Score]) -> bytes:
        pyarrow = _pyarrow()
        table = pyarrow.Table.from_batches([rows.data for rows in chunk])
        several = bool(scores) and isinstance(scores[0], list)
        kind = pyarrow.list_(pyarrow.float32()) if several else pyarrow.float32()
        table = table.append_column(self.score_field, pyarrow.array(scores, kind))
        stream = io.BytesIO()
        with pyarrow.ipc.new_stream(stream, table.schema) as writer:
            writer.write_table(table.combine_chunks())
        return stream.getvalue()

    def publish(self, partial: Path, out: Path) -> None:
        """Write the chunks as row groups of a Parquet file."""
        parquet = require("pyarrow.parquet", extra="parquet")
        complete = out.with_name(f"{out.name}.complete")
        with complete.open("wb") as file:
            with parquet.ParquetWriter(file, self._schema(partial)) as writer:
                for table in _tables(partial):
                    writer.write_table(table)
            file.flush()
            os.fsync(file.fileno())
        complete.replace(out)

    def _schema(self, partial: Path) -> Any:
        """The columns of the output; a file without rows gets a column of scores too."""
        for table in _tables(partial):
            return table.schema
        pyarrow = _pyarrow()
        with self._open() as file:
            return file.schema_arrow.append(pyarrow.field(self.score_field, pyarrow.float32()))

    def _open(self) -> Any:
        """Open the file; refuse one without the columns."""
        pyarrow = _pyarrow()
        parquet = require("pyarrow.parquet", extra="parquet")
        try:
            file = parquet.ParquetFile(self.path)
        except pyarrow.ArrowInvalid as error:
            raise InputError(f"{self.path}: a Parquet file is required: {error}") from error
        names = file.schema_arrow.names
        for field in (self.query_field, self.document_field):
            if names.count(field) != 1:
                file.close()
                raise InputError(
                    f"{self.path}: one column {field!r} is required; its columns are "
                    f"{', '.join(map(repr, names)) or 'none'}."
                )
        self._refuse_score("schema", names)
        return file

    def _pairs(self, batch: Any, start: int) -> Iterator[tuple[str, str]]:
        columns = [
            batch.column(name).to_pylist() for name in (self.query_field, self.document_field)
        ]
        for number, (query, document) in enumerate(zip(*columns, strict=True), start + 1):
            row = {self.query_field: query, self.document_field: document}
            yield self._pair(f"row {number}", row)


def _tables(partial: Path) -> Iterator[Any]:
    """Read the chunks back: each is an Arrow stream of its own."""
    pyarrow = _pyarrow()
    with partial.open("rb") as file:
        while file.peek(1):
            with pyarrow.ipc.open_stream(file) as reader:
                yield reader.read_all()


def _pyarrow() -> Any:
    require("pyarrow.ipc", extra="parquet")
    return require("pyarrow", extra="parquet")
