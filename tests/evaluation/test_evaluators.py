"""Evaluators: values worked by hand, and data that nothing can be measured on."""

import math
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
import pytest

from crossrank.errors import InputError
from crossrank.evaluation.evaluation_set import EvaluationSet
from crossrank.types import Floats, Pair

pytest.importorskip("ir_measures", reason="the extra 'demo' is not installed")

from crossrank.evaluation.evaluators import (
    ClassEvaluator,
    Outcome,
    Predict,
    RankingEvaluator,
    SimilarityEvaluator,
)

TEXTS = {name: f"text {name}" for name in "abc"}
TASK = EvaluationSet(
    queries={"1": "one", "2": "two"},
    documents=TEXTS,
    qrels={"1": {"a": 1}, "2": {"b": 3, "c": 1}},
    candidates={"1": dict.fromkeys("abc", 0.0), "2": dict.fromkeys("abc", 0.0)},
)


def answering(*logits: Sequence[float] | float) -> Predict:
    """A model with fixed answers."""

    def predict(pairs: Sequence[Pair]) -> Floats:
        return np.asarray(logits, dtype=np.float32).reshape(len(pairs), -1)

    return predict


def test_rankings() -> None:
    evaluator = RankingEvaluator(TASK, ["nDCG@10", "RR@10"])
    # Query 1: b a c, the relevant one second. Query 2: c b a, grades 1 3 0.
    outcome = evaluator.outcome(answering(2, 3, 1, 1, 2, 3))
    first = 1 / math.log2(3)
    second = (1 + 3 / math.log2(3)) / (3 + 1 / math.log2(3))
    assert outcome.each["nDCG@10"] == pytest.approx([first, second])
    assert outcome.each["RR@10"] == [0.5, 1.0]
    assert outcome.values == pytest.approx({"nDCG@10": (first + second) / 2, "RR@10": 0.75})
    assert evaluator(answering(2, 3, 1, 1, 2, 3)) == outcome.values
    assert (evaluator.primary, evaluator.unit, outcome.size) == ("nDCG@10", "queries", 2)


def test_the_interval_of_a_mean_is_bootstrapped() -> None:
    interval = (
        RankingEvaluator(TASK, ["RR@10"]).outcome(answering(2, 3, 1, 1, 2, 3)).interval("RR@10")
    )
    assert interval is not None
    # Of two queries with 0.5 and 1, a quarter of the draws has twice the one, a quarter the other.
    assert (interval.mean, interval.low, interval.high) == (0.75, 0.5, 1.0)


def test_a_judged_query_without_candidates_counts_as_0() -> None:
    task = EvaluationSet(TASK.queries, TEXTS, TASK.qrels, {"1": TASK.candidates["1"]})
    assert RankingEvaluator(task, ["RR@10"])(answering(3, 2, 1)) == {"RR@10": 0.5}


def test_with_the_misses_of_the_first_stage_and_without() -> None:
    task = EvaluationSet(
        queries=dict.fromkeys("123", "?"),
        documents=TEXTS,
        qrels={"1": {"a": 1, "missed": 1}, "2": {"missed": 3, "b": 0}, "3": {"b": -1}},
        candidates={"1": dict.fromkeys("abc", 0.0), "2": dict.fromkeys("ab", 0.0)},
    )
    outcome = RankingEvaluator(task, ["AP", "R@3"], found=True).outcome(answering(2, 3, 1, 2, 1))
    # Query 1: b a c. Of two relevant documents one is found, second: 1/2. The others have none.
    assert outcome.values == pytest.approx(
        {"AP": 1 / 4 / 3, "R@3": 1 / 2 / 3, "AP (found)": 1 / 2, "R@3 (found)": 1.0}
    )
    assert outcome.each["AP"] == [1 / 4, 0, 0]
    assert outcome.each["AP (found)"] == [1 / 2]
    assert outcome.size == 3
    assert set(RankingEvaluator(task, ["AP"])(answering(2, 3, 1, 2, 1))) == {"AP"}


@pytest.mark.parametrize(
    "qrels",
    [
        {"1": {"a": 1, "b": 1, "c": 1}},  # all candidates relevant
        {"1": {"d": 1}},  # none is
        {"1": {"a": -1}},  # below 0 is no more relevant than not judged
        {"2": {"a": 1}},  # no candidates
    ],
)
def test_candidates_of_one_relevance_are_refused(qrels: dict[str, dict[str, int]]) -> None:
    task = EvaluationSet(TASK.queries, TEXTS, qrels, {"1": TASK.candidates["1"]})
    with pytest.raises(InputError, match="both relevant and other candidates, and none of the 1"):
        RankingEvaluator(task)


def test_a_ranking_needs_a_measure() -> None:
    with pytest.raises(InputError, match="at least one measure"):
        RankingEvaluator(TASK, [])


PAIRS = [("a", "b"), ("a", "c"), ("a", "d"), ("a", "e")]


