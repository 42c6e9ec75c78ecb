"""Losses by name, for recipe files, the command line and the docs."""

import difflib
from collections.abc import Callable
from typing import Any, TypeVar

from crossrank.errors import InputError
from crossrank.losses.base import Loss

LOSSES: dict[str, type[Loss]] = {}
"""Every loss by its name."""

_Class = TypeVar("_Class", bound=type[Loss])


def register(name: str) -> Callable[[_Class], _Class]:
    """Give a loss the name that recipes call it by."""

    def add(loss: _Class) -> _Class:
        loss.name = name
        LOSSES[name] = loss
        return loss

    return add


def make_loss(name: str, **options: Any) -> Loss:
    """Make a loss by name.

    Args:
        name: A key of ``LOSSES``.
        options: The arguments of its class.

    Raises:
        InputError: There is no such loss, or it has no such option.

    Example:
        >>> make_loss("lambda_loss", weighting="ndcg_loss2", k=10).name
        'lambda_loss'
    """
    if name not in LOSSES:
        near = difflib.get_close_matches(name, LOSSES, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise InputError(
            f"A loss must be one of {', '.join(sorted(LOSSES))}; received {name!r}.{hint}"
        )
    try:
        return LOSSES[name](**options)
    except TypeError as error:
        raise InputError(f"The loss {name!r} does not take these options: {error}.") from error
