"""Intervals and tests, against theory and scipy."""

import math
from collections.abc import Callable

import numpy as np
import pytest

from crossrank.errors import InputError
from crossrank.evaluation.significance import (
    bootstrap,
    compare,
    effect_size,
    holm,
    paired_t_test,
    queries_needed,
)

stats = pytest.importorskip("scipy.stats", reason="needs scipy")

SLEEP = (
    [0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0],
    [1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4],
)
"""Hours of sleep gained with two drugs: the data of Student's paper of 1908. R's
``t.test(paired = TRUE)`` on it says t = 4.0621, df = 9, p = 0.002833."""


def test_interval_agrees_with_the_normal_approximation() -> None:
    values = np.random.default_rng(1).random(400)
    found = bootstrap(values.tolist())
    half = 1.96 * values.std() / np.sqrt(400)
    assert found.mean == pytest.approx(values.mean())
    assert found.low == pytest.approx(values.mean() - half, abs=0.003)
    assert found.high == pytest.approx(values.mean() + half, abs=0.003)


def test_interval_agrees_with_scipy() -> None:
    values = np.random.default_rng(2).exponential(size=60)
    theirs = stats.bootstrap((values,), np.mean, method="percentile", n_resamples=10_000, rng=0)
    found = bootstrap(values.tolist())
    assert found.low == pytest.approx(theirs.confidence_interval.low, abs=0.02)
    assert found.high == pytest.approx(theirs.confidence_interval.high, abs=0.02)


def test_four_wins_of_four_have_two_of_sixteen_sign_patterns() -> None:
    # Only all + and all - are as extreme: 2 / 2^4.
    found = compare([0.0] * 4, [0.1, 0.1, 0.1, 0.1])
    assert found.p_value == pytest.approx(2 / 16, abs=0.01)
    assert (found.wins, found.losses) == (4, 0)


def test_no_difference_is_not_significant() -> None:
    assert compare([0.3, 0.4], [0.3, 0.4]).p_value == 1.0


def test_same_seed_same_interval() -> None:
    assert bootstrap([0.0, 1.0, 0.5]) == bootstrap([0.0, 1.0, 0.5])


def test_large_samples_are_drawn_in_blocks() -> None:
    assert bootstrap([0.0, 1.0] * 300_000, samples=10).mean == 0.5
    # Of ten samples of signs of 600,000 ones, none is all alike but the one observed.
    assert compare([0.0] * 600_000, [1.0] * 600_000, samples=10).p_value == pytest.approx(1 / 11)


@pytest.mark.parametrize("values", [[], [float("nan")]])
def test_bad_values_are_refused(values: list[float]) -> None:
    with pytest.raises(InputError, match="value for each query"):
        bootstrap(values)


@pytest.mark.parametrize("function", [compare, paired_t_test, effect_size])
def test_unequal_lengths_are_refused(
    function: Callable[[list[float], list[float]], object],
) -> None:
    with pytest.raises(InputError, match="received 1 and 2"):
        function([0.1], [0.1, 0.2])


def test_student_found_a_difference() -> None:
    assert paired_t_test(*SLEEP) == pytest.approx(0.002833, abs=5e-7)
    assert effect_size(*SLEEP) == pytest.approx(4.0621 / math.sqrt(10), abs=5e-5)
    found = compare(*SLEEP)
    # Nine gains and one tie: all 2^9 patterns of signs, of which two are as extreme.
    assert found.p_value == pytest.approx(2 / 2**9, abs=0.002)
    assert (found.wins, found.losses) == (9, 0)


def test_paired_t_test_agrees_with_scipy() -> None:
    random = np.random.default_rng(3)
    for queries in (2, 5, 53, 400):
        first, second = random.random(queries), random.random(queries) + 0.1
        theirs = stats.ttest_rel(first, second).pvalue
        assert paired_t_test(first.tolist(), second.tolist()) == pytest.approx(theirs, rel=1e-9)


def test_randomisation_agrees_with_scipy() -> None:
    random = np.random.default_rng(4)
    first, second = random.random(30), random.random(30) + 0.15
    theirs = stats.permutation_test(
        (first, second),
        lambda a, b: np.mean(a - b),
        permutation_type="samples",
        n_resamples=10_000,
        rng=0,
    )
    ours = compare(first.tolist(), second.tolist())
    assert ours.p_value == pytest.approx(theirs.pvalue, abs=0.01)


def test_differences_that_have_no_variance() -> None:
    same = [0.1, 0.5, 0.7]
    assert (paired_t_test(same, same), effect_size(same, same)) == (1.0, 0.0)
    better = [value + 0.1 for value in same]  # not by exactly the same, as floats go
    assert (paired_t_test(same, better), effect_size(same, better)) == (0.0, math.inf)
    assert effect_size(better, same) == -math.inf


def test_one_query_has_no_variance() -> None:
    assert paired_t_test([0.1], [0.9]) is None
    assert effect_size([0.1], [0.9]) is None
    assert compare([0.1], [0.9]).p_value == 1.0  # both signs are as extreme


def test_holm_by_hand() -> None:
    # Ascending: 0.005 x 4, 0.01 x 3, 0.03 x 2, and 0.04 x 1, which may not be below the one before.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, 0.6]) == [1.0, 1.0]
    assert holm([0.02]) == [0.02]
    assert holm([]) == []


def test_holm_bounds_the_chance_of_any_false_mark() -> None:
    random = np.random.default_rng(5)
    false = sum(min(holm(random.random(8).tolist())) < 0.05 for _ in range(4000)) / 4000
    assert false == pytest.approx(1 - (1 - 0.05 / 8) ** 8, abs=0.011)


@pytest.mark.parametrize("value", [-0.1, 1.1, math.nan])
def test_what_is_no_p_value_is_refused(value: float) -> None:
    with pytest.raises(InputError, match="between 0 and 1"):
        holm([0.5, value])


@pytest.mark.parametrize(("effect", "queries"), [(0.2, 199), (0.5, 34), (0.8, 15), (-0.5, 34)])
def test_queries_needed_are_those_of_published_tables(effect: float, queries: int) -> None:
    # R's pwr.t.test(d = ..., power = 0.8, type = "paired"): 198.15, 33.37, 14.30.
    assert queries_needed(effect) == queries


def test_so_many_queries_find_it_four_times_of_five() -> None:
    random = np.random.default_rng(6)
    differences = random.normal(0.5, 1, size=(5000, queries_needed(0.5) or 0))
    found = stats.ttest_1samp(differences, 0, axis=1).pvalue < 0.05
    assert np.mean(found) == pytest.approx(0.8, abs=0.02)


def test_the_extremes_of_queries_needed() -> None:
    assert queries_needed(0) is None
    assert queries_needed(0.001) is None  # 7.85 million
    assert queries_needed(0.01) == pytest.approx(((1.959964 + 0.841621) / 0.01) ** 2, abs=3)
    assert queries_needed(math.inf) == 2
    needed = [queries_needed(effect) or 0 for effect in np.geomspace(0.004, 100, 200)]
    assert needed == sorted(needed, reverse=True)


def test_what_has_no_power_is_refused() -> None:
    with pytest.raises(InputError, match=r"received 0\.5, 0\.9 and 0\.8"):
        queries_needed(0.5, level=0.9)
    with pytest.raises(InputError, match="received nan"):
        queries_needed(math.nan)
