"""Keyword arguments that older versions of sentence-transformers knew by other names."""

import functools
import warnings
from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


def renamed(**names: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Accept old names of keyword arguments, with a ``DeprecationWarning``.

    Args:
        names: Old name = new name. An empty new name drops the argument.

    Example:
        >>> @renamed(colour="color")
        ... def paint(color):
        ...     return color
        >>> with warnings.catch_warnings(action="ignore"):
        ...     paint(colour="red")
        'red'
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        @functools.wraps(function)
        def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
            for old in names.keys() & kwargs.keys():
                new = names[old]
                value = kwargs.pop(old)
                advice = f"use {new!r}" if new else "it has no effect"
                warnings.warn(
                    f"The argument {old!r} is out of date: {advice}.",
                    DeprecationWarning,
                    stacklevel=2,
                )
                if new:
                    kwargs.setdefault(new, value)
            return function(*args, **kwargs)

        return wrapper

    return decorate
