"""Text files, line by line: UTF-8, gzip or not, and every mistake named by its line."""

import csv
import gzip
import json
import re
import sys
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from crossrank.errors import InputError

STDIN = Path("-")
Lines = Iterator[tuple[int, str]]
"""Numbers from 1, and lines with their line ends."""
Rows = Iterator[tuple[int, list[str]]]
"""Numbers of lines from 1, and values."""

_GZIP = b"\x1f\x8b"
_QUOTED = re.compile('"(?:[^"]|"")*"')


def stem_suffix(path: Path) -> str:
    """Name the format of a file by its ending, whether it is compressed or not.

    Example:
        >>> stem_suffix(Path("pairs.JSONL.gz")), stem_suffix(Path("pairs.csv"))
        ('.jsonl', '.csv')
    """
    return (Path(path.stem) if is_gzip(path) else path).suffix.lower()


def is_gzip(path: Path) -> bool:
    """Say whether a file is compressed, going by its name."""
    return path.suffix.lower() == ".gz"


def name_of(path: Path) -> str:
    """Name a file in messages."""
    return "stdin" if path == STDIN else str(path)


def read_lines(path: Path) -> Lines:
    """Read a text file or, for ``-``, stdin; a byte order mark is dropped.

    A file that is compressed with gzip is read as if it were not, whatever its name.

    Raises:
        InputError: A line is not UTF-8, or the file is damaged; the message names file and line.
    """
    number = 0
    with _open(path) as file:
        try:
            for number, line in enumerate(file, 1):  # also for the message below
                if number == 1:
                    line = line.removeprefix(b"\xef\xbb\xbf")
                yield number, line.decode("utf-8")
        except UnicodeDecodeError as error:
            raise InputError(
                f"{name_of(path)}, line {number}: text in UTF-8 is required, received the byte "
                f"0x{error.object[error.start]:02x} at position {error.start}. Convert the file, "
                "e.g. with iconv."
            ) from error
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise InputError(f"{path}, after line {number}: damaged gzip file: {error}") from error


def read_objects(
    path: Path, *, skip: int = 0, lines: Lines | None = None
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Read JSON objects one a line, with their line numbers; blank lines are left out.

    Args:
        path: The file, or ``-``.
        skip: How many objects to pass over.
        lines: The file's lines, where they are being read already.

    Raises:
        InputError: A line is no JSON object; the message names file and line.
    """
    for number, line in lines or read_lines(path):
        if not line.strip():
            continue
        if skip:
            skip -= 1
            continue
        yield number, _parse(path, number, line)


def read_csv(path: Path) -> Rows:
    """Read the rows of a file of comma-separated values; blank lines are left out.

    Raises:
        InputError: The file is no CSV, or a row has more or fewer columns than the first; the
            message names file and line.
    """
    csv.field_size_limit(2**31 - 1)
    reader = csv.reader((line for _, line in read_lines(path)), strict=True)
    try:
        yield from _of_one_width(path, ((reader.line_num, values) for values in reader if values))
    except csv.Error as error:
        raise InputError(
            f"{name_of(path)}, line {reader.line_num}: CSV is required: {error}."
        ) from error


def read_tsv(path: Path) -> Rows:
    """Read the rows of a file of tab-separated values; blank lines are left out.

    A line is a row. Such files are written with quotation marks around values, and without: a
    value is taken out of its marks where it is quoted as CSV would, and is else as it stands.

    Raises:
        InputError: A row has more or fewer columns than the first; the message names file and line.
    """
    lines = ((number, line.rstrip("\r\n")) for number, line in read_lines(path))
    rows = ((number, list(map(_unquoted, line.split("\t")))) for number, line in lines if line)
    return _of_one_width(path, rows)


def _of_one_width(path: Path, rows: Rows) -> Rows:
    width = 0
    for number, values in rows:
        width = width or len(values)
        if len(values) != width:
            raise InputError(
                f"{name_of(path)}, line {number}: {width} columns are required, as in the first "
                f"line, received {len(values)}."
            )
        yield number, values


def _unquoted(value: str) -> str:
    return value[1:-1].replace('""', '"') if _QUOTED.fullmatch(value) else value


def text_field(path: Path, place: str, row: dict[str, Any], field: str) -> str:
    """Take a text from a row.

    Raises:
        InputError: The field is absent or no string; the message names file and place.
    """
    if field not in row:
        known = ", ".join(map(repr, row)) or "none"
        raise InputError(
            f"{name_of(path)}, {place}: a field {field!r} is required; its fields are {known}."
        )
    value = row[field]
    if not isinstance(value, str):
        raise InputError(
            f"{name_of(path)}, {place}: the field {field!r} must be a string, received "
            f"{_shorten(json.dumps(value, default=repr))}."
        )
    return value


def write_whole(path: Path, text: str, *, errors: str = "strict") -> None:
    """Write a file in UTF-8, whole or not at all: what was there stays until the end.

    Args:
        path: The file.
        text: All of it.
        errors: What becomes of lone surrogates, as ``str.encode`` has it.
    """
    partial = path.with_name(f"{path.name}.partial")
    partial.write_text(text, encoding="utf-8", errors=errors)
    partial.replace(path)


@contextmanager
def _open(path: Path) -> Iterator[Iterable[bytes]]:
    if path == STDIN:
        if sys.stdin is None:
            raise InputError("Standard input is to be read, and it is closed.")
        yield sys.stdin.buffer
        return
    with path.open("rb") as file:
        if is_gzip(path) or file.peek(2).startswith(_GZIP):
            with gzip.open(file) as unpacked:
                yield unpacked
        else:
            yield file


def _parse(path: Path, number: int, line: str) -> dict[str, Any]:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        reason = getattr(error, "msg", "too deeply nested")
        raise InputError(
            f"{name_of(path)}, line {number}: one JSON object a line is required, received "
            f"{_shorten(line.strip())} ({reason})."
        ) from error
    if not isinstance(value, dict):
        raise InputError(
            f"{name_of(path)}, line {number}: a JSON object is required, received "
            f"{_shorten(line.strip())}."
        )
    return value


def _shorten(text: str) -> str:
    return text if len(text) <= 60 else text[:57] + "..."
