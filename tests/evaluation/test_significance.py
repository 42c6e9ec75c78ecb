"""Intervals and tests, against theory and scipy."""

import numpy as np
import pytest

from crossrank.errors import InputError
from crossrank.evaluation.significance import bootstrap, compare

stats = pytest.importorskip("scipy.stats", reason="needs scipy")


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


def test_unequal_lengths_are_refused() -> None:
    with pytest.raises(InputError, match="received 1 and 2"):
        compare([0.1], [0.1, 0.2])
