"""Which weights learn, and how fast: freezing and layer-wise learning-rate decay."""

from collections.abc import Iterable
from itertools import takewhile
from typing import Any

from torch import nn

from crossrank.errors import InputError


def depths(module: nn.Module) -> dict[str, int | None]:
    """Tell how deep each parameter lies: 0 for the embeddings, 1 for the lowest layer ...

    The layers are the ``nn.ModuleList`` that holds most weights, which is so in every Transformer.

    Returns:
        Depth by name; ``None`` for what comes after the layers: pooling and heads.

    Example:
        >>> layers = nn.ModuleList([nn.Linear(8, 8, bias=False), nn.Linear(8, 8, bias=False)])
        >>> parts = {"embeddings": nn.Embedding(3, 8), "layers": layers, "head": nn.Linear(8, 1)}
        >>> list(depths(nn.ModuleDict(parts)).values())
        [0, 1, 2, None, None]
    """
    layers = f"{layer_list(module)}."
    tables = {
        f"{name}.": part.weight.numel()
        for name, part in module.named_modules()
        if isinstance(part, nn.Embedding)
    }
    backbone = _shared(layers, max(tables, key=tables.__getitem__)) if tables else ""
    found: dict[str, int | None] = {}
    reached = False
    for name, _ in module.named_parameters():
        if name.startswith(layers):
            found[name] = 1 + int(name.removeprefix(layers).partition(".")[0])
            reached = True
        elif name.startswith(tuple(tables)) or (name.startswith(backbone) and not reached):
            found[name] = 0  # made before the layers, e.g. a projection
        else:
            found[name] = None
    return found


def _shared(one: str, other: str) -> str:
    """Name the module that two modules are part of, with a dot at its end.

    Example:
        >>> _shared("bert.encoder.layer.", "bert.embeddings.word_embeddings.")
        'bert.'
    """
    pairs = zip(one.split("."), other.split("."), strict=False)
    return "".join(f"{a}." for a, b in takewhile(lambda pair: pair[0] == pair[1], pairs))


def encoder_linears(module: nn.Module) -> list[str]:
    """Name the linear modules inside the layers."""
    prefix = layer_list(module)
    return [
        name
        for name, part in module.named_modules()
        if isinstance(part, nn.Linear) and name.startswith(f"{prefix}.")
    ]


def freeze(module: nn.Module, layers: int) -> None:
    """Keep the embeddings and the lowest layers as they are.

    Args:
        module: Changed in place.
        layers: How many layers; 0 freezes the embeddings alone.

    Raises:
        InputError: The model has fewer layers.
    """
    found = depths(module)
    most = max(depth for depth in found.values() if depth is not None)
    if not 0 <= layers <= most:
        raise InputError(f"freeze_layers must be 0 to {most}, received {layers}.")
    for name, parameter in module.named_parameters():
        depth = found[name]
        if depth is not None and depth <= layers:
            parameter.requires_grad_(False)


def parameter_groups(
    module: nn.Module,
    *,
    learning_rate: float,
    weight_decay: float,
    layer_decay: float,
    decayed: Iterable[str],
) -> list[dict[str, Any]]:
    """Group the parameters for the optimizer.

    Args:
        module: The model.
        learning_rate: Of the head.
        weight_decay: Of the parameters in ``decayed``.
        layer_decay: Each layer learns at this share of the rate of the one above it (ULMFiT,
            Howard & Ruder 2018, arXiv:1801.06146); 1 is the same rate for all.
        decayed: Names of the parameters that weight decay is for.

    Returns:
        Groups with ``params``, ``lr`` and ``weight_decay``, in a fixed order.
    """
    shrinking = set(decayed)
    found = depths(module)
    top = 1 + max(depth for depth in found.values() if depth is not None)
    groups: dict[tuple[float, float], dict[str, Any]] = {}
    for name, parameter in module.named_parameters():
        if not parameter.requires_grad:
            continue
        depth = found[name]
        rate = learning_rate * layer_decay ** (top - (top if depth is None else depth))
        decay = weight_decay if name in shrinking else 0.0
        group = groups.setdefault((rate, decay), {"params": [], "lr": rate, "weight_decay": decay})
        group["params"].append(parameter)
    return list(groups.values())


def layer_list(module: nn.Module) -> str:
    """Name the list of layers.

    Raises:
        InputError: There is none.
    """
    lists = [(name, part) for name, part in module.named_modules() if type(part) is nn.ModuleList]
    if not lists:
        raise InputError("The model has no list of layers: nothing can be done layer by layer.")
    sizes = {name: sum(weight.numel() for weight in part.parameters()) for name, part in lists}
    largest: str = max(sizes, key=sizes.__getitem__)
    return largest
