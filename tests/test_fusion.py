"""Fusion of runs, by hand."""

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crossrank.errors import InputError
from crossrank.fusion import reciprocal_rank_fusion, weighted_fusion

BM25 = {"q1": {"a": 5.0, "b": 3.0, "c": 1.0}, "q2": {"a": 2.0}}
DENSE = {"q1": {"c": 0.9, "d": 0.8}, "q3": {"e": -0.5, "f": 0.5}}

RUNS = st.lists(
    st.dictionaries(
        st.sampled_from("pq"),
        st.dictionaries(st.sampled_from("abcdef"), st.floats(-1e6, 1e6), max_size=6),
        max_size=2,
    ),
    min_size=1,
    max_size=3,
)


def test_reciprocal_ranks_by_hand() -> None:
    fused = reciprocal_rank_fusion([BM25, DENSE], k=60)
    assert list(fused) == ["q1", "q2", "q3"]
    assert list(fused["q1"]) == ["c", "a", "b", "d"]  # b and d tie: the first run comes first
    expected = {
        "c": Fraction(1, 63) + Fraction(1, 61),
        "a": Fraction(1, 61),
        "b": Fraction(1, 62),
        "d": Fraction(1, 62),
    }
    assert fused["q1"] == pytest.approx({key: float(value) for key, value in expected.items()})
    assert fused["q2"] == {"a": 1 / 61}
    assert list(fused["q3"].items()) == [("f", 1 / 61), ("e", 1 / 62)]


def test_k_may_be_zero() -> None:
    assert reciprocal_rank_fusion([BM25], k=0)["q1"] == {"a": 1, "b": 1 / 2, "c": 1 / 3}


def test_min_max_by_hand() -> None:
    fused = weighted_fusion([BM25, DENSE], [2.0, 1.0])
    # a: 2 · 1; b: 2 · 1/2; c: 2 · 0 + 1; d: 1 · 0. A single document counts as the best.
    assert fused == {
        "q1": {"a": 2.0, "b": 1.0, "c": 1.0, "d": 0.0},
        "q2": {"a": 2.0},
        "q3": {"f": 1.0, "e": 0.0},
    }


def test_z_scores_by_hand() -> None:
    fused = weighted_fusion([BM25, DENSE], [1.0, 1.0], normalization="z-score")
    one = math.sqrt(1.5)  # 5, 3, 1: mean 3, variance 8/3
    # 0.9, 0.8 become 1 and -1; what the second run did not find gets -1, d gets -one in the first.
    assert fused["q1"] == pytest.approx({"a": one - 1, "c": 1 - one, "b": -1, "d": -one - 1})
    assert list(fused["q1"]) == ["a", "c", "b", "d"]
    assert fused["q2"] == {"a": 0.0}
    assert fused["q3"] == {"f": 1.0, "e": -1.0}
    equal = {"q": dict.fromkeys("abc", 0.1)}
    assert weighted_fusion([equal], [1.0], normalization="z-score") == {
        "q": dict.fromkeys("abc", 0.0)
    }


@given(RUNS)
def test_all_documents_come_best_first(runs: list[dict[str, dict[str, float]]]) -> None:
    for fused in (
        reciprocal_rank_fusion(runs),
        weighted_fusion(runs, [1.0] * len(runs)),
        weighted_fusion(runs, [1.0] * len(runs), normalization="z-score"),
    ):
        assert fused.keys() == {query for run in runs for query in run}
        for query, scores in fused.items():
            assert scores.keys() == {d for run in runs for d in run.get(query, {})}
            assert list(scores.values()) == sorted(scores.values(), reverse=True)


@given(RUNS, st.integers(-20, 20))
def test_ranks_ignore_the_scale(runs: list[dict[str, dict[str, float]]], exponent: int) -> None:
    # Powers of two: products are exact, so that no ties come or go.
    scale = 2.0**exponent
    scaled = [{q: {d: s * scale for d, s in r.items()} for q, r in run.items()} for run in runs]
    tiny = min((abs(s) for run in runs for r in run.values() for s in r.values() if s), default=1)
    if tiny > 1e-290:
        assert reciprocal_rank_fusion(scaled) == reciprocal_rank_fusion(runs)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: reciprocal_rank_fusion([]), "At least one run"),
        (lambda: reciprocal_rank_fusion([BM25], k=-1), "k must be at least 0, received -1"),
        (lambda: reciprocal_rank_fusion([{"q": {"a": math.nan}}]), "query 'q'"),
        (lambda: weighted_fusion([BM25, DENSE], [1.0]), r"received \[1.0\] for 2 runs"),
        (lambda: weighted_fusion([BM25], [math.inf]), "finite weight"),
        (lambda: weighted_fusion([BM25], [1.0], normalization="softmax"), "received 'softmax'"),
    ],
)
def test_unusable_input_is_refused(call, message: str) -> None:
    with pytest.raises(InputError, match=message):
        call()
