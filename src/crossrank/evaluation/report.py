"""Reports: what was measured, as one HTML page, as JSON, and as tables for a terminal."""

from dataclasses import dataclass, field
from typing import Any


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
