"""Reports: what was measured, as one HTML page, as JSON, and as tables for a terminal."""

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from crossrank import __version__
from crossrank.optional import require
from crossrank.text_files import write_whole

TEMPLATE = Path(__file__).with_name("report.html")

LONG = 30
"""Rows from which on a table is folded up on the page."""

_WORDS = re.compile(r"[^\W\d_]")


@dataclass(frozen=True)
class Table:
    """Figures in columns.

    Attributes:
        header: Names of the columns.
        rows: A text for each column.
        caption: What the table shows.
    """

    header: list[str]
    rows: list[list[str]]
    caption: str = ""

    def numeric(self) -> list[bool]:
        """Say which columns hold figures, and no words.

        Example:
            >>> Table(["", "nDCG@10"], [["BM25", "0.506 [0.42, 0.59]"]]).numeric()
            [False, True]
        """
        columns = zip(*self.rows, strict=True)
        return [not any(map(_WORDS.search, column)) for column in columns]


@dataclass(frozen=True)
class Figure:
    """A picture.

    Attributes:
        svg: The picture.
        caption: What it shows, in words that serve those who cannot see it.
    """

    svg: str
    caption: str


@dataclass(frozen=True)
class Section:
    """One subject of a report.

    Attributes:
        title: Its heading.
        text: Paragraphs: what was done, and how to read what follows.
        tables: Figures in columns.
        figures: Pictures.
        data: The same for machines: what ``json`` can write.
    """

    title: str
    text: list[str] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    figures: list[Figure] = field(default_factory=list)
    data: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Report:
    """What was measured.

    Attributes:
        title: Of the page.
        sections: By the name that each has in JSON.
    """

    title: str
    sections: dict[str, Section]


def write_html(report: Report, path: Path) -> None:
    """Write a report as one HTML page that loads nothing from elsewhere.

    Args:
        report: What to write. All of it is shown as text, but for the figures' SVG.
        path: The file; it is replaced whole or not at all.

    Raises:
        MissingDependencyError: jinja2 is not installed.
    """
    jinja2 = require("jinja2", extra="evaluation")
    page = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    ).from_string(TEMPLATE.read_text(encoding="utf-8"))
    shown = page.render(report=report, long=LONG, version=__version__)
    write_whole(path, shown, errors="replace")


def write_json(report: Report, path: Path) -> None:
    """Write the data of a report's sections as JSON.

    Args:
        report: What to write.
        path: The file; it is replaced whole or not at all.
    """
    content = {
        "title": report.title,
        "crossrank": __version__,
        "sections": {name: section.data for name, section in report.sections.items()},
    }
    write_whole(path, json.dumps(content, indent=2, allow_nan=False) + "\n")
