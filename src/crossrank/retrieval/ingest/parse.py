"""Reading files of many formats as text with headings.

Offsets that are told later are characters of the text given here: for plain text, Markdown, and
rows of JSONL and CSV that is the text of the file itself.
"""

import gzip
import re
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from crossrank.errors import InputError
from crossrank.optional import require
from crossrank.text_files import is_gzip, read_csv, read_objects, read_tsv, stem_suffix

MOST_BYTES = 100_000_000
"""Larger files are refused: they are data, not documents. Rows of JSONL and CSV are read one by one
and have no limit."""


@dataclass(frozen=True)
class Heading:
    """A heading in a text.

    Attributes:
        start: First character.
        level: 1 is the highest.
        title: Its words.
    """

    start: int
    level: int
    title: str


@dataclass(frozen=True)
class Unit:
    """A text that belongs together: a file, a page of it, or a row.

    Attributes:
        text: The text.
        headings: In order.
        place: Where in the file it is, e.g. ``"page 3"``; empty for all of it.
    """

    text: str
    headings: tuple[Heading, ...] = ()
    place: str = ""


Units = Iterator[Unit]


def read_units(path: Path) -> Units:
    """Read a file; its name says what it is.

    Args:
        path: A file of one of ``SUFFIXES``, texts and pages also with ``.gz``; JSONL, CSV and TSV
            need a column ``text``, and may have a ``title``.

    Raises:
        InputError: It cannot be read, or is of another kind; the message names it.
        MissingDependencyError: A package that reads it is not installed.
    """
    suffix = stem_suffix(path)
    if suffix not in SUFFIXES:
        raise InputError(f"{path}: one of {', '.join(SUFFIXES)} is required, received {suffix!r}.")
    if suffix not in _BY_ROW and path.stat().st_size > MOST_BYTES:
        raise _too_large(path)
    yield from SUFFIXES[suffix](path)


def _plain(path: Path) -> Units:
    yield Unit(_text_of(path))


def _markdown(path: Path) -> Units:
    text = _text_of(path)
    # Lines as Markdown has them: str.splitlines knows more ends than these.
    starts = [0, *(end.end() for end in re.finditer(r"\r\n?|\n", text))]
    tokens = require("markdown_it", extra="rag").MarkdownIt().parse(text)
    headings = tuple(
        Heading(starts[token.map[0]], int(token.tag[1:]), tokens[number + 1].content)
        for number, token in enumerate(tokens)
        if token.type == "heading_open"
    )
    yield Unit(text, headings)


def _html(path: Path) -> Units:
    from crossrank.retrieval.ingest.html import read_html

    yield read_html(_bytes_of(path))


def _pdf(path: Path) -> Units:
    from crossrank.retrieval.ingest.office import read_pdf

    return read_pdf(path)


def _docx(path: Path) -> Units:
    from crossrank.retrieval.ingest.office import read_docx

    return read_docx(path)


def _jsonl(path: Path) -> Units:
    for number, row in read_objects(path):
        yield _row(path, f"line {number}", row.get("text"), row.get("title"))


def _csv(path: Path) -> Units:
    return _table(path, read_csv)


def _tsv(path: Path) -> Units:
    return _table(path, read_tsv)


def _table(path: Path, read: Callable[[Path], Iterator[tuple[int, list[str]]]]) -> Units:
    rows = read(path)
    _, header = next(rows, (0, []))
    if "text" not in header:
        raise InputError(f"{path}: a column 'text' is required, its columns are {header!r}.")
    for number, values in rows:
        row = dict(zip(header, values, strict=True))
        yield _row(path, f"line {number}", row["text"], row.get("title"))


def _row(path: Path, place: str, text: object, title: object) -> Unit:
    if not isinstance(text, str) or not isinstance(title, str | None):
        raise InputError(
            f"{path}, {place}: a string 'text' is required, and 'title', if any, must be one, too."
        )
    return Unit(text, (Heading(0, 1, title),) if title else (), place)


def _bytes_of(path: Path) -> bytes:
    """Read a file, compressed or not, and no more of it than is allowed."""
    try:
        with gzip.open(path) if is_gzip(path) else path.open("rb") as file:
            content: bytes = file.read(MOST_BYTES + 1)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise InputError(f"{path}: a whole gzip file is required: {error}.") from error
    if len(content) > MOST_BYTES:
        raise _too_large(path)
    return content


def _too_large(path: Path) -> InputError:
    return InputError(f"{path}: at most {MOST_BYTES} bytes are read, and it is larger.")


def _text_of(path: Path) -> str:
    try:
        return _bytes_of(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: UTF-8 is required: {error}.") from error


SUFFIXES: dict[str, Callable[[Path], Units]] = {
    ".txt": _plain,
    ".md": _markdown,
    ".html": _html,
    ".htm": _html,
    ".pdf": _pdf,
    ".docx": _docx,
    ".jsonl": _jsonl,
    ".csv": _csv,
    ".tsv": _tsv,
}
"""What can be read, by the ending of a file's name."""

_BY_ROW = (".jsonl", ".csv", ".tsv")
