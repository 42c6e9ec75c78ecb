"""Rows in an Arrow file: each is checked against the first, written, and read from there."""

import math
from collections.abc import Iterable
from itertools import chain, islice
from pathlib import Path
from typing import Any

from datasets import Dataset

from crossrank.errors import InputError
from crossrank.optional import require
from crossrank.tokenization import replace_surrogates
from crossrank.training.columns import is_target

pa = require("pyarrow", extra="train")

Row = dict[str, Any]
Rows = Iterable[tuple[str, Row]]
"""Where a row stands, e.g. ``line 3``, and its values by column."""

TEXT, TEXTS = "a text", "a list of texts"
NUMBER, NUMBERS = "a finite number", "a list of finite numbers"
EMPTY = "an empty list"

_TYPES = {
    TEXT: pa.string(),
    TEXTS: pa.list_(pa.string()),
    NUMBER: pa.float64(),
    NUMBERS: pa.list_(pa.float64()),
}
_ROWS_AT_ONCE = 1000
_LARGEST = 2**53  # beyond it not every whole number is a float


def write_rows(rows: Rows, store: Path, source: str) -> Dataset:
    """Write rows to a file and open it, mapped into memory.

    Args:
        rows: All with the columns of the first. A label or score may be written as text.
        store: The Arrow file. Whoever has one open that was there before keeps it.
        source: What messages call the rows' file.

    Raises:
        InputError: There is no row, or one has other columns than the first, or values of other
            types, or a number that is not finite; the message names its place.
    """
    stream = iter(rows)
    first = next(stream, None)
    if first is None:
        raise InputError(f"{source}: at least one row is required, and there is none.")
    layout = {name: _first_kind(source, first[0], name, value) for name, value in first[1].items()}
    schema = pa.schema([(name, _TYPES[kind]) for name, kind in layout.items()])
    checked = (_checked(source, place, row, layout) for place, row in chain([first], stream))
    store.parent.mkdir(parents=True, exist_ok=True)
    partial = store.with_name(f"{store.name}.partial")  # what is there may be mapped by others
    with pa.OSFile(str(partial), "wb") as file, pa.ipc.new_stream(file, schema) as writer:
        while part := list(islice(checked, _ROWS_AT_ONCE)):
            writer.write_batch(pa.RecordBatch.from_pylist(part, schema))
    partial.replace(store)
    opened: Dataset = Dataset.from_file(str(store))
    return opened


def _first_kind(source: str, place: str, name: str, value: Any) -> str:
    """Say what a column holds, going by its first value."""
    wanted = f"{NUMBER} or {NUMBERS}" if is_target(name) else f"{TEXT} or {TEXTS}"
    kind = _kind(_read(name, value))
    if kind == EMPTY:
        return NUMBERS if is_target(name) else TEXTS
    if kind is None or (is_target(name) and kind in (TEXT, TEXTS)):
        raise _refused(source, place, name, wanted, value)
    return kind


def _checked(source: str, place: str, row: Row, layout: dict[str, str]) -> Row:
    if row.keys() != layout.keys():
        raise InputError(
            f"{source}, {place}: the columns of the first row are required, "
            f"{', '.join(layout)}; received {', '.join(row) or 'none'}."
        )
    values = {name: _read(name, value) for name, value in row.items()}
    for name, wanted in layout.items():
        kind = _kind(values[name])
        if kind != wanted and not (kind == EMPTY and wanted in (TEXTS, NUMBERS)):
            raise _refused(source, place, name, wanted, row[name])
    return values


def _kind(value: Any) -> str | None:
    if isinstance(value, str):
        return TEXT
    if isinstance(value, int):
        return NUMBER if abs(value) <= _LARGEST else None
    if isinstance(value, float):
        return NUMBER if math.isfinite(value) else None
    if isinstance(value, list):
        kinds = {_kind(element) for element in value}
        for kind, several in ((TEXT, TEXTS), (NUMBER, NUMBERS)):
            if kinds == {kind}:
                return several
        return None if kinds else EMPTY
    return None


def _read(name: str, value: Any) -> Any:
    """Make a number of a label that is written as text, as all is in CSV; repair texts."""
    if isinstance(value, list):
        return [_read(name, element) for element in value]
    if not isinstance(value, str):
        return value
    if not is_target(name):
        return replace_surrogates(value)
    try:
        return float(value)
    except ValueError:
        return value


def _refused(source: str, place: str, name: str, wanted: str, value: Any) -> InputError:
    hint = " Encode classes as 0, 1, 2 and so on." if is_target(name) else ""
    if isinstance(value, int):
        hint = " Whole numbers are read up to 2^53."
    return InputError(
        f"{source}, {place}, column {name!r}: {wanted} is required, received {value!r:.80}.{hint}"
    )
