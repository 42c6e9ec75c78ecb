"""From the states of tokens to vectors, where a model's graph ends in the states."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from crossrank.models.pooling import read_pooling
from crossrank.models.reading import read_modules
from crossrank.models.spec import ModelSpec
from crossrank.types import Floats

Pool = Callable[[Floats, NDArray[np.intp]], Floats]
"""Makes vectors ``[texts, width]`` of states ``[texts, length, width]`` and the texts' lengths."""


def find_pool(spec: ModelSpec) -> Pool | None:
    """Find what makes vectors of a model's states.

    Args:
        spec: A bi-encoder.

    Returns:
        ``None`` where more lies between states and vectors than the mean or the first state, and
        torch must compute it.
    """
    modules = [
        (entry["type"].rpartition(".")[2], entry["path"]) for entry in read_modules(spec.folder)
    ]
    names = [name for name, _ in modules]
    if names not in (["Transformer", "Pooling"], ["Transformer", "Pooling", "Normalize"]):
        return None
    return _POOLS.get("+".join(read_pooling(spec.folder / modules[1][1])))


def _mean(states: Floats, lengths: NDArray[np.intp]) -> Floats:
    inside = np.arange(states.shape[1]) < lengths[:, None]
    sums: Floats = np.einsum("tlw,tl->tw", states, inside.astype(np.float32))
    sums /= lengths[:, None]
    return sums


def _first(states: Floats, lengths: NDArray[np.intp]) -> Floats:
    return states[:, 0]


_POOLS: dict[str, Pool] = {"mean": _mean, "cls": _first}
