"""How good probabilities are: log-likelihood, Brier score, calibration error, and a threshold.

Pairs of one query are alike, so intervals are over queries: these are drawn anew, each with all of
its pairs.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from crossrank.errors import InputError
from crossrank.evaluation.calibration_maps import CalibrationMap, Doubles, Threshold
from crossrank.evaluation.judged_pairs import JudgedPairs
from crossrank.evaluation.significance import SAMPLES, Interval, blocks
from crossrank.optional import require

BINS = 15
"""As in Guo et al. (ICML 2017)."""

CONFIDENCE = 0.95
MIN_DOCUMENTS = 10
"""So many reach a threshold where it is chosen."""

_CERTAIN = 1e-15
"""Probabilities nearer to 0 or 1 count as this far away: nothing has an infinite loss."""


@dataclass(frozen=True)
class Change:
    """A measure before and after calibration, on the same pairs.

    Attributes:
        before: Of the probabilities before.
        after: Of those after.
        change: The second less the first.
    """

    before: Interval
    after: Interval
    change: Interval


@dataclass(frozen=True)
class Bin:
    """Pairs of like probability.

    Attributes:
        pairs: How many.
        probability: Their mean probability.
        relevant: Which share of them is relevant, with its interval.
    """

    pairs: int
    probability: float
    relevant: Interval


def log_losses(probabilities: Doubles, relevant: NDArray[np.bool_]) -> Doubles:
    """Compute the negative log-likelihood of each pair, in nats.

    Example:
        >>> log_losses(np.array([0.5, 0.25]), np.array([True, False])).round(4).tolist()
        [0.6931, 0.2877]
    """
    given = np.clip(np.where(relevant, probabilities, 1 - probabilities), _CERTAIN, None)
    losses: Doubles = -np.log(given)
    return losses


def brier_losses(probabilities: Doubles, relevant: NDArray[np.bool_]) -> Doubles:
    """Compute the squared error of each pair (Brier, 1950).

    Example:
        >>> brier_losses(np.array([0.5, 0.25]), np.array([True, False])).tolist()
        [0.25, 0.0625]
    """
    losses: Doubles = (probabilities - relevant) ** 2
    return losses


def equal_mass_bins(probabilities: Doubles, bins: int = BINS) -> NDArray[np.int64]:
    """Sort pairs into bins of equally many, of ascending probability.

    Most candidates of a search are not relevant and get small probabilities; bins of equal width
    would be crowded there and nearly empty elsewhere. Equal probabilities share a bin, so that
    bins may differ in size where there are many of them.

    Args:
        probabilities: ``[pairs]``.
        bins: How many, at most.

    Returns:
        ``[pairs]``: numbers from 0.

    Example:
        >>> equal_mass_bins(np.array([0.9, 0.1, 0.2, 0.8]), bins=2).tolist()
        [1, 0, 0, 1]
    """
    ordered = np.sort(probabilities)
    edges = ordered[[len(ordered) * place // bins for place in range(1, bins)]]
    found: NDArray[np.int64] = np.searchsorted(edges, probabilities, side="right")
    return found


def calibration_error(
    probabilities: Doubles, relevant: NDArray[np.bool_], bins: int = BINS
) -> float:
    """Compute the expected calibration error (ECE), with bins of equal mass.

    In each bin it compares the mean probability with the share that is relevant (Naeini et al.,
    AAAI 2015; equal mass: Nguyen & O'Connor, EMNLP 2015), and weighs the differences by the pairs.
    Chance makes it larger: with few pairs it is above 0 for perfect probabilities too.

    Example:
        >>> relevant = np.array([False, True, True, True])
        >>> round(calibration_error(np.array([0.1, 0.2, 0.8, 0.9]), relevant, bins=2), 4)
        0.25
    """
    gaps = np.bincount(equal_mass_bins(probabilities, bins), weights=probabilities - relevant)
    return float(np.abs(gaps).sum() / len(probabilities))


def measure_change(
    pairs: JudgedPairs, before: CalibrationMap, after: CalibrationMap, *, seed: int = 0
) -> dict[str, Change]:
    """Measure probabilities before and after calibration.

    Args:
        pairs: None of their queries may have been fitted on.
        before: Makes the probabilities before.
        after: Makes those after.
        seed: Of the draws.

    Returns:
        ``"NLL"``, ``"Brier"`` and ``"ECE"``, lower is better, each with intervals over queries.
        They are basic bootstrap intervals (Davison & Hinkley, 1997), which unlike percentile
        intervals do not count the upward bias of the ECE twice. Where chance alone explains an ECE,
        its interval begins at 0. Each interval holds what was measured.
    """
    tables = [_tables(pairs, made(pairs.logits)) for made in (before, after)]
    sums = np.hstack([pairs.sums(np.ones(len(pairs.logits))), *tables])
    means, drawn = _means(sums.sum(axis=0)), _means(_resampled(sums, seed))
    found, spread = _measures(means), _measures(drawn)
    low, high = (2 * found - np.quantile(spread, q, axis=0) for q in (1 - _TAIL, _TAIL))
    # Draws about their own mean are what chance makes of bins without a gap.
    chance = np.quantile(_measures(drawn - means)[:, 2, :2], 1 - _TAIL, axis=0)
    low[2, :2] = np.where(found[2, :2] <= chance, 0, low[2, :2])
    low[:, :2] = np.maximum(low[:, :2], 0)  # a change may be below 0, a measure not
    low, high = np.minimum(low, found), np.maximum(high, found)
    return {
        name: Change(
            *(
                Interval(float(found[row, k]), float(low[row, k]), float(high[row, k]), CONFIDENCE)
                for k in range(3)
            )
        )
        for row, name in enumerate(("NLL", "Brier", "ECE"))
    }


def reliability(pairs: JudgedPairs, fitted: CalibrationMap, *, seed: int = 0) -> list[Bin]:
    """Compare probabilities with what is relevant, bin by bin.

    Args:
        pairs: None of their queries may have been fitted on.
        fitted: Makes their probabilities.
        seed: Of the draws.

    Returns:
        Bins of ascending probability, with percentile intervals over queries.
    """
    probabilities = fitted(pairs.logits)
    numbers = equal_mass_bins(probabilities)
    counts, relevant = (
        pairs.sums(values, numbers, BINS) for values in (np.ones(len(numbers)), pairs.relevant)
    )
    drawn = _resampled(np.hstack([counts, relevant]), seed)
    bins = []
    for number in np.unique(numbers):
        inside = numbers == number
        size, hits = drawn[:, number], drawn[:, BINS + number]
        # A draw of queries may have no pair in a bin.
        low, high = np.quantile(hits[size > 0] / size[size > 0], [_TAIL, 1 - _TAIL])
        share = Interval(float(pairs.relevant[inside].mean()), float(low), float(high), CONFIDENCE)
        bins.append(Bin(int(inside.sum()), float(probabilities[inside].mean()), share))
    return bins


def find_threshold(
    fitting: JudgedPairs,
    judging: JudgedPairs,
    fitted: CalibrationMap,
    wanted: float,
    *,
    seed: int = 0,
) -> Threshold:
    """Find the probability from which on documents are relevant with a wanted precision.

    It is chosen on the queries that were fitted on, as low as it may be, and judged on others. At
    least ten documents reach it there: what fewer do by chance, those of others would not.
    Its lower bound is one-sided. It is the lower of two: a bootstrap over queries, because
    documents of a query are right and wrong together, and Clopper & Pearson's (1934) over pairs,
    because a bootstrap knows no doubt where all of a few documents are right.

    Args:
        fitting: The pairs that the map was fitted on.
        judging: Pairs of other queries.
        fitted: The map.
        wanted: The precision, above 0 and up to 1.
        seed: Of the draws.

    Raises:
        InputError: It is not between 0 and 1, or no threshold reaches it.
        MissingDependencyError: scipy is not installed.
    """
    if not 0 < wanted <= 1:
        raise InputError(f"A precision above 0 and up to 1 is required, received {wanted}.")
    # As predict gives them, so that its scores are compared with the same number.
    level = _lowest(_fp32(fitted(fitting.logits)), fitting.relevant, wanted)
    chosen = _fp32(fitted(judging.logits)) >= level
    hits = chosen & judging.relevant
    recall = float(hits.sum() / judging.relevant.sum())
    if not chosen.any():
        return Threshold(wanted, float(level), None, 0.0, recall)
    drawn = _resampled(np.hstack([judging.sums(chosen), judging.sums(hits)]), seed)
    drawn = drawn[drawn[:, 0] > 0]
    over_queries = float(np.quantile(drawn[:, 1] / drawn[:, 0], 1 - CONFIDENCE))
    bound = min(over_queries, _clopper_pearson(int(hits.sum()), int(chosen.sum())))
    return Threshold(wanted, float(level), float(hits.sum() / chosen.sum()), bound, recall)


_TAIL = (1 - CONFIDENCE) / 2


def _fp32(probabilities: Doubles) -> NDArray[np.float32]:
    return probabilities.astype(np.float32)


def _tables(pairs: JudgedPairs, probabilities: Doubles) -> Doubles:
    """What the measures are made of, summed for each query: ``[queries, 2 + bins]``."""
    errors = probabilities - pairs.relevant
    return np.hstack(
        [
            pairs.sums(log_losses(probabilities, pairs.relevant)),
            pairs.sums(brier_losses(probabilities, pairs.relevant)),
            pairs.sums(errors, equal_mass_bins(probabilities), BINS),
        ]
    )


def _means(sums: Doubles) -> Doubles:
    """Divide sums by the pairs, which are in the first column."""
    means: Doubles = sums[..., 1:] / sums[..., :1]
    return means


def _measures(means: Doubles) -> Doubles:
    """Make measures of means over pairs.

    Args:
        means: ``[..., columns]``: those of ``_tables`` before, and after.

    Returns:
        ``[..., 3, 3]``: NLL, Brier score and ECE; before, after, and their difference.
    """
    before, after = (
        np.concatenate([half[..., :2], np.abs(half[..., 2:]).sum(axis=-1, keepdims=True)], axis=-1)
        for half in np.split(means, 2, axis=-1)
    )
    return np.stack([before, after, after - before], axis=-1)


def _lowest(
    probabilities: NDArray[np.float32], relevant: NDArray[np.bool_], wanted: float
) -> np.float32:
    """The lowest probability at and above which precision is as wanted."""
    order = np.argsort(-probabilities, kind="stable")
    ordered, hits = probabilities[order], np.cumsum(relevant[order])
    precision = hits / np.arange(1, len(hits) + 1)
    last = np.append(ordered[:-1] != ordered[1:], True)  # equal probabilities go together
    last[: MIN_DOCUMENTS - 1] = False
    enough = np.flatnonzero(last & (precision >= wanted))
    if not len(enough):
        raise InputError(
            f"No threshold has a precision of {wanted:g}, with {MIN_DOCUMENTS} documents or more, "
            f"on the queries that were fitted on: the best is {precision[last].max():.3f}. Ask for "
            "less, or use a better model."
        )
    lowest: np.float32 = ordered[enough[-1]]
    return lowest


def _clopper_pearson(hits: int, tries: int) -> float:
    """The lower end of the exact interval of a proportion, one-sided."""
    stats = require("scipy.stats", extra="evaluation")
    return float(stats.beta.ppf(1 - CONFIDENCE, hits, tries - hits + 1)) if hits else 0.0


def _resampled(sums: Doubles, seed: int) -> Doubles:
    """Add up queries that are drawn with replacement.

    Args:
        sums: ``[queries, columns]``.
        seed: Of the draws.

    Returns:
        ``[samples, columns]``.
    """
    random, size = np.random.default_rng(seed), len(sums)
    added = []
    for count in blocks(SAMPLES, size):
        drawn = random.integers(0, size, size=(count, size)) + np.arange(count)[:, None] * size
        added.append(np.bincount(drawn.ravel(), minlength=count * size).reshape(count, size) @ sums)
    return np.concatenate(added)
