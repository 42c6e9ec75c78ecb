"""Cutting texts into chunks: along headings first, then at sentences, with some overlap."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from crossrank.errors import InputError
from crossrank.long_documents import split
from crossrank.retrieval.ingest.parse import Unit

_EAST = "\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af"  # Chinese, Japanese, Korean
_SOUTH = "\u0e01-\u0eff\u1000-\u109f\u1780-\u17ff"  # Thai, Lao, Burmese, Khmer
_MARKS = (
    "\u0e31\u0e34-\u0e3a\u0e47-\u0e4e\u0eb1\u0eb4-\u0ebc\u0ec8-\u0ece\u102b-\u103e\u17b4-\u17d3"
)

# A character of the first counts as a word, three of the second, with their vowel signs and tones.
_WORD = re.compile(rf"[{_EAST}]|(?:[{_SOUTH}][{_MARKS}]*){{1,3}}|[^\s{_EAST}{_SOUTH}]+")


@dataclass(frozen=True)
class Chunk:
    """A piece of a text.

    Attributes:
        start: Its first character in the text.
        end: The character after its last one.
        text: The piece.
        heading: The headings above it, highest first, joined by ``" > "``.
        place: Where in the file its text is; see ``Unit``.
    """

    start: int
    end: int
    text: str
    heading: str
    place: str


def chunks_of(unit: Unit, *, words: int = 200, overlap: int = 40) -> Iterator[Chunk]:
    """Cut a text.

    Args:
        unit: The text with its headings.
        words: Most words a chunk has.
        overlap: About so many words at its end are the beginning of the next one.

    Raises:
        InputError: The overlap is not smaller than a chunk.

    Example:
        >>> text = "One two. Three four. Five six."
        >>> [chunk.text for chunk in chunks_of(Unit(text), words=4, overlap=2)]
        ['One two. Three four.', 'Three four. Five six.']
    """
    if not 0 <= overlap < words:
        raise InputError(
            f"overlap must be at least 0 and less than words, received {overlap} and {words}."
        )
    for start, end, heading in _sections(unit):
        text = unit.text[start:end]
        places = [match.span() for match in _WORD.finditer(text)]
        if not places:
            continue
        offsets = np.asarray(places, dtype=np.int64)
        for first, last in split(text, offsets, window=words, stride=words - overlap):
            piece = text[first:last]
            begin = start + first + len(piece) - len(piece.lstrip())
            stripped = piece.strip()
            yield Chunk(begin, begin + len(stripped), stripped, heading, unit.place)


def _sections(unit: Unit) -> Iterator[tuple[int, int, str]]:
    """Divide a text at its headings; each part knows the headings above it."""
    starts = [0, *(heading.start for heading in unit.headings), len(unit.text)]
    yield starts[0], starts[1], ""
    above: list[tuple[int, str]] = []
    for number, heading in enumerate(unit.headings, 1):
        above = [(level, title) for level, title in above if level < heading.level]
        above.append((heading.level, heading.title))
        yield starts[number], starts[number + 1], " > ".join(title for _, title in above)
