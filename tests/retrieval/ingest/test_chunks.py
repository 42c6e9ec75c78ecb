"""Chunks: nothing lost, offsets exact, no larger than asked for."""

import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crossrank.errors import InputError
from crossrank.retrieval.ingest.chunks import Chunk, chunks_of
from crossrank.retrieval.ingest.parse import Heading, Unit

TEXTS = st.lists(
    st.sampled_from(["word", "Longer", "end.", "Why?", "\n", "\n\n", "  ", "中文", "é", "# x\n"]),
    max_size=80,
).map(" ".join)


@given(text=TEXTS, words=st.integers(1, 12), overlap=st.integers(0, 11))
def test_chunks_are_pieces_of_the_text_and_cover_it(text: str, words: int, overlap: int) -> None:
    if overlap >= words:
        overlap = words - 1
    chunks = list(chunks_of(Unit(text), words=words, overlap=overlap))
    covered: set[int] = set()
    for chunk in chunks:
        assert text[chunk.start : chunk.end] == chunk.text
        assert chunk.text == chunk.text.strip()
        assert len(re.sub("([中文])", r" \1 ", chunk.text).split()) <= words
        covered |= set(range(chunk.start, chunk.end))
    assert all(text[n].isspace() for n in set(range(len(text))) - covered)


def test_headings_begin_chunks_and_are_told_from_the_top() -> None:
    text = "Before. # A one ## B two # C three"
    unit = Unit(
        text,
        (
            Heading(text.index("# A"), 1, "A"),
            Heading(text.index("## B"), 2, "B"),
            Heading(text.index("# C"), 1, "C"),
        ),
        "page 2",
    )
    assert list(chunks_of(unit)) == [
        Chunk(0, 7, "Before.", "", "page 2"),
        Chunk(8, 15, "# A one", "A", "page 2"),
        Chunk(16, 24, "## B two", "A > B", "page 2"),
        Chunk(25, 34, "# C three", "C", "page 2"),
    ]


def test_sentences_stay_whole_where_they_fit_and_overlap() -> None:
    text = "One two three. Four five six. Seven eight nine. Ten."
    found = [chunk.text for chunk in chunks_of(Unit(text), words=7, overlap=3)]
    assert found == ["One two three. Four five six.", "Four five six. Seven eight nine. Ten."]


def test_scripts_without_spaces_are_cut_too() -> None:
    thai = "ภาษาไทยเป็นภาษาที่เขียนติดกันโดยไม่เว้นวรรคระหว่างคำ" * 20
    found = list(chunks_of(Unit(thai), words=30, overlap=5))
    assert len(found) > 10
    for chunk in found:
        letters = [c for c in chunk.text if unicodedata.category(c) != "Mn"]
        assert len(letters) <= 3 * 30
        assert unicodedata.category(chunk.text[0]) != "Mn"  # no sign is cut off its letter
    assert found[-1].end == len(thai)
    mixed = "ที่ one 中文 two ที่นี่"
    assert [c.text for c in chunks_of(Unit(mixed), words=2, overlap=0)] == [
        "ที่ one",
        "中文",
        "two ที่นี่",
    ]


@pytest.mark.parametrize(("words", "overlap"), [(5, 5), (5, -1), (0, 0)])
def test_an_overlap_as_large_as_a_chunk_is_refused(words: int, overlap: int) -> None:
    with pytest.raises(InputError, match="overlap must be at least 0 and less than words"):
        list(chunks_of(Unit("text"), words=words, overlap=overlap))
