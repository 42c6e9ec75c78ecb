"""How sure a measured value is: intervals, paired tests and their power, over queries."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from crossrank.errors import InputError
from crossrank.optional import require

SAMPLES = 10_000
MOST_QUERIES = 1_000_000
"""A difference that needs more than these is none."""


@dataclass(frozen=True)
class Interval:
    """A mean and where it would lie for other queries of the same kind.

    Attributes:
        mean: Over the queries.
        low: Lower end.
        high: Upper end.
        confidence: Share of repetitions whose interval holds the true mean.
    """

    mean: float
    low: float
    high: float
    confidence: float = 0.95

    def __str__(self) -> str:
        return f"{self.mean:.3f} [{self.low:.3f}, {self.high:.3f}]"


@dataclass(frozen=True)
class Comparison:
    """Two systems on the same queries.

    Attributes:
        difference: Second minus first, with its interval.
        p_value: Chance of a difference at least this large if the systems were exchangeable.
        wins: Queries on which the second is better.
        losses: Queries on which the first is.
    """

    difference: Interval
    p_value: float
    wins: int
    losses: int


def bootstrap(
    values: Sequence[float], *, confidence: float = 0.95, samples: int = SAMPLES, seed: int = 0
) -> Interval:
    """Compute a percentile bootstrap interval of the mean (Efron, 1979).

    Args:
        values: One a query.
        confidence: Between 0 and 1.
        samples: How often the queries are drawn anew.
        seed: Of the draws.

    Raises:
        InputError: There are no values.

    Example:
        >>> str(bootstrap([0.5] * 20))
        '0.500 [0.500, 0.500]'
    """
    array = _checked(values)
    means = _resampled_means(array, samples, seed)
    tail = (1 - confidence) / 2
    low, high = np.quantile(means, [tail, 1 - tail])
    return Interval(float(array.mean()), float(low), float(high), confidence)


def compare(
    first: Sequence[float], second: Sequence[float], *, samples: int = SAMPLES, seed: int = 0
) -> Comparison:
    """Compare two systems by a paired randomisation test (Smucker et al., CIKM 2007).

    Args:
        first: One value a query.
        second: The same queries in the same order.
        samples: How often signs are flipped, and queries are drawn.
        seed: Of the draws.

    Raises:
        InputError: The lengths differ, or there are no values.

    Example:
        >>> compare([0.1, 0.2, 0.3, 0.4], [0.2, 0.3, 0.4, 0.5]).wins
        4
    """
    differences = _differences(first, second)
    random = np.random.default_rng(seed)
    flipped = [
        np.abs(random.choice([-1.0, 1.0], size=(count, len(differences))) @ differences)
        for count in blocks(samples, len(differences))
    ]
    # The observed order is one of those that could have been: it counts.
    extreme = int(np.sum(np.concatenate(flipped) >= abs(differences.sum()) - 1e-12))
    return Comparison(
        bootstrap(differences.tolist(), samples=samples, seed=seed),
        (extreme + 1) / (samples + 1),
        int(np.sum(differences > 0)),
        int(np.sum(differences < 0)),
    )


def paired_t_test(first: Sequence[float], second: Sequence[float]) -> float | None:
    """Compare two systems by Student's paired t-test, two-sided.

    It assumes differences whose mean is normally distributed; from some dozens of queries on, its
    p-values are close to those of the randomisation test (Smucker et al., CIKM 2007).

    Args:
        first: One value a query.
        second: The same queries in the same order.

    Returns:
        The p-value: 1 where no query differs, 0 where all differ by the same; ``None`` for a single
        query, which has no variance to compare with.

    Raises:
        InputError: The lengths differ, or there are no values.
        MissingDependencyError: scipy is not installed.

    Example:
        >>> round(paired_t_test([0.1, 0.2, 0.3], [0.2, 0.4, 0.6]), 4)
        0.0742
    """
    effect = effect_size(first, second)
    if effect is None or effect == 0 or math.isinf(effect):
        return None if effect is None else float(effect == 0)
    # The statistic of the test is the effect size times the root of the number of queries.
    statistic = effect * math.sqrt(len(first))
    return float(
        2 * require("scipy.stats", extra="evaluation").t.sf(abs(statistic), len(first) - 1)
    )


def holm(p_values: Sequence[float]) -> list[float]:
    """Correct p-values for the number of comparisons (Holm, 1979).

    The chance that any of the comparisons is called significant wrongly stays below the level, for
    every kind of dependence; comparisons on the same queries do depend on each other. That is also
    true of Bonferroni's correction, which finds less. Benjamini & Hochberg's, which bounds the
    share of wrong ones, is for hundreds of comparisons that are looked into afterwards.

    Args:
        p_values: One a comparison.

    Returns:
        What to compare with the level in place of each.

    Raises:
        InputError: A value is not between 0 and 1.

    Example:
        >>> holm([0.01, 0.25, 0.02])
        [0.03, 0.25, 0.04]
    """
    if not all(0 <= value <= 1 for value in p_values):
        raise InputError(f"p-values must be between 0 and 1, received {list(p_values)}.")
    corrected = [0.0] * len(p_values)
    least = 0.0
    for rank, place in enumerate(sorted(range(len(p_values)), key=lambda place: p_values[place])):
        least = max(least, min(1.0, (len(p_values) - rank) * p_values[place]))
        corrected[place] = least
    return corrected


def effect_size(first: Sequence[float], second: Sequence[float]) -> float | None:
    """Compute Cohen's d of paired differences: their mean in standard deviations of theirs (d_z).

    Unlike a p-value it does not grow with the number of queries; 0.2 is called small, 0.5 medium,
    0.8 large.

    Args:
        first: One value a query.
        second: The same queries in the same order.

    Returns:
        Positive where the second is better; 0 where no query differs, infinite where all differ by
        the same; ``None`` for a single query.

    Raises:
        InputError: The lengths differ, or there are no values.

    Example:
        >>> effect_size([0.0, 0.0, 0.0], [1.0, 2.0, 3.0])
        2.0
    """
    differences = _differences(first, second)
    if len(differences) < 2:
        return None
    mean = float(differences.mean())
    if np.ptp(differences) <= 1e-12:  # the same but for rounding
        return math.copysign(math.inf, mean) if abs(mean) > 1e-12 else 0.0
    return mean / float(differences.std(ddof=1))


def queries_needed(effect: float, *, power: float = 0.8, level: float = 0.05) -> int | None:
    """Compute how many queries show a difference of some size.

    By the power of the two-sided paired t-test (Webber et al., CIKM 2008; Sakai, Information
    Retrieval Journal 2016). An effect size that was measured on few queries is a rough guess, and
    so is then this number.

    Args:
        effect: Cohen's d of the paired differences.
        power: With which chance the test is to find the difference.
        level: Of significance.

    Returns:
        The smallest number of queries; ``None`` if a million are not enough.

    Raises:
        InputError: A chance is not between 0 and 1, or the effect is not a number.
        MissingDependencyError: scipy is not installed.

    Example:
        >>> queries_needed(0.5)
        34
    """
    if not (0 < level < power < 1) or math.isnan(effect):
        raise InputError(
            "An effect size and 0 < level < power < 1 are required, received "
            f"{effect}, {level} and {power}."
        )
    few, many = 1, 2
    while _power(effect, many, level) < power:
        if many == MOST_QUERIES:
            return None
        few, many = many, min(2 * many, MOST_QUERIES)
    while many - few > 1:
        middle = (few + many) // 2
        enough = _power(effect, middle, level) >= power
        few, many = (few, middle) if enough else (middle, many)
    return many


def _power(effect: float, queries: int, level: float) -> float:
    """The chance that a two-sided paired t-test finds an effect, and its sign."""
    stats = require("scipy.stats", extra="evaluation")
    limit = stats.t.isf(level / 2, queries - 1)
    shift = min(abs(effect), 1e3) * math.sqrt(queries)  # beyond that, any two queries are enough
    return float(stats.nct.sf(limit, queries - 1, shift))


def _differences(first: Sequence[float], second: Sequence[float]) -> NDArray[np.float64]:
    if len(first) != len(second):
        raise InputError(
            f"Both systems need a value for every query, received {len(first)} and {len(second)}."
        )
    return _checked(second) - _checked(first)


def _resampled_means(array: NDArray[np.float64], samples: int, seed: int) -> NDArray[np.float64]:
    random = np.random.default_rng(seed)
    means = [
        array[random.integers(0, len(array), size=(count, len(array)))].mean(axis=1)
        for count in blocks(samples, len(array))
    ]
    return np.concatenate(means)


def blocks(samples: int, queries: int) -> Iterator[int]:
    """Divide the samples, so that no more than two million numbers are held at once."""
    block = max(1, 2_000_000 // queries)
    for done in range(0, samples, block):
        yield min(block, samples - done)


def _checked(values: Sequence[float]) -> NDArray[np.float64]:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or not len(array) or not np.isfinite(array).all():
        raise InputError(
            "A value for each query is required, all finite; received "
            f"{len(array)} values, {int(np.sum(~np.isfinite(array)))} of them not finite."
        )
    return array
