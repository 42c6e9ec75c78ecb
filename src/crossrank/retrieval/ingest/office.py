"""PDF and DOCX as text."""

import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from crossrank.errors import InputError
from crossrank.optional import require
from crossrank.retrieval.ingest.parse import Heading, Unit

MOST_UNPACKED = 500_000_000
"""Bytes that a DOCX file, a ZIP archive, may unpack to."""

_HEADING = re.compile(r"(?:heading|title) ?(\d*)", re.IGNORECASE)


def read_pdf(path: Path) -> Iterator[Unit]:
    """Read a PDF, page by page; pages that are pictures have no text.

    Raises:
        InputError: It is damaged, or locked with a password.
    """
    pypdf = require("pypdf", extra="rag")
    try:
        reader = pypdf.PdfReader(path)
        for number, page in enumerate(reader.pages, 1):
            yield Unit(page.extract_text(), place=f"page {number}")
    # Parsers raise whatever a damaged file makes them stumble on.
    except Exception as error:
        raise InputError(f"{path}: a PDF that can be read is required: {error}.") from error


def read_docx(path: Path) -> Iterator[Unit]:
    """Read a DOCX: paragraphs, headings, and the rows of tables.

    Raises:
        InputError: It is damaged, or unpacks to more than is allowed.
    """
    docx = require("docx", extra="rag")
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(entry.file_size for entry in archive.infolist())
    except (zipfile.BadZipFile, ValueError) as error:
        raise InputError(f"{path}: a DOCX that can be read is required: {error}.") from error
    if size > MOST_UNPACKED:
        raise InputError(f"{path}: at most {MOST_UNPACKED} bytes unpacked are read.")
    try:
        document = docx.Document(str(path))
        blocks = [_block(block) for block in document.iter_inner_content()]
    # Parsers raise whatever a damaged file makes them stumble on.
    except Exception as error:
        raise InputError(f"{path}: a DOCX that can be read is required: {error}.") from error
    parts: list[str] = []
    headings: list[Heading] = []
    length = 0
    for text, level in blocks:
        if level and text.strip():
            headings.append(Heading(length, level, text.strip()))
        parts.append(f"{text}\n")
        length += len(text) + 1
    yield Unit("".join(parts), tuple(headings))


def _block(block: Any) -> tuple[str, int]:
    """Give the text of a paragraph or table, and the level of a heading or 0."""
    if hasattr(block, "rows"):
        rows = (" | ".join(cell.text for cell in row.cells) for row in block.rows)
        return "\n".join(rows), 0
    style = _HEADING.fullmatch(block.style.name or "") if block.style is not None else None
    return block.text, int(style[1] or 1) if style else 0
