"""How sure a measured value is: bootstrap intervals and paired tests over queries."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from crossrank.errors import InputError

SAMPLES = 10_000


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
    if len(first) != len(second):
        raise InputError(
            f"Both systems need a value for every query, received {len(first)} and {len(second)}."
        )
    differences = _checked(second) - _checked(first)
    random = np.random.default_rng(seed)
    flipped = [
        np.abs(random.choice([-1.0, 1.0], size=(count, len(differences))) @ differences)
        for count in _blocks(samples, len(differences))
    ]
    # The observed order is one of those that could have been: it counts.
    extreme = int(np.sum(np.concatenate(flipped) >= abs(differences.sum()) - 1e-12))
    return Comparison(
        bootstrap(differences.tolist(), samples=samples, seed=seed),
        (extreme + 1) / (samples + 1),
        int(np.sum(differences > 0)),
        int(np.sum(differences < 0)),
    )


def _resampled_means(array: NDArray[np.float64], samples: int, seed: int) -> NDArray[np.float64]:
    random = np.random.default_rng(seed)
    means = [
        array[random.integers(0, len(array), size=(count, len(array)))].mean(axis=1)
        for count in _blocks(samples, len(array))
    ]
    return np.concatenate(means)


def _blocks(samples: int, queries: int) -> Iterator[int]:
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
