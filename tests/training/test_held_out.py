"""Holding queries out, and choosing how to measure on them."""

from typing import Any

import numpy as np
import pytest

datasets = pytest.importorskip("datasets", reason="the extra 'train' is not installed")

from crossrank.errors import InputError  # noqa: E402
from crossrank.evaluation.evaluators import (  # noqa: E402
    ClassEvaluator,
    RankingEvaluator,
    SimilarityEvaluator,
)
from crossrank.training.examples import Example  # noqa: E402
from crossrank.training.held_out import evaluator_of, hold_out  # noqa: E402


def pairs(queries: int, rows: int = 3) -> Any:
    columns = {
        "query": [f"q{n % queries}" for n in range(queries * rows)],
        "document": [f"d{n}" for n in range(queries * rows)],
        "label": [int(n < queries) for n in range(queries * rows)],
    }
    return datasets.Dataset.from_dict(columns)


def test_a_share_of_the_queries_with_all_their_rows_is_taken_out_of_every_dataset() -> None:
    named = {"one": pairs(20), "two": pairs(40)}
    left, held = hold_out(named, share=0.25, most=100, seed=0)
    queries = {example.query for example in held}
    assert len(queries) == 5
    assert len(held) == 15
    assert set(left["one"]["query"]) == {f"q{n}" for n in range(20)} - queries
    assert set(left["two"]["query"]) == {f"q{n}" for n in range(40)} - queries
    assert len(left["two"]) == 105


def test_the_choice_depends_on_texts_and_seed() -> None:
    def chosen(dataset: Any, seed: int) -> set[str]:
        _, held = hold_out({"one": dataset}, share=0.5, most=6, seed=seed)
        return {example.query for example in held}

    assert len(chosen(pairs(20), 0)) == 6
    assert chosen(pairs(20), 0) == chosen(pairs(20).shuffle(seed=1), 0)
    assert chosen(pairs(20), 0) != chosen(pairs(20), 1)


def test_at_least_two_queries_are_held_out() -> None:
    _, held = hold_out({"one": pairs(3, rows=1)}, share=0.1, most=10, seed=0)
    assert len(held) == 2
    with pytest.raises(InputError, match="at least 3 different ones are required, received 2"):
        hold_out({"one": pairs(2)}, share=0.1, most=10, seed=0)


def test_lists_with_grades_are_ranked() -> None:
    evaluator = evaluator_of(
        [
            Example("q", ("a",), (0.0,)),
            Example("q", ("b", "c"), (2.0, 1.0)),
            Example("r", ("a", "b", "c"), (0.0, 0.0, 0.0)),  # nothing to be measured here
        ],
        measures=["nDCG@10"],
    )
    assert isinstance(evaluator, RankingEvaluator)
    assert evaluator.pairs() == [("q", "b"), ("q", "c"), ("q", "a")]
    assert evaluator(lambda _: np.float32([[3], [2], [1]])) == {"nDCG@10": 1.0}
    assert sorted(evaluator.task.qrels["1"].values()) == [0, 1, 2]


def test_of_long_lists_the_best_documents_stay() -> None:
    example = Example("q", tuple("abcdef"), (0.0, 0.0, 0.0, 1.0, 0.0, 2.0))
    assert evaluator_of([example], depth=3).pairs() == [("q", "f"), ("q", "d"), ("q", "a")]


def test_equal_scores_do_not_put_the_relevant_documents_first() -> None:
    examples = [Example(f"q{n}", (f"p{n}", f"n{n}"), (1.0, 0.0)) for n in range(100)]
    evaluator = evaluator_of(examples, measures=["P@1"])
    assert 0.35 < evaluator(lambda pairs: np.zeros((len(pairs), 1), np.float32))["P@1"] < 0.65


def test_positives_alone_are_ranked_among_those_of_other_queries() -> None:
    examples = [Example(f"q{n}", (f"d{n}",), (1.0,)) for n in range(4)]
    evaluator = evaluator_of(examples, depth=3)
    assert evaluator.pairs()[:3] == [("q0", "d0"), ("q0", "d1"), ("q0", "d2")]
    assert evaluator.pairs()[-3:] == [("q3", "d3"), ("q3", "d0"), ("q3", "d1")]


def test_single_pairs() -> None:
    def kind(*labels: float, num_labels: int = 1) -> type:
        examples = [Example(f"q{n}", ("d",), (label,)) for n, label in enumerate(labels)]
        return type(evaluator_of(examples, num_labels=num_labels))

    assert kind(0, 1, 1) is ClassEvaluator
    assert kind(0, 2, 1, num_labels=3) is ClassEvaluator
    assert kind(0, 0.5, 1) is SimilarityEvaluator
    assert kind(0, 5, 3) is SimilarityEvaluator
    assert kind(-1, 1, 0) is SimilarityEvaluator


def test_data_that_says_nothing_is_refused() -> None:
    with pytest.raises(InputError, match="received 2 pairs, all of 1"):
        evaluator_of([Example("q", ("a", "b"), (1.0, 1.0))], num_labels=3)
    positives = [Example(query, ("a",), (1.0,)) for query in "qr"]
    with pytest.raises(InputError, match=r"2, all have the same\. Hold more queries out"):
        evaluator_of(positives)
    assert evaluator_of([*positives, Example("s", ("b",), (1.0,))]).pairs()[0] == ("q", "a")
