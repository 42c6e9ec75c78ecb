"""Measuring a model on a dict: values by hand, order without influence, mistakes named."""

import math
import random
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

import crossrank
from crossrank.errors import InputError, InvalidScoreError
from crossrank.evaluation import evaluate_reranker
from crossrank.types import Pair

pytest.importorskip("ir_measures", reason="needs the extra demo")


class Lengths:
    """Scores a pair by the number of words in the document."""

    def predict(self, pairs: Sequence[Pair], /, *, activation_fn: str) -> Any:
        assert activation_fn == "identity"
        return np.array([len(document.split()) for _, document in pairs], dtype=np.float32)


class Constant:
    def predict(self, pairs: Sequence[Pair], /, *, activation_fn: str) -> Any:
        return [0.5] * len(pairs)


def documents(**grades: Any) -> list[dict[str, Any]]:
    """Documents of one to four words, with their grades."""
    return [
        {"text": " ".join(["word"] * int(length[1:])), "relevance": grade}
        for length, grade in grades.items()
    ]


QUERIES = {"one": documents(_1=3, _2=0, _3=1, _4=0), "two": documents(_2=0, _1=1)}


def test_values_by_hand() -> None:
    # "one": lengths 4 3 2 1, grades 0 1 0 3. "two": lengths 2 1, grades 0 1.
    one = (1 / math.log2(3) + 3 / math.log2(5)) / (3 + 1 / math.log2(3))
    two = 1 / math.log2(3)
    assert evaluate_reranker(Lengths(), QUERIES) == pytest.approx(
        {
            "NDCG@10": (one + two) / 2,
            "MAP": ((1 / 2 + 2 / 4) / 2 + 1 / 2) / 2,
            "MRR": (1 / 2 + 1 / 2) / 2,
        }
    )


def test_labels_beside_the_texts() -> None:
    texts = {query: [entry["text"] for entry in found] for query, found in QUERIES.items()}
    labels = {query: [entry["relevance"] for entry in found] for query, found in QUERIES.items()}
    expected = evaluate_reranker(Lengths(), QUERIES)
    assert evaluate_reranker(Lengths(), texts, labels) == expected
    opposite = {query: [1 - bool(grade) for grade in grades] for query, grades in labels.items()}
    # The grades beside the texts are the ones that count.
    assert evaluate_reranker(Lengths(), QUERIES, opposite)["MRR"] == 1.0
    assert (
        evaluate_reranker(Lengths(), texts, {k: np.array(v) for k, v in labels.items()}) == expected
    )


@pytest.mark.parametrize("model", [Lengths(), Constant()])
def test_the_order_of_documents_has_no_influence(model: Any) -> None:
    shuffled = {
        query: random.Random(1).sample(found, len(found)) for query, found in QUERIES.items()
    }
    assert shuffled != QUERIES
    assert evaluate_reranker(model, shuffled) == evaluate_reranker(model, QUERIES)


def test_ties_are_no_better_than_chance() -> None:
    # The relevant document of ten is given first; a model without an opinion finds it anywhere.
    queries = {
        f"query {n}": [{"text": f"text {m}", "relevance": int(m == 0)} for m in range(10)]
        for n in range(1000)
    }
    chance = sum(1 / rank for rank in range(1, 11)) / 10
    # The standard deviation of 1/rank is 0.26.
    assert evaluate_reranker(Constant(), queries)["MRR"] == pytest.approx(chance, abs=0.025)


def test_of_copies_the_better_one_comes_last() -> None:
    copies = [{"text": "same", "relevance": 1}, {"text": "same", "relevance": 0}]
    for found in (copies, copies[::-1]):
        assert evaluate_reranker(Lengths(), {"q": found})["MRR"] == 1 / 2


def test_a_query_without_a_relevant_document_counts_as_0() -> None:
    queries = {"q": documents(_1=0, _2=True), "r": documents(_1=0, _2=-1)}
    assert evaluate_reranker(Lengths(), queries) == {"NDCG@10": 0.5, "MAP": 0.5, "MRR": 0.5}


def test_the_embedded_model() -> None:
    texts = ["Bread is baked.", "Paris is the capital of France.", "A car."]
    queries = {"capital of France": [{"text": t, "relevance": int("Paris" in t)} for t in texts]}
    values = evaluate_reranker(crossrank.CrossEncoder(), queries)
    assert values == {"NDCG@10": 1.0, "MAP": 1.0, "MRR": 1.0}


class NotANumber(Lengths):
    """Fails on documents of two words."""

    def predict(self, pairs: Sequence[Pair], /, *, activation_fn: str) -> Any:
        lengths = super().predict(pairs, activation_fn=activation_fn)
        return np.where(lengths == 2, np.nan, lengths)


class TwoLabels:
    def predict(self, pairs: Sequence[Pair], /, *, activation_fn: str) -> Any:
        return np.zeros((len(pairs), 2))


@pytest.mark.parametrize(
    ("queries", "labels", "message"),
    [
        ({}, None, "at least one query, received none"),
        ({"q": []}, None, r"'q' needs a list of documents, received \[\]"),
        ({"q": "text"}, None, "'q' needs a list of documents, received 'text'"),
        ({"q": ["text"]}, None, "Document 0 of the query 'q': a grade .*received None"),
        ({"q": [{"relevance": 1}]}, None, "Document 0 of the query 'q': a text must be a string"),
        ({"q": [{"text": "t", "relevance": 0.5}]}, None, "a grade must be a whole number"),
        ({"q": ["t"]}, {"q": [1, 0]}, "each of the 1 documents of the query 'q', received 2"),
        ({"q": ["t"]}, {}, "each of the 1 documents of the query 'q', received 0"),
        ({"q": ["t"]}, {"q": [1], "r": [1]}, "not among the others: 'r'"),
    ],
)
def test_a_mistake_is_named(queries: Any, labels: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        evaluate_reranker(Lengths(), queries, labels)


def test_a_model_of_two_labels_is_refused() -> None:
    with pytest.raises(InputError, match=r"for 2 pairs it answered an array of shape \(2, 2\)"):
        evaluate_reranker(TwoLabels(), {"q": documents(_1=1, _2=0)})


def test_a_score_that_is_no_number_is_named() -> None:
    with pytest.raises(InvalidScoreError, match=r"the pair \('one', 'word word'\)"):
        evaluate_reranker(NotANumber(), QUERIES)


def test_queries_may_be_any_text() -> None:
    queries = {text: documents(_1=0, _2=1) for text in ("", "a\0b", "\ud800", "q\tr")}
    assert evaluate_reranker(Lengths(), queries)["MRR"] == 1.0
