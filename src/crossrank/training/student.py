"""A student made of some of its teacher's layers."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from crossrank.errors import InputError, UnsupportedModelError
from crossrank.models.torch_modules.saving import pretrained
from crossrank.training.model import TrainableModel
from crossrank.training.parameters import layer_list


def spread(count: int, total: int) -> tuple[int, ...]:
    """Choose layers at equal distances, the first and the last among them.

    Raises:
        InputError: ``count`` is not between 1 and ``total``.

    Example:
        >>> spread(3, 6), spread(4, 12)
        ((0, 2, 5), (0, 4, 7, 11))
    """
    if not 1 <= count <= total:
        raise InputError(f"A model of {total} layers has 1 to {total} to keep, received {count}.")
    return tuple(np.linspace(0, total - 1, count).round().astype(int).tolist())


def keep_layers(model: TrainableModel, layers: int | Sequence[int]) -> tuple[int, ...]:
    """Take all other layers out of a model; embeddings and head stay.

    Args:
        model: Changed in place.
        layers: Which layers to keep, numbered from 0 at the bottom, in ascending order; or how
            many, at equal distances.

    Returns:
        The layers that were kept.

    Raises:
        InputError: There are no such layers, or they are not in ascending order.
        UnsupportedModelError: Layers of this architecture cannot be taken out.
    """
    network: Any = pretrained(model.module)
    name = layer_list(network)
    owner, _, attribute = name.rpartition(".")
    old: Any = network.get_submodule(name)
    kept = spread(layers, len(old)) if isinstance(layers, int) else tuple(layers)
    _check(kept, len(old))
    if getattr(network.config, "is_encoder_decoder", False):
        raise UnsupportedModelError(
            f"Layers are taken out of encoders, and {model.spec.name} has a decoder too: name a "
            "smaller model as the student."
        )
    setattr(network.get_submodule(owner), attribute, nn.ModuleList(old[layer] for layer in kept))
    _change_config(network.config, kept)
    if hasattr(network, "layers_kept"):
        network.layers_kept(kept)
    _check_loadable(network, kept)
    return kept


def _check(kept: tuple[int, ...], total: int) -> None:
    if not kept or list(kept) != sorted(set(kept)) or not 0 <= kept[0] <= kept[-1] < total:
        raise InputError(
            f"Layers to keep must be some of 0 to {total - 1}, in ascending order, received "
            f"{list(kept)}."
        )


def _check_loadable(network: Any, kept: tuple[int, ...]) -> None:
    """See that the weights are those of a model of this configuration."""
    with torch.device("meta"):
        expected = type(network)(network.config).state_dict()
    found = network.state_dict()
    different = sorted(
        name
        for name in expected.keys() | found.keys()
        if name not in found or name not in expected or found[name].shape != expected[name].shape
    )
    if different:
        raise UnsupportedModelError(
            f"The layers {list(kept)} are no model of this architecture: its layers differ by "
            f"where they stand ({different[0]}). Keep the first layer."
        )


def _change_config(config: Any, kept: tuple[int, ...]) -> None:
    total = config.num_hidden_layers
    config.num_hidden_layers = len(kept)
    # What a layer attends to is listed layer by layer in some families (ModernBERT, Qwen).
    if len(getattr(config, "layer_types", None) or ()) == total:
        config.layer_types = [config.layer_types[layer] for layer in kept]
