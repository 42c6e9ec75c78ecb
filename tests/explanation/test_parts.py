"""Texts in parts: what is cut, where, and what is left when parts are taken out."""

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crossrank.explanation.parts import Parts

TEXTS = st.text(max_size=120) | st.text(alphabet="ab .!?\n\r\t。東京\u3000é\u0301", max_size=120)
CUTS = [Parts.sentences, Parts.words]


def pieces(parts: Parts) -> list[str]:
    return [parts.text[start:end] for start, end in parts.spans]


@pytest.mark.parametrize("cut", CUTS)
@given(text=TEXTS, most=st.integers(1, 20))
def test_parts_are_the_text_in_order(cut: type, text: str, most: int) -> None:
    parts = cut(text, most)
    assert len(parts) == len(parts.spans) <= most
    end = 0
    for start, stop in parts.spans:
        assert end <= start < stop <= len(text)
        assert not text[end:start].strip()  # nothing but white space lies between parts
        assert text[start:stop] == text[start:stop].strip()
        end = stop
    assert not text[end:].strip()
    if len(parts):
        assert parts.keep(np.ones(len(parts), dtype=bool)) == text
    assert parts.keep(np.zeros(len(parts), dtype=bool)) == ""


@given(text=st.text(alphabet="ab .!\n\u3000é\u0301", max_size=80), data=st.data())
def test_what_is_kept_are_the_parts_that_stay(text: str, data: st.DataObject) -> None:
    parts = Parts.words(text, 50)
    kept = data.draw(st.lists(st.booleans(), min_size=len(parts), max_size=len(parts)))
    expected = [part for part, stays in zip(pieces(parts), kept, strict=True) if stays]
    assert parts.keep(np.array(kept, dtype=bool)).split() == expected


def test_sentences_end_as_in_long_documents() -> None:
    text = '  One ends. "Two?" asks he. Three\nFour e.g. five。六。 '
    assert pieces(Parts.sentences(text, 10)) == [
        "One ends.",
        '"Two?"',
        "asks he.",
        "Three",
        "Four e.g.",
        "five。",
        "六。",
    ]


def test_words_keep_their_punctuation_and_ideographs_stand_alone() -> None:
    assert pieces(Parts.words("It's 3.5, naïve—ok.", 9)) == ["It's", "3.5,", "naïve—ok."]
    assert pieces(Parts.words("在Tokyo塔。カナ!", 9)) == ["在", "Tokyo", "塔。", "カ", "ナ!"]


def test_neighbours_are_joined_evenly() -> None:
    words = " ".join(map(str, range(10)))
    assert pieces(Parts.words(words, 4)) == ["0 1", "2 3 4", "5 6", "7 8 9"]
    assert pieces(Parts.sentences("A. B. C.", 2)) == ["A.", "B. C."]
    assert len(Parts.words(" ".join("x" * 5000), 128)) == 128


@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize("text", ["", " ", "\n\t \u3000"])
def test_white_space_has_no_parts(cut: type, text: str) -> None:
    assert (len(cut(text, 5)), cut(text, 5).spans, cut(text, 5).borders) == (0, [], (0,))


def test_a_token_belongs_to_the_part_of_its_last_character() -> None:
    parts = Parts.words(" ab cd", 5)
    # Ends of the tokens " a", "b", " ", "c", " cd" and one of no width at the text's beginning.
    assert parts.part_of(np.array([2, 3, 4, 5, 6, 0])).tolist() == [0, 0, 0, 1, 1, 0]


def test_white_space_at_the_end_costs_no_more_than_any_other() -> None:
    began = time.perf_counter()
    for cut in (Parts.sentences, Parts.words):
        assert len(cut("One two. Three four." + "\n" * 300_000, most=9)) in (2, 4)
    assert time.perf_counter() - began < 5  # it took minutes
