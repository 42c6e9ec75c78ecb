"""BM25 gives Lucene's scores and the rankings known for real collections."""

import json
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crossrank.errors import InputError
from crossrank.retrieval.bm25 import BM25

pytest.importorskip("bm25s", reason="needs the extra demo")

DOCUMENTS = ["red fox", "red red wolf howls", "blue fox", "", "the of and"]


def test_scores_by_hand() -> None:
    """Lucene: ln(1 + (N - n + 0.5) / (n + 0.5)) · tf / (tf + k1 (1 - b + b · length / average))."""

    def score(frequency: int, containing: int, length: int) -> float:
        idf = math.log(1 + (5 - containing + 0.5) / (containing + 0.5))
        average = (2 + 4 + 2 + 0 + 0) / 5
        return idf * frequency / (frequency + 1.5 * (1 - 0.75 + 0.75 * length / average))

    found = BM25(DOCUMENTS).search("Red wolf?", 5)
    assert [position for position, _ in found] == [1, 0]
    assert [value for _, value in found] == pytest.approx(
        [score(2, 2, 4) + score(1, 1, 4), score(1, 2, 2)], rel=1e-5
    )


def test_ties_are_in_the_order_of_the_documents() -> None:
    index = BM25(["one apple", "no match", "two apple", "six apple", "ten apple"])
    for k in (1, 2, 3, 4, 5, 100):
        assert [position for position, _ in index.search("apple", k)] == [0, 2, 3, 4][:k]


@given(st.lists(st.text("abc ", max_size=12), min_size=1, max_size=8), st.text("abc ", max_size=8))
def test_fewer_results_are_the_beginning_of_more(documents: list[str], query: str) -> None:
    index = BM25(documents)
    everything = index.search(query, 100)
    assert everything == sorted(everything, key=lambda item: (-item[1], item[0]))
    assert [index.search(query, k) for k in (1, 3)] == [everything[:1], everything[:3]]
    shared = [{word for word in text.split() if len(word) > 1} for text in [query, *documents]]
    matching = [position for position, words in enumerate(shared[1:]) if words & shared[0]]
    assert sorted(position for position, _ in everything) == matching


@pytest.mark.parametrize("query", ["", "the", "zebra", "?!", "\ud800"])
def test_a_query_that_matches_nothing_finds_nothing(query: str) -> None:
    assert BM25(DOCUMENTS).search(query, 3) == []


def test_documents_without_words_can_be_searched() -> None:
    assert BM25(["", "the"]).search("fox", 3) == []


@pytest.mark.parametrize("documents", [[], "one string", ["text", None], [b"bytes"]])
def test_unusable_documents_are_refused(documents: list[str]) -> None:
    with pytest.raises(InputError, match="received"):
        BM25(documents)


def test_k_below_one_is_refused() -> None:
    with pytest.raises(InputError, match="k must be at least 1, received 0"):
        BM25(DOCUMENTS).search("fox", 0)


@pytest.mark.parametrize(("language", "expected"), [("en", 0.948), ("zh", 0.954)])
def test_xquad_paragraphs(crossrank_data: Path, language: str, expected: float) -> None:
    content = json.loads((crossrank_data / "xquad" / f"xquad.{language}.json").read_text())
    paragraphs = [part for article in content["data"] for part in article["paragraphs"]]
    index = BM25([part["context"] for part in paragraphs])
    reciprocal_ranks = []
    for relevant, part in enumerate(paragraphs):
        for question in part["qas"]:
            ranking = [position for position, _ in index.search(question["question"], 240)]
            reciprocal_ranks.append(
                1 / (1 + ranking.index(relevant)) if relevant in ranking else 0.0
            )
    assert len(reciprocal_ranks) == 1190
    assert sum(reciprocal_ranks) / 1190 == pytest.approx(expected, abs=5e-4)
