"""Runs, judgements and texts as records: JSONL, Parquet, and the named tuples of ir-measures.

Columns are named as in ir-measures, ``query_id``, ``doc_id`` and ``score`` or ``relevance``.
"""

import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from numbers import Integral, Real
from pathlib import Path
from typing import Any, TypeVar

from crossrank.errors import InputError
from crossrank.optional import require
from crossrank.text_files import Lines, read_objects, stem_suffix
from crossrank.types import Qrels, Run

Value = TypeVar("Value")
Records = Iterator[tuple[str, list[Any]]]
"""Where a record stands, e.g. ``line 3``, and its values."""

_JSONL = (".jsonl", ".ndjson")
_PARQUET = ".parquet"
_ROWS_AT_ONCE = 10_000


def run_of(scored_documents: Iterable[Any]) -> Run:
    """Make a run of what ir-measures calls ``ScoredDoc``; ir-measures takes runs as they are.

    Args:
        scored_documents: Objects with ``query_id``, ``doc_id`` and ``score``.

    Raises:
        InputError: A document is there twice for a query, or a score is no number.

    Example:
        >>> import ir_measures
        >>> run_of([ir_measures.ScoredDoc("q", "d", 0.5)])
        {'q': {'d': 0.5}}
    """
    records = (
        (f"entry {number}", [entry.query_id, entry.doc_id, entry.score])
        for number, entry in enumerate(scored_documents, 1)
    )
    return gather("The run", records, to_score)


def qrels_of(judgements: Iterable[Any]) -> Qrels:
    """Make qrels of what ir-measures calls ``Qrel``; ir-measures takes qrels as they are.

    Args:
        judgements: Objects with ``query_id``, ``doc_id`` and ``relevance``.

    Raises:
        InputError: A document is there twice for a query, or a grade is no whole number.

    Example:
        >>> import ir_measures
        >>> qrels_of([ir_measures.Qrel("q", "d", 2)])
        {'q': {'d': 2}}
    """
    records = (
        (f"entry {number}", [entry.query_id, entry.doc_id, entry.relevance])
        for number, entry in enumerate(judgements, 1)
    )
    return gather("The qrels", records, to_grade)


def gather(
    source: str, records: Records, convert: Callable[[Any], Value]
) -> dict[str, dict[str, Value]]:
    """Make a run or qrels of records.

    Args:
        source: What messages call the file.
        records: Query id, document id and value.
        convert: Makes a score or grade of the value, or raises ``ValueError``.

    Raises:
        InputError: A record is there twice, or cannot be used; the message names its place.
    """
    table: dict[str, dict[str, Value]] = {}
    for place, (query, document, value) in records:
        try:
            query, document = to_id(query), to_id(document)
            converted = convert(value)
        except (ValueError, OverflowError) as error:
            raise InputError(f"{source}, {place}: {error}.") from None
        add(table.setdefault(query, {}), document, converted, f"{source}, {place}")
    return table


def add(entries: dict[str, Value], key: str, value: Value, place: str) -> None:
    """Add an entry that must not be there.

    Raises:
        InputError: It is; the message names the place.
    """
    if key in entries:
        raise InputError(f"{place}: {key!r} was there before; each may occur once")
    entries[key] = value


def to_id(value: Any) -> str:
    """Take an id: text, or a whole number.

    Raises:
        ValueError: It is neither, or empty.
    """
    if isinstance(value, bool) or not isinstance(value, str | Integral) or value == "":
        raise ValueError(f"an id must be text, received {value!r:.80}")
    return str(value)


def to_score(value: Any) -> float:
    """Take a score.

    Raises:
        ValueError: It is no number.
    """
    if isinstance(value, bool) or not isinstance(value, Real) or math.isnan(value):
        raise ValueError(f"a score must be a number, received {value!r:.80}")
    return float(value)


def to_grade(value: Any) -> int:
    """Take a grade; pandas makes ``1.0`` of it where another one is missing.

    Raises:
        ValueError: It is no whole number.
    """
    whole = isinstance(value, Integral) or (isinstance(value, Real) and float(value).is_integer())
    if isinstance(value, bool) or not whole:
        raise ValueError(f"a grade must be a whole number, received {value!r:.80}")
    return int(value)


@contextmanager
def readable(path: str | Path) -> Iterator[None]:
    """Raise ``InputError`` where a file cannot be read."""
    try:
        yield
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error}") from error


def is_table(path: str | Path) -> bool:
    """Say whether a file holds records, going by its name."""
    return stem_suffix(Path(path)) in (*_JSONL, _PARQUET)


def read_table(path: str | Path, *layouts: Sequence[str]) -> Records:
    """Read records.

    Args:
        path: A file of JSON objects, one a line, or of Parquet.
        layouts: Names of the columns to take, of which the first that are there are taken.

    Raises:
        InputError: The file cannot be read, or a record does not have the columns; the message
            names its place.
        MissingDependencyError: The file is Parquet, and pyarrow is not installed.
    """
    read = _read_parquet if stem_suffix(Path(path)) == _PARQUET else read_jsonl
    return read(Path(path), *layouts)


def read_jsonl(path: Path, *layouts: Sequence[str], lines: Lines | None = None) -> Records:
    """Read JSON objects, as ``read_table`` does, whatever the file is called.

    Args:
        path: The file.
        *layouts: As for ``read_table``.
        lines: The file's lines, where they are being read already.
    """
    for number, row in read_objects(path, lines=lines):
        place = f"line {number}"
        yield place, [row[name] for name in _layout(f"{path}, {place}", row, layouts)]


def encode_table(path: str | Path, columns: Mapping[str, list[Any]]) -> bytes:
    """Encode records as what the ending of a file's name says, but for compression.

    Args:
        path: The file.
        columns: All of one length, by name.

    Raises:
        MissingDependencyError: The file is to be Parquet, and pyarrow is not installed.
    """
    if stem_suffix(Path(path)) == _PARQUET:
        pyarrow = require("pyarrow", extra="parquet")
        stream = pyarrow.BufferOutputStream()
        require("pyarrow.parquet", extra="parquet").write_table(
            pyarrow.table(dict(columns)), stream
        )
        return bytes(stream.getvalue())
    rows = zip(*columns.values(), strict=True)
    lines = (json.dumps(dict(zip(columns, row, strict=True)), ensure_ascii=False) for row in rows)
    return "".join(f"{line}\n" for line in lines).encode("utf-8", "backslashreplace")


def _read_parquet(path: Path, *layouts: Sequence[str]) -> Records:
    pyarrow = require("pyarrow", extra="parquet")
    parquet = require("pyarrow.parquet", extra="parquet")
    try:
        with parquet.ParquetFile(path) as file:
            names = _layout(str(path), file.schema_arrow.names, layouts)
            rows = (
                values
                for batch in file.iter_batches(_ROWS_AT_ONCE, columns=list(names))
                for values in zip(*(batch.column(n).to_pylist() for n in names), strict=True)
            )
            for number, values in enumerate(rows, 1):
                yield f"row {number}", list(values)
    except pyarrow.ArrowInvalid as error:
        raise InputError(f"{path}: a Parquet file is required: {error}") from error


def _layout(place: str, known: Iterable[str], layouts: Sequence[Sequence[str]]) -> Sequence[str]:
    found = set(known)
    for layout in layouts:
        if found.issuperset(layout):
            return layout
    raise InputError(
        f"{place}: columns {' or '.join(str(list(layout)) for layout in layouts)} are required; "
        f"there are {', '.join(map(repr, known)) or 'none'}."
    )
