"""Files of pairs: read in chunks of constant size, written back with a score in each row.

One class a format. To add one: implement ``PairFile`` and name its ending in ``open_pairs``.
"""

import csv
import gzip
import io
import json
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from crossrank.errors import InputError
from crossrank.text_files import Rows as NumberedRows
from crossrank.text_files import (
    is_gzip,
    read_csv,
    read_objects,
    read_tsv,
    stem_suffix,
    text_field,
)
from crossrank.types import Pair

CHUNK_PAIRS = 4096
CHUNK_CHARACTERS = 8_000_000
"""A chunk ends after so many pairs or characters. Where it ends follows from where it begins: a
resumed job makes the same chunks, and so the same batches and bits, as one that ran through."""


@dataclass(frozen=True)
class Rows:
    """One row or a few of a file.

    Attributes:
        pairs: The pairs in them.
        data: The whole rows, as their format holds them.
    """

    pairs: list[Pair]
    data: Any


_NO_FIELD = "\0"
"""A column that no file has: pairs are read, and no score is added."""

Chunk = list[Rows]
Score = float | list[float]


@dataclass(frozen=True)
class PairFile(ABC):
    """A file of pairs.

    Attributes:
        path: The file.
        query_field: Name of the column with the query.
        document_field: Name of the column with the document.
        score_field: Name of the column to add.
    """

    path: Path
    query_field: str
    document_field: str
    score_field: str

    @abstractmethod
    def rows(self, skip: int) -> Iterator[Rows]:
        """Read the rows after the first ``skip``, which end a chunk.

        Raises:
            InputError: A row is malformed; the message names file and line.
        """

    @abstractmethod
    def header(self) -> bytes:
        """What the output begins with."""

    @abstractmethod
    def encode(self, chunk: Chunk, scores: list[Score]) -> bytes:
        """Write a chunk with its scores as what is appended to the output."""

    def publish(self, partial: Path, out: Path) -> None:
        """Make the output of all that was appended; it appears in one step.

        Args:
            partial: Header and chunks.
            out: The file to make, in the same folder.
        """
        partial.replace(out)

    def chunks(self, skip: int) -> Iterator[Chunk]:
        """Read the chunks after the first ``skip`` rows."""
        chunk: Chunk = []
        pairs = characters = 0
        for rows in self.rows(skip):
            chunk.append(rows)
            pairs += len(rows.pairs)
            characters += sum(len(query) + len(document) for query, document in rows.pairs)
            if pairs >= CHUNK_PAIRS or characters >= CHUNK_CHARACTERS:
                yield chunk
                chunk = []
                pairs = characters = 0
        if chunk:
            yield chunk

    def _pair(self, place: str, row: dict[str, Any]) -> Pair:
        return (
            text_field(self.path, place, row, self.query_field),
            text_field(self.path, place, row, self.document_field),
        )

    def _refuse_score(self, place: str, names: Any) -> None:
        if self.score_field in names:
            raise InputError(
                f"{self.path}, {place}: there is a field {self.score_field!r} already. Choose "
                "another name for the score with --score-field."
            )

    def _compress(self, text: str) -> bytes:
        # Each chunk is a gzip member of its own: such files may be cut and joined between members.
        data = text.encode("utf-8", "backslashreplace")
        return gzip.compress(data, mtime=0) if data and is_gzip(self.path) else data


class JSONLPairs(PairFile):
    """JSON objects, one a line."""

    def rows(self, skip: int) -> Iterator[Rows]:
        for number, row in read_objects(self.path, skip=skip):
            place = f"line {number}"
            self._refuse_score(place, row)
            yield Rows([self._pair(place, row)], row)

    def header(self) -> bytes:
        return b""

    def encode(self, chunk: Chunk, scores: list[Score]) -> bytes:
        lines = [
            json.dumps(rows.data | {self.score_field: score}, ensure_ascii=False) + "\n"
            for rows, score in zip(chunk, scores, strict=True)
        ]
        return self._compress("".join(lines))


class CSVPairs(PairFile):
    """Comma-separated values, the first line names the columns."""

    read = staticmethod(read_csv)
    separator = ","

    def rows(self, skip: int) -> Iterator[Rows]:
        rows = self.read(self.path)
        columns = self._columns(rows)
        for number, values in islice(rows, skip, None):
            row = dict(zip(columns, values, strict=True))
            yield Rows([self._pair(f"line {number}", row)], values)

    def header(self) -> bytes:
        columns = self._columns(self.read(self.path))
        return self._encode([[*columns, self.score_field]]) if columns else b""

    def encode(self, chunk: Chunk, scores: list[Score]) -> bytes:
        return self._encode(
            [*rows.data, json.dumps(score)] for rows, score in zip(chunk, scores, strict=True)
        )

    def _columns(self, rows: NumberedRows) -> list[str]:
        """Take the names of the columns off the rows; none in an empty file."""
        _, columns = next(rows, (1, []))
        if columns:
            if len(set(columns)) < len(columns):
                raise InputError(f"{self.path}, line 1: columns of different names are required.")
            self._refuse_score("line 1", columns)
            self._pair("line 1", dict.fromkeys(columns, ""))
        return columns

    def _encode(self, rows: Iterable[list[str]]) -> bytes:
        text = io.StringIO()
        csv.writer(text, delimiter=self.separator, lineterminator="\n").writerows(rows)
        return self._compress(text.getvalue())


class TSVPairs(CSVPairs):
    """Tab-separated values, the first line names the columns."""

    read = staticmethod(read_tsv)
    separator = "\t"


def open_pairs(path: Path, *, query_field: str, document_field: str, score_field: str) -> PairFile:
    """Open a file of pairs; its ending says what it is.

    Raises:
        InputError: The ending is none of the known ones.
        MissingDependencyError: The file is Parquet, and pyarrow is not installed.
    """
    suffix = stem_suffix(path)
    fields = (query_field, document_field, score_field)
    if suffix in (".jsonl", ".ndjson"):
        return JSONLPairs(path, *fields)
    if suffix == ".csv":
        return CSVPairs(path, *fields)
    if suffix == ".tsv":
        return TSVPairs(path, *fields)
    if suffix == ".parquet" and not is_gzip(path):
        from crossrank.cli.parquet_pairs import ParquetPairs

        return ParquetPairs(path, *fields)
    raise InputError(
        "A file that ends in .jsonl, .csv, .tsv (each may be followed by .gz) or .parquet is "
        f"required, received {path.name!r}."
    )


def read_pairs(path: Path, first: str, second: str) -> Iterator[Pair]:
    """Read two columns; the ending is looked at now, the rows when they are asked for.

    Raises:
        InputError: The ending is another one, or (later) a row is broken.
    """
    file = open_pairs(path, query_field=first, document_field=second, score_field=_NO_FIELD)
    return (pair for rows in file.rows(skip=0) for pair in rows.pairs)