def test_similarities() -> None:
    evaluator = SimilarityEvaluator(PAIRS, [1, 2, 3, 4])
    values = evaluator(answering(1, 3, 2, 9))
    # Ranks 1 3 2 4: 1 - 6 * (0 + 1 + 1 + 0) / (4 * 15).
    assert values["spearman"] == pytest.approx(float(1 - Fraction(12, 60)))
    # Deviations -1.5 -.5 .5 1.5 and -2.75 -.75 -1.75 5.25.
    assert values["pearson"] == pytest.approx(11.5 / math.sqrt(5 * 38.75))
    assert evaluator.primary == "spearman"


def test_constant_scores_agree_with_nothing() -> None:
    outcome = SimilarityEvaluator(PAIRS, [1, 2, 3, 4]).outcome(answering(5, 5, 5, 5))
    assert outcome.values == {"spearman": 0.0, "pearson": 0.0}


def test_the_interval_of_a_correlation() -> None:
    outcome = Outcome({"spearman": 0.5, "pearson": 0.5}, size=103)
    spearman, pearson = outcome.interval("spearman"), outcome.interval("pearson")
    assert spearman is not None
    assert pearson is not None
    middle, half = math.atanh(0.5), 1.959964 * math.sqrt(1.125 / 100)
    assert (spearman.low, spearman.high) == pytest.approx(
        (math.tanh(middle - half), math.tanh(middle + half))
    )
    assert pearson.high == pytest.approx(math.tanh(middle + 0.1959964))
    assert Outcome({"spearman": 0.5}, size=3).interval("spearman") is None
    assert Outcome({"macro_f1": 0.5}, size=103).interval("macro_f1") is None


def test_a_perfect_correlation_has_an_interval() -> None:
    interval = Outcome({"pearson": 1.0}, size=50).interval("pearson")
    assert interval is not None
    assert 0.99 < interval.low <= interval.high <= 1.0


def test_classes() -> None:
    evaluator = ClassEvaluator(PAIRS, [0, 1, 2, 2])
    outcome = evaluator.outcome(answering([3, 1, 1], [1, 0, 2], [0, 1, 2], [0, 0, 1]))
    assert outcome.each == {"accuracy": [1, 0, 1, 1]}
    # Class 0: 1. Class 1: never found, 0. Class 2: precision 2/3, recall 1, so 4/5.
    assert outcome.values == pytest.approx({"accuracy": 0.75, "macro_f1": (1 + 0 + 0.8) / 3})


def test_two_classes_of_a_single_logit() -> None:
    evaluator = ClassEvaluator(PAIRS, [1, 0, 1, 0])
    assert evaluator(answering(2, -2, -1, 0))["accuracy"] == 0.75


def test_f1_and_average_precision_of_two_classes() -> None:
    evaluator = ClassEvaluator(PAIRS, [1, 0, 1, 0])
    # Found: 1 0 0 1, a hit of two. Ranked: the fourth, first, third and second.
    values = evaluator(answering(2, -2, -1, 3))
    assert values["f1"] == 1 / 2
    assert values["ap"] == pytest.approx((1 / 2 + 2 / 3) / 2)
    assert evaluator(answering([0, 2], [2, 0], [1, 0], [0, 3])) == values
    # All tie: every positive is found at once with the others.
    assert evaluator(answering(0, 0, 0, 0)) == {
        "accuracy": 0.5,
        "macro_f1": 1 / 3,
        "f1": 0,
        "ap": 0.5,
    }


def test_more_classes_have_no_average_precision() -> None:
    three_logits = answering([1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, 1])
    assert set(ClassEvaluator(PAIRS, [0, 1, 0, 1])(three_logits)) == {"accuracy", "macro_f1"}


@pytest.mark.parametrize("seed", range(5))
def test_classes_as_scikit_learn_measures_them(seed: int) -> None:
    metrics = pytest.importorskip("sklearn.metrics", reason="scikit-learn is not installed")
    random = np.random.default_rng(seed)
    labels = random.integers(0, 2, 200)
    scores = np.round(random.normal(labels - 0.5), 1)  # with ties
    found = ClassEvaluator([("q", "d")] * 200, labels.tolist())(answering(*scores.tolist()))
    classes = scores > 0
    assert found == pytest.approx(
        {
            "accuracy": metrics.accuracy_score(labels, classes),
            "macro_f1": metrics.f1_score(labels, classes, average="macro"),
            "f1": metrics.f1_score(labels, classes),
            "ap": metrics.average_precision_score(labels, scores),
        }
    )


@pytest.mark.parametrize("kind", [SimilarityEvaluator, ClassEvaluator])
def test_one_label_only_is_refused(kind: type) -> None:
    with pytest.raises(InputError, match=r"at least two.*received 2 pairs, all of 1"):
        kind(PAIRS[:2], [1, 1])
    with pytest.raises(InputError, match="received 0 pairs"):
        kind([], [])
    with pytest.raises(InputError, match="Each pair needs a label, received 2 and 1"):
        kind(PAIRS[:2], [1])


@pytest.mark.parametrize("label", [0.5, -1])
def test_a_label_that_is_no_class(label: float) -> None:
    with pytest.raises(InputError, match=f"whole numbers from 0, received {label}"):
        ClassEvaluator(PAIRS[:2], [1, label])
