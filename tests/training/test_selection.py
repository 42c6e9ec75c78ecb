"""Rules for taking negatives: ranks, limits, margins and draws."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crossrank.errors import InputError
from crossrank.training.selection import Selection

SCORES = [0.9, 0.8, 0.6, 0.5, 0.2]


@pytest.mark.parametrize(
    ("rules", "places"),
    [
        ({}, [0, 1, 2]),
        ({"num_negatives": 9}, [0, 1, 2, 3, 4]),
        ({"max_score": 0.8}, [1, 2, 3]),
        ({"min_score": 0.5, "max_score": 0.6}, [2, 3]),
        ({"absolute_margin": 0.2}, [2, 3, 4]),  # at most 0.79
        ({"relative_margin": 0.45}, [3, 4]),
        ({"absolute_margin": 0.0}, [0, 1, 2]),
        ({"relative_margin": 0.3, "max_score": 0.55}, [3, 4]),  # the stricter one decides
    ],
)
def test_limits_by_hand(rules: dict[str, float], places: list[int]) -> None:
    positive = 0.99 if "absolute_margin" in rules else 1.0
    assert Selection(**rules).choose(SCORES, positive, row=0) == places


def test_a_share_of_a_negative_score_lowers_it() -> None:
    """Logits: 10 % of -2 below -2 is -2.2."""
    rules = Selection(relative_margin=0.1)
    assert rules.choose([-1.9, -2.1, -2.2, -2.3], -2.0, row=0) == [2, 3]


def test_limits_without_a_positive() -> None:
    assert Selection(max_score=0.5).choose(SCORES, None, row=0) == [3, 4]


def test_the_last_rank_follows_from_the_others() -> None:
    assert Selection(num_negatives=4, range_min=5).depth == 45
    assert Selection(range_max=7).depth == 7


def test_draws_are_uniform_distinct_and_repeatable() -> None:
    rules = Selection(num_negatives=2, sampling="random", seed=3)
    draws = [rules.choose(SCORES, None, row) for row in range(2000)]
    assert draws == [rules.choose(SCORES, None, row) for row in range(2000)]
    assert all(first < second for first, second in draws)
    counts = Counter(place for drawn in draws for place in drawn)
    assert all(abs(counts[place] - 800) < 100 for place in range(5))  # sigma is 22
    assert draws != [
        Selection(num_negatives=2, sampling="random", seed=4).choose(SCORES, None, row)
        for row in range(2000)
    ]


@given(
    st.lists(st.floats(-5, 5), max_size=12),
    st.floats(-5, 5),
    st.floats(0, 2),
    st.sampled_from(["top", "random"]),
)
def test_what_is_taken_is_within_the_margin(
    scores: list[float], positive: float, margin: float, sampling: str
) -> None:
    rules = Selection(num_negatives=3, absolute_margin=margin, sampling=sampling)
    chosen = rules.choose(scores, positive, row=1)
    allowed = [place for place, score in enumerate(scores) if score <= positive - margin]
    assert set(chosen) <= set(allowed)
    assert len(chosen) == min(3, len(allowed))
    assert chosen == sorted(set(chosen))


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        ({"num_negatives": 0}, "num_negatives must be at least 1, received 0"),
        ({"range_min": -1}, "range_min must be at least 0, received -1"),
        ({"range_min": 5, "range_max": 7}, "raise range_max"),
        ({"absolute_margin": -0.1}, "absolute_margin must be at least 0"),
        ({"relative_margin": float("nan")}, "relative_margin must be at least 0"),
        ({"min_score": 2.0, "max_score": 1.0}, "min_score must be at most max_score"),
        ({"max_score": float("nan")}, "both must be numbers; received None and nan"),
        ({"sampling": "best"}, "sampling must be 'top' or 'random', received 'best'"),
        ({"seed": -1}, "seed must be at least 0"),
    ],
)
def test_rules_that_contradict_are_refused(rules: dict[str, float], said: str) -> None:
    with pytest.raises(InputError, match=said):
        Selection(**rules)
