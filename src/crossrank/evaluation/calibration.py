"""Fitting calibration maps, on some queries, to be judged on others.

All methods fit Platt's targets in place of 0 and 1: with N relevant pairs, a relevant one is worth
(N + 1) / (N + 2), and with N others, one of these 1 / (N + 2). That is what a finite number of
pairs can say. It keeps every optimum finite, and no pair gets a probability of exactly 0 or 1.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, cast

import numpy as np
from numpy.typing import NDArray

from crossrank.errors import InputError
from crossrank.evaluation.calibration_maps import (
    MAPS,
    Calibration,
    CalibrationMap,
    Doubles,
    Isotonic,
    Method,
    Platt,
    Temperature,
)
from crossrank.evaluation.calibration_measures import (
    Bin,
    Change,
    find_threshold,
    log_losses,
    measure_change,
    reliability,
)
from crossrank.evaluation.judged_pairs import JudgedPairs
from crossrank.optional import require

FOLDS = 5
BEFORE = Temperature(1.0)
"""The sigmoid, which makes scores of logits without a calibration."""


@dataclass(frozen=True)
class CalibrationResult:
    """A calibration, and what it is worth on queries that it was not fitted on.

    Attributes:
        calibration: Method, map and threshold.
        fitting: What it was fitted on.
        judging: What it was judged on.
        changes: ``"NLL"``, ``"Brier"`` and ``"ECE"`` before and after.
        before: Probabilities before, and the share that is relevant, in bins.
        after: The same of those after.
        losses: The methods' NLL in cross-validation, where one was chosen by it.
    """

    calibration: Calibration
    fitting: JudgedPairs
    judging: JudgedPairs
    changes: dict[str, Change]
    before: list[Bin]
    after: list[Bin]
    losses: dict[Method, float | None] | None


def calibrate(
    fitting: JudgedPairs,
    judging: JudgedPairs,
    method: Method | Literal["auto"] = "auto",
    *,
    wanted_precision: float | None = None,
    seed: int = 0,
) -> CalibrationResult:
    """Fit a calibration on some queries and judge it on others.

    Args:
        fitting: To fit on.
        judging: To judge on; it must have other queries.
        method: ``"auto"`` takes the one with the least NLL in cross-validation on ``fitting``.
        wanted_precision: Find the threshold that gives it.
        seed: Of folds and draws.

    Raises:
        InputError: No map that grows with the logits fits, or no threshold gives the precision.
        MissingDependencyError: scipy is not installed.
    """
    losses = cross_validate(fitting, seed) if method == "auto" else None
    chosen = best_method(losses) if losses is not None else cast(Method, method)
    fitted = fit(fitting, chosen)
    threshold = None
    if wanted_precision is not None:
        threshold = find_threshold(fitting, judging, fitted, wanted_precision, seed=seed)
    return CalibrationResult(
        Calibration(chosen, fitted, threshold),
        fitting,
        judging,
        measure_change(judging, BEFORE, fitted, seed=seed),
        reliability(judging, BEFORE, seed=seed),
        reliability(judging, fitted, seed=seed),
        losses,
    )


def fit(pairs: JudgedPairs, method: Method) -> CalibrationMap:
    """Fit a map by maximum likelihood, or for ``"isotonic"`` by least squares.

    Raises:
        InputError: The method is unknown, or no map that grows with the logits fits.
        MissingDependencyError: scipy is not installed.

    Example:
        >>> relevant = [True, True, True, False] * 5 + [True, False, False, False] * 5
        >>> pairs = JudgedPairs.of([1.0] * 20 + [-1.0] * 20, relevant, range(40))
        >>> fit(pairs, "isotonic")([-1.0, 1.0]).round(2).tolist()
        [0.27, 0.73]
    """
    if method not in MAPS:
        known = ", ".join(map(repr, MAPS))
        raise InputError(f"method must be one of {known}, received {method!r}.")
    targets = _targets(pairs.relevant)
    platt = _platt(pairs.logits, targets)  # refuses what no method can repair
    return platt if method == "platt" else _FITTERS[method](pairs.logits, targets)


def cross_validate(pairs: JudgedPairs, seed: int = 0) -> dict[Method, float | None]:
    """Measure each method on queries that it was not fitted on, in five folds.

    Args:
        pairs: To fit on; none to judge on later must be among them.
        seed: Of the folds.

    Returns:
        The negative log-likelihood a pair by method; ``None`` where a method does not fit.

    Raises:
        InputError: There are too few queries, or logits fall where relevance rises.
    """
    _platt(pairs.logits, _targets(pairs.relevant))  # as in fit
    folds = pairs.parts(FOLDS, seed)
    return {method: _held_out_loss(pairs, method, folds) for method in MAPS}


def best_method(losses: dict[Method, float | None]) -> Method:
    """Name the method with the least loss; of equal ones the simplest.

    Raises:
        InputError: None has a loss.

    Example:
        >>> best_method({"temperature": None, "platt": 0.3, "isotonic": 0.3})
        'platt'
    """
    known = {method: loss for method, loss in losses.items() if loss is not None}
    if not known:
        raise InputError(
            f"A method that fits every fold is required, and none of {', '.join(losses)} does. Use "
            "more queries, or name a method instead of auto."
        )
    return min(known, key=known.__getitem__)


def _held_out_loss(pairs: JudgedPairs, method: Method, folds: NDArray[np.int64]) -> float | None:
    losses = np.empty(len(folds))
    for fold in range(FOLDS):
        held_out = folds == fold
        rest, relevant = pairs.logits[~held_out], pairs.relevant[~held_out]
        try:
            fitted = _FITTERS[method](rest, _targets(relevant))
        except InputError:
            return None
        losses[held_out] = log_losses(fitted(pairs.logits[held_out]), pairs.relevant[held_out])
    return float(losses.mean())


def _targets(relevant: NDArray[np.bool_]) -> Doubles:
    count = int(relevant.sum())
    others = len(relevant) - count
    return np.where(relevant, (count + 1) / (count + 2), 1 / (others + 2))


def _temperature(logits: Doubles, targets: Doubles) -> Temperature:
    scale = _spread(logits, about=0.0)
    (slope,) = _logistic(np.column_stack([logits / scale]), targets) / scale
    if slope <= 0:
        raise InputError(
            "No temperature above 0 fits: the logits lie off centre, which a temperature cannot "
            "mend. Use the method platt, isotonic or auto."
        )
    return Temperature(float(1 / slope))


def _platt(logits: Doubles, targets: Doubles) -> Platt:
    middle = float(logits.mean())
    scale = _spread(logits, about=middle)
    design = np.column_stack([(logits - middle) / scale, np.ones(len(logits))])
    weight, bias = _logistic(design, targets)
    if weight <= 0:
        raise InputError(
            f"No map that grows with the logits fits (the best slope is {weight / scale:.3g}): "
            "relevant pairs have lower logits than others. Are the labels the wrong way round, 0 "
            "for relevant, or is this not the model for these pairs?"
        )
    return Platt(float(weight / scale), float(bias - weight * middle / scale))


def _isotonic(logits: Doubles, targets: Doubles) -> Isotonic:
    optimize = require("scipy.optimize", extra="evaluation")
    # Pairs of one logit get one probability: they enter as their mean.
    knots, places, counts = np.unique(
        logits.astype(np.float32), return_inverse=True, return_counts=True
    )
    means = np.bincount(places, weights=targets) / counts
    found = optimize.isotonic_regression(means, weights=counts)
    ends = np.unique(np.concatenate([found.blocks[:-1], found.blocks[1:] - 1]))
    # A mean of targets may leave their range, or fall, by a rounding error.
    heights = np.maximum.accumulate(np.clip(found.x[ends], targets.min(), targets.max()))
    return Isotonic(tuple(knots[ends].tolist()), tuple(heights.tolist()))


_FITTERS: dict[Method, Callable[[Doubles, Doubles], CalibrationMap]] = {
    "temperature": _temperature,
    "platt": _platt,
    "isotonic": _isotonic,
}


def _spread(logits: Doubles, about: float) -> float:
    scale = float(np.sqrt(np.mean((logits - about) ** 2)))
    if np.ptp(logits) == 0:
        raise InputError(
            f"Logits that differ are required to calibrate, and all {len(logits)} are {logits[0]}."
        )
    return scale


def _logistic(design: Doubles, targets: Doubles) -> Doubles:
    """Fit a logistic regression by Newton's method; its loss is convex.

    Args:
        design: ``[pairs, weights]``.
        targets: ``[pairs]``, between 0 and 1.

    Returns:
        ``[weights]``.
    """
    optimize = require("scipy.optimize", extra="evaluation")

    def probabilities(weights: Doubles) -> Doubles:
        return Platt(1.0, 0.0)(design @ weights)

    def loss(weights: Doubles) -> float:
        logits = design @ weights
        return float(np.mean(np.logaddexp(0.0, logits) - targets * logits))

    def slope(weights: Doubles) -> Doubles:
        found: Doubles = design.T @ (probabilities(weights) - targets) / len(targets)
        return found

    def curvature(weights: Doubles) -> Doubles:
        share = probabilities(weights)
        found: Doubles = (design.T * (share * (1 - share))) @ design / len(targets)
        return found

    result: Any = optimize.minimize(
        loss,
        np.zeros(design.shape[1]),
        jac=slope,
        hess=curvature,
        method="trust-exact",
        options={"gtol": 1e-10},
    )
    if np.abs(result.jac).max() > 1e-7:
        raise InputError(
            f"The fit did not converge ({result.message}). Are there outliers among the logits?"
        )
    weights: Doubles = result.x
    return weights
