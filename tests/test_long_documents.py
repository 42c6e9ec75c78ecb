"""Windows of long documents, and one logit from many."""

import re
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crossrank.errors import InputError
from crossrank.long_documents import check_long_documents, combine, split


def offsets_of(text: str) -> np.ndarray:
    spans = [match.span() for match in re.finditer(r"\w+|[^\w\s]", text)]
    return np.array(spans, dtype=np.int64).reshape(-1, 2)


@given(
    text=st.text(alphabet="ab .!?\n。", max_size=200),
    window=st.integers(1, 30),
    stride=st.none() | st.integers(1, 30),
)
def test_windows_cover_every_token_in_order(text: str, window: int, stride: int | None) -> None:
    offsets = offsets_of(text)
    spans = split(text, offsets, window=window, stride=stride)
    assert all(start <= end for start, end in spans)
    assert [start for start, _ in spans] == sorted({start for start, _ in spans})
    for start, end in offsets.tolist():
        assert any(a <= start and end <= b for a, b in spans)
    for a, b in spans:
        assert ((offsets[:, 0] >= a) & (offsets[:, 1] <= b)).sum() <= window


def test_windows_begin_at_sentences() -> None:
    sentences = [f"Sentence number {number} has seven words." for number in range(20)]
    text = " ".join(sentences)
    spans = split(text, offsets_of(text), window=24, stride=16)
    starts = {text.index(sentence) for sentence in sentences}
    assert len(spans) > 3
    assert all(start in starts for start, _ in spans)
    assert all(end in starts for _, end in spans[:-1])


def test_words_are_not_cut_where_there_are_no_sentences() -> None:
    text = " ".join(["word"] * 100)
    for start, end in split(text, offsets_of(text), window=7, stride=3):
        assert text[start:end].split() == ["word"] * len(text[start:end].split())


def test_text_without_spaces_is_cut_between_tokens() -> None:
    text = "字" * 50
    offsets = np.array([(place, place + 1) for place in range(50)])
    assert split(text, offsets, window=20, stride=20) == [(0, 20), (20, 40), (40, 50)]


@pytest.mark.parametrize(
    ("how", "expected"), [("max", (9.0, 2)), ("first", (1.0, 0)), ("mean_top3", (6.0, 2))]
)
def test_combine_by_hand(how: str, expected: tuple[float, int]) -> None:
    assert combine(np.float32([1, 4, 9, 5]), how) == expected


def test_mean_of_fewer_than_three() -> None:
    assert combine(np.float32([2, 4]), "mean_top3") == (3.0, 1)


@pytest.mark.parametrize(
    ("how", "window", "stride", "message"),
    [
        ("best", None, None, "long_documents must be one of"),
        ("max", 0, None, "window must be at least 1"),
        ("max", 10, 0, "stride must be at least 1"),
        ("max", 10, 11, "stride must not be larger"),
    ],
)
def test_senseless_options_are_refused(
    how: str, window: int | None, stride: int | None, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        check_long_documents(how, window, stride)


def test_white_space_at_the_end_costs_no_more_than_any_other() -> None:
    text = "One two. Three four." + "\n" * 300_000
    offsets = np.array([m.span() for m in re.finditer(r"\w+|\.", text)])
    began = time.perf_counter()
    assert [text[a:b].strip() for a, b in split(text, offsets, window=3, stride=3)] == [
        "One two.",
        "Three four.",
    ]
    assert time.perf_counter() - began < 5  # it took minutes
