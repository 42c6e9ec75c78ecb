"""The modules that sentence-transformers puts behind a transformer.

Each reads named tensors and adds its own. Configurations are those of sentence-transformers 6.2
and of the versions before it.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from crossrank.errors import UnsupportedModelError
from crossrank.models.json_files import read_json, read_optional
from crossrank.models.pooling import read_pooling
from crossrank.models.torch_modules.language_models import answer_logits
from crossrank.models.torch_modules.weights import load_weights

Features = dict[str, Any]
"""Named tensors; ``attention_mask`` may be ``None``."""


class Head(nn.Module):
    """A module that reads one tensor and writes one.

    Args:
        takes: Name of the tensor it reads.
        gives: Name of the tensor it writes.
        compute: What happens in between.
    """

    def __init__(self, takes: str, gives: str | None, compute: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.takes = takes
        self.gives = gives or takes
        self.compute = compute

    def forward(self, features: Features) -> Features:
        """Add the computed tensor to the features."""
        return {**features, self.gives: self.compute(features[self.takes])}


class Dense(nn.Module):
    """A linear layer and its activation; its weights carry the names that files use.

    Args:
        inputs: Width of what it reads.
        outputs: Width of what it writes.
        bias: Whether the layer has a bias.
        activation: Applied after the layer.
        residual: Add the input, projected when the widths differ.
    """

    def __init__(
        self, inputs: int, outputs: int, *, bias: bool, activation: nn.Module, residual: bool
    ) -> None:
        super().__init__()
        self.linear = nn.Linear(inputs, outputs, bias=bias)
        self.activation_function = activation
        self.use_residual = residual
        if residual and inputs != outputs:
            self.residual = nn.Linear(inputs, outputs, bias=False)

    def forward(self, inputs: Tensor) -> Tensor:
        """Compute ``[pairs, outputs]`` of ``[pairs, inputs]``."""
        outputs: Tensor = self.activation_function(self.linear(inputs))
        if self.use_residual:
            outputs = outputs + (self.residual(inputs) if hasattr(self, "residual") else inputs)
        return outputs


class LayerNorm(nn.Module):
    """A layer norm whose weights carry the names that files use."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)

    def forward(self, inputs: Tensor) -> Tensor:
        """Normalise each row."""
        outputs: Tensor = self.norm(inputs)
        return outputs


class Pooling(nn.Module):
    """Token vectors ``[pairs, length, width]`` to one vector a pair; several modes are joined."""

    gives = "sentence_embedding"

    def __init__(self, modes: list[str]) -> None:
        super().__init__()
        unknown = [mode for mode in modes if mode not in _POOLINGS]
        if unknown:
            raise UnsupportedModelError(
                f"Pooling knows {', '.join(_POOLINGS)}, and the model asks for {unknown[0]!r}."
            )
        self.modes = modes

    def forward(self, features: Features) -> Features:
        """Add ``sentence_embedding``."""
        tokens = features["token_embeddings"]
        mask = features["attention_mask"]
        if mask is None:
            mask = tokens.new_ones(tokens.shape[:2], dtype=torch.int64)
        # Sums over many tokens lose too much in half precision.
        pooled = [_POOLINGS[mode](tokens.float(), mask) for mode in self.modes]
        return {**features, self.gives: torch.cat(pooled, dim=-1).to(tokens.dtype)}


def _first(tokens: Tensor, mask: Tensor) -> Tensor:
    rows = torch.arange(len(tokens), device=tokens.device)
    return tokens[rows, mask.int().argmax(dim=1)]


def _last(tokens: Tensor, mask: Tensor) -> Tensor:
    rows = torch.arange(len(tokens), device=tokens.device)
    return tokens[rows, mask.shape[1] - 1 - mask.int().flip(1).argmax(dim=1)]


def _largest(tokens: Tensor, mask: Tensor) -> Tensor:
    return tokens.masked_fill(mask.unsqueeze(-1) == 0, float("-inf")).amax(dim=1)


def _mean(tokens: Tensor, weights: Tensor) -> Tensor:
    weights = weights.unsqueeze(-1).to(tokens.dtype)
    return (tokens * weights).sum(dim=1) / weights.sum(dim=1)


def _mean_sqrt_length(tokens: Tensor, mask: Tensor) -> Tensor:
    mask = mask.unsqueeze(-1).to(tokens.dtype)
    return (tokens * mask).sum(dim=1) / mask.sum(dim=1).sqrt()


def _weighted_mean(tokens: Tensor, mask: Tensor) -> Tensor:
    """Later tokens weigh more: 1, 2, 3 … from a pair's first token on."""
    return _mean(tokens, mask.cumsum(dim=1) * mask)


_POOLINGS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "cls": _first,
    "max": _largest,
    "mean": _mean,
    "mean_sqrt_len_tokens": _mean_sqrt_length,
    "weightedmean": _weighted_mean,
    "lasttoken": _last,
}


def _load_pooling(folder: Path) -> nn.Module:
    return Pooling(read_pooling(folder))


def _load_dense(folder: Path) -> nn.Module:
    config = read_json(folder / "config.json")
    dense = Dense(
        config["in_features"],
        config["out_features"],
        bias=config.get("bias", True),
        activation=_activation(config.get("activation_function")),
        residual=config.get("use_residual", False),
    )
    load_weights(dense, folder)
    takes = config.get("module_input_name", "sentence_embedding")
    return Head(takes, config.get("module_output_name"), dense)


def _load_layer_norm(folder: Path) -> nn.Module:
    norm = LayerNorm(read_json(folder / "config.json")["dimension"])
    load_weights(norm, folder)
    return Head("sentence_embedding", None, norm)


def _load_normalize(folder: Path) -> nn.Module:
    file = folder / "config.json"
    config = read_optional(file)  # absent before version 6
    takes = config.get("module_input_name", "sentence_embedding")
    return Head(takes, config.get("module_output_name"), nn.functional.normalize)


def _load_dropout(_: Path) -> nn.Module:
    return Head("sentence_embedding", None, nn.Identity())


def _load_logit_score(folder: Path) -> nn.Module:
    config = read_json(folder / "config.json")
    true, false = config["true_token_id"], config.get("false_token_id")
    takes = config.get("module_input_name", "causal_logits")
    return Head(takes, "scores", lambda words: answer_logits(words, true, false))


def _activation(path: str | None) -> nn.Module:
    """Make the activation that a config names; only torch's own classes are run."""
    if path is None:
        return nn.Tanh()
    package, _, name = path.rpartition(".")
    found = getattr(nn, name, None) if package.startswith("torch.nn.") else None
    if not (isinstance(found, type) and issubclass(found, nn.Module)):
        raise UnsupportedModelError(
            f"A dense layer asks for the activation {path!r}; crossrank runs the classes of "
            "torch.nn only."
        )
    return found()


HEADS: dict[str, Callable[[Path], nn.Module]] = {
    "Pooling": _load_pooling,
    "Dense": _load_dense,
    "LayerNorm": _load_layer_norm,
    "Normalize": _load_normalize,
    "Dropout": _load_dropout,
    "LogitScore": _load_logit_score,
}
"""How each module is loaded from its folder."""
