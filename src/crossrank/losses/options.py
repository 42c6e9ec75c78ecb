"""Checks of the options of losses."""

import math
from collections.abc import Collection
from typing import Any

from crossrank.errors import InputError


def above_zero(name: str, value: Any) -> float:
    """Check an option that must be a finite number above 0.

    Raises:
        InputError: It is not.
    """
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not math.isfinite(value) or value <= 0:
        raise InputError(f"{name} must be a number above 0, received {value!r}.")
    return float(value)


def cutoff(value: Any) -> int | None:
    """Check ``k``, how many ranks count: at least 1, or None for all.

    Raises:
        InputError: It is neither.
    """
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise InputError(f"k must be a whole number from 1, or None for all, received {value!r}.")
    return value


def one_of(name: str, value: Any, choices: Collection[str]) -> Any:
    """Check an option that must be one of several names.

    Raises:
        InputError: It is not.
    """
    if value not in choices:
        raise InputError(f"{name} must be one of {', '.join(choices)}; received {value!r}.")
    return value
