"""Named activations on numpy logits, and what saved configurations call them.

An activation maps logits ``[pairs, labels]`` to scores of the same shape. Rankings are sorted on
the raw logits, so an activation that saturates never makes ties.
"""

import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from crossrank.errors import InputError
from crossrank.types import Floats

Activation = Callable[[Any], Any]
"""Logits ``[pairs, labels]`` in, scores of the same shape out."""


def identity(logits: Floats) -> Floats:
    """Give the logits back.

    Example:
        >>> identity(np.float32([[2.5]]))
        array([[2.5]], dtype=float32)
    """
    return logits


def sigmoid(logits: Floats) -> Floats:
    """Compute ``1 / (1 + e^-x)`` without overflow.

    Example:
        >>> sigmoid(np.float32([[0.0], [-1000.0]])).tolist()
        [[0.5], [0.0]]
    """
    small = np.exp(-np.abs(logits))
    result: Floats = np.where(logits >= 0, 1 / (1 + small), small / (1 + small))
    return result.astype(np.float32, copy=False)


def softmax(logits: Floats) -> Floats:
    """Compute probabilities over the labels, the last axis.

    Example:
        >>> softmax(np.float32([[0.0, 0.0]])).tolist()
        [[0.5, 0.5]]
    """
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    result: Floats = powers / powers.sum(axis=-1, keepdims=True)
    return result


def tanh(logits: Floats) -> Floats:
    """Compute the hyperbolic tangent.

    Example:
        >>> tanh(np.float32([[0.0]])).tolist()
        [[0.0]]
    """
    result: Floats = np.tanh(logits)
    return result


NAMED: dict[str, Activation] = {
    "identity": identity,
    "sigmoid": sigmoid,
    "softmax": softmax,
    "tanh": tanh,
}


def from_saved(path: str) -> str | None:
    """Name the activation that a saved configuration gives as a torch class.

    Args:
        path: E.g. ``"torch.nn.modules.activation.Sigmoid"``.

    Returns:
        A key of ``NAMED``, or ``None`` when crossrank does not know the class.

    Example:
        >>> from_saved("torch.nn.modules.linear.Identity")
        'identity'
    """
    module, _, name = path.rpartition(".")
    known = name.lower()
    return known if module.partition(".")[0] == "torch" and known in NAMED else None


def to_saved(activation: Activation) -> str | None:
    """Give the torch class by which saved configurations name an activation.

    Returns:
        The class's dotted path, or ``None`` for a function that is no torch class.

    Example:
        >>> to_saved(sigmoid)
        'torch.nn.modules.activation.Sigmoid'
    """
    for name, known in NAMED.items():
        if known is activation:
            module = "linear" if name == "identity" else "activation"
            return f"torch.nn.modules.{module}.{name.capitalize()}"
    path = f"{type(activation).__module__}.{type(activation).__name__}"
    return path if path.startswith("torch.nn.modules.") else None


def resolve(activation: str | Activation) -> Activation:
    """Turn a name, a numpy function or a ``torch.nn`` module into a function on numpy arrays.

    Raises:
        InputError: The name is unknown, or the object cannot be called.

    Example:
        >>> resolve("sigmoid") is sigmoid
        True
    """
    if isinstance(activation, str):
        if activation in NAMED:
            return NAMED[activation]
        raise InputError(
            f"activation_fn must be one of {', '.join(sorted(NAMED))}, a numpy function or a "
            f"torch.nn module, received {activation!r}."
        )
    if not callable(activation):
        raise InputError(
            f"activation_fn must be a name or a function, received {type(activation).__name__}."
        )
    torch = sys.modules.get("torch")
    if torch is None:
        return activation
    on_tensors = _on_numpy(torch, activation)
    return on_tensors if isinstance(activation, torch.nn.Module) else _first(activation, on_tensors)


def _first(plain: Activation, on_tensors: Activation) -> Activation:
    """Call a function that may be one of numpy, or one of torch, which refuses arrays."""

    def apply(logits: Floats) -> Floats:
        try:
            scores: Floats = plain(logits)
        except (AttributeError, TypeError):
            scores = on_tensors(logits)
        return scores

    return apply


def _on_numpy(torch: Any, module: Any) -> Activation:
    def apply(logits: Floats) -> Floats:
        with torch.inference_mode():
            result: Floats = module(torch.from_numpy(logits)).numpy()
        return result

    return apply
