"""Maps from logits to probabilities, and the threshold at which they decide.

No map ever decreases, so that the order of documents stays as it is. Their attributes are what is
saved with a model: each map is data, and checks what it is made of.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from crossrank.errors import InputError

Doubles = NDArray[np.float64]
Method = Literal["temperature", "platt", "isotonic"]

LARGEST = 1e6
"""Largest slope, intercept and temperature; 1 / LARGEST is the smallest of the first and last."""

MAX_KNOTS = 100_000
"""Of an isotonic map. They grow far more slowly than the pairs it is fitted on."""


@dataclass(frozen=True)
class Temperature:
    """``sigmoid(logit / temperature)`` (Guo et al., ICML 2017): less, or more, sure of everything.

    Attributes:
        temperature: Above 1 draws probabilities to one half, below 1 away from it.

    Raises:
        InputError: It is not a number between 1e-6 and 1e6.

    Example:
        >>> Temperature(2.0)([0.0, 2.0]).round(3).tolist()
        [0.5, 0.731]
    """

    temperature: float

    def __post_init__(self) -> None:
        _check_number("temperature", self.temperature, 1 / LARGEST)

    def __call__(self, logits: Any) -> Doubles:
        return _sigmoid(_doubles(logits) / self.temperature)

    def __str__(self) -> str:
        return f"temperature {self.temperature:.4g}"


@dataclass(frozen=True)
class Platt:
    """``sigmoid(slope * logit + intercept)`` (Platt, 1999): also for logits that lie off centre.

    Attributes:
        slope: Above 0.
        intercept: The log-odds at a logit of 0.

    Raises:
        InputError: The slope is not between 1e-6 and 1e6, or the intercept beyond 1e6.

    Example:
        >>> Platt(1.0, -2.0)([0.0, 2.0]).round(3).tolist()
        [0.119, 0.5]
    """

    slope: float
    intercept: float

    def __post_init__(self) -> None:
        _check_number("slope", self.slope, 1 / LARGEST)
        _check_number("intercept", self.intercept, -LARGEST)

    def __call__(self, logits: Any) -> Doubles:
        return _sigmoid(self.slope * _doubles(logits) + self.intercept)

    def __str__(self) -> str:
        return f"slope {self.slope:.4g}, intercept {self.intercept:.4g}"


@dataclass(frozen=True)
class Isotonic:
    """Straight lines between knots (Zadrozny & Elkan, KDD 2002): for many pairs, of any shape.

    Below the first knot and above the last the map is flat. Where it is flat, different logits get
    one probability.

    Attributes:
        logits: Of the knots, ascending, as fp32 holds them.
        probabilities: At the knots.

    Raises:
        InputError: There are fewer than two knots or more than 100,000, logits do not ascend, or
            probabilities descend or are not between 0 and 1.

    Example:
        >>> Isotonic((-1.0, 1.0), (0.2, 0.6))([-5.0, 0.0, 5.0]).tolist()
        [0.2, 0.4, 0.6]
    """

    logits: tuple[float, ...]
    probabilities: tuple[float, ...]

    def __post_init__(self) -> None:
        if not 2 <= len(self.logits) == len(self.probabilities) <= MAX_KNOTS:
            raise InputError(
                f"An isotonic map needs 2 to {MAX_KNOTS:,} knots, each a logit and a probability; "
                f"received {len(self.logits)} logits and {len(self.probabilities)} probabilities."
            )
        largest = float(np.finfo(np.float32).max)
        for logit in self.logits:
            _check_number("logit", logit, -largest, largest)
        for probability in self.probabilities:
            _check_number("probability", probability, 0.0, 1.0)
        # Knots that only fp64 could tell apart would make lines too steep to compute with.
        if (np.diff(_knots(self.logits)) <= 0).any():
            raise InputError("The logits of an isotonic map must ascend, as numbers of fp32.")
        if (np.diff(self.probabilities) < 0).any():
            raise InputError("The probabilities of an isotonic map must not descend.")

    def __call__(self, logits: Any) -> Doubles:
        values = _doubles(logits)
        knots, heights = _knots(self.logits), _doubles(self.probabilities)
        # Rounding may lift the end of a line above the knot that it leads to.
        ceiling = heights[np.minimum(np.searchsorted(knots, values), len(knots) - 1)]
        result: Doubles = np.minimum(np.interp(values, knots, heights), ceiling)
        return result

    def __str__(self) -> str:
        return f"{len(self.logits)} knots"


CalibrationMap = Temperature | Platt | Isotonic
MAPS: Mapping[Method, type[CalibrationMap]] = {
    "temperature": Temperature,
    "platt": Platt,
    "isotonic": Isotonic,
}


@dataclass(frozen=True)
class Threshold:
    """From which probability on a pair counts as relevant, and what that is worth.

    Attributes:
        wanted: The precision for which the threshold was chosen.
        probability: The least calibrated probability that counts as relevant.
        precision: Measured on queries that had no part in the choice; ``None`` where none of their
            documents reached the threshold.
        lower_bound: Of that precision, with 95 % confidence.
        recall: On the same queries: which share of the relevant documents reached it.

    Raises:
        InputError: One of them is not between 0 and 1.
    """

    wanted: float
    probability: float
    precision: float | None
    lower_bound: float
    recall: float

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if name != "precision" or value is not None:
                _check_number(name, value, 0.0, 1.0)


@dataclass(frozen=True)
class Calibration:
    """What makes probabilities of a model's logits.

    Attributes:
        method: ``"temperature"``, ``"platt"`` or ``"isotonic"``.
        map: Fitted by this method.
        threshold: Where a precision was wanted.

    Example:
        >>> Calibration("temperature", Temperature(1.0))(np.float32([0.0]))
        array([0.5], dtype=float32)
    """

    method: Method
    map: CalibrationMap
    threshold: Threshold | None = None

    def __call__(self, logits: Any) -> NDArray[np.float32]:
        """Make probabilities of logits; both have the same shape."""
        return self.map(logits).astype(np.float32)


def _check_number(name: str, value: Any, low: float, high: float = LARGEST) -> None:
    real = isinstance(value, int | float) and not isinstance(value, bool)
    if not (real and low <= value <= high):  # NaN is not
        raise InputError(
            f"A {name} between {low:g} and {high:g} is required, received {value!r:.40}."
        )


def _doubles(logits: Sequence[float] | NDArray[Any]) -> Doubles:
    return np.asarray(logits, dtype=np.float64)


def _knots(logits: tuple[float, ...]) -> Doubles:
    """What fp32 makes of them, which is what models answer."""
    return np.array(logits, dtype=np.float32).astype(np.float64)


def _sigmoid(logits: Doubles) -> Doubles:
    """In fp64, where a logit of 30 is not yet 1."""
    result: Doubles = np.exp(-np.logaddexp(0.0, -logits))
    return result
