"""Retrieve and rerank: order, depth, time, copies."""

import asyncio
import time

import numpy as np
import pytest

from crossrank import CrossEncoder
from crossrank.errors import InputError
from crossrank.retrieval.base import Hits
from crossrank.retrieval.bm25 import BM25
from crossrank.retrieval.pipeline import STEP, RetrieveAndRerank
from crossrank.types import Floats, Pair

DOCUMENTS = [f"number {number}" for number in range(200)]


class Ascending:
    """A first stage that finds all documents in the order of the collection."""

    def search_many(self, queries: list[str], k: int) -> list[Hits]:
        return [[(position, 1.0 / (1 + position)) for position in range(k)][:200] for _ in queries]

    def score(self, pairs: list[Pair]) -> Floats:
        raise NotImplementedError


class Largest:
    """A reranker that likes large numbers, and may take its time."""

    def __init__(self, seconds_a_pair: float = 0.0) -> None:
        self.seconds_a_pair = seconds_a_pair
        self.calls: list[int] = []

    def predict(self, inputs: list[Pair], *, activation_fn: str | None = None) -> Floats:
        assert activation_fn == "identity"
        self.calls.append(len(inputs))
        time.sleep(self.seconds_a_pair * len(inputs))
        return np.float32([int(document.split()[1]) for _, document in inputs])


def test_the_best_of_the_reranked_come_first_and_the_rest_as_they_were_found() -> None:
    search = RetrieveAndRerank(Ascending(), Largest(), DOCUMENTS, depth=3, top_k=5)
    result = search("q")
    assert [hit.id for hit in result.hits] == [2, 1, 0, 3, 4]
    assert [hit.score for hit in result.hits] == [2.0, 1.0, 0.0, None, None]
    assert [hit.first_stage_rank for hit in result.hits] == [3, 2, 1, 4, 5]
    assert result.hits[0].first_stage_score == pytest.approx(1 / 3)
    assert result.depth == 3
    assert set(result.seconds) == {"retrieve", "rerank"}


def test_many_queries_are_scored_in_one_call() -> None:
    reranker = Largest()
    search = RetrieveAndRerank(Ascending(), reranker, DOCUMENTS, depth=7, top_k=2)
    results = search.search_many(["a", "b", "c"])
    assert reranker.calls == [21]
    assert [[hit.id for hit in result.hits] for result in results] == [[6, 5]] * 3
    assert [result.query for result in results] == ["a", "b", "c"]
    assert search.search_many([]) == []


def test_time_limits_the_depth() -> None:
    reranker = Largest(seconds_a_pair=0.001)
    search = RetrieveAndRerank(Ascending(), reranker, DOCUMENTS, depth=200, top_k=200)
    start = time.perf_counter()
    result = search("q", budget_ms=120)
    assert time.perf_counter() - start < 0.2
    assert STEP <= result.depth < 200
    assert result.depth == sum(reranker.calls)
    assert [hit.id for hit in result.hits][: result.depth] == list(range(result.depth))[::-1]
    assert [hit.id for hit in result.hits][result.depth :] == list(range(result.depth, 200))


def test_without_time_nothing_is_reranked() -> None:
    result = RetrieveAndRerank(Ascending(), Largest(), DOCUMENTS, top_k=3)("q", budget_ms=0)
    assert (result.depth, [hit.id for hit in result.hits]) == (0, [0, 1, 2])


def test_near_copies_of_better_documents_are_left_out() -> None:
    documents = ["number 1 a b c d e f g h", "number 2 a b c d e f g h", "number 3", "number 9"]

    class Four(Ascending):
        def search_many(self, queries: list[str], k: int) -> list[Hits]:
            return [[(position, 0.0) for position in range(4)] for _ in queries]

    # Of 10 runs of three words the long ones share 6, "a b c" to "f g h".
    kept = RetrieveAndRerank(Four(), Largest(), documents, unique=0.6)("q").hits
    assert [hit.id for hit in kept] == [3, 2, 1]
    kept = RetrieveAndRerank(Four(), Largest(), documents, unique=0.61)("q").hits
    assert [hit.id for hit in kept] == [3, 2, 1, 0]


def test_a_query_that_finds_nothing_has_an_empty_result() -> None:
    documents = ["red fox", "blue fox"]
    search = RetrieveAndRerank(BM25(documents), CrossEncoder(), documents)
    assert search("zebra").hits == []
    assert [hit.text for hit in search("the red one").hits] == ["red fox"]
    assert asyncio.run(search.search_async("blue")).hits[0].text == "blue fox"


@pytest.mark.parametrize("wrong", [{"depth": 0}, {"top_k": 0}, {"unique": 0.0}, {"unique": 1.5}])
def test_wrong_arguments_are_named(wrong: dict[str, float]) -> None:
    with pytest.raises(InputError, match=next(iter(wrong))):
        RetrieveAndRerank(Ascending(), Largest(), DOCUMENTS, **wrong)
