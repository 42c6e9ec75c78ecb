"""The last layer in fp32, whatever the rest of a model is computed in."""

from typing import Any

import torch
from torch import nn


def keep_last_linear_in_fp32(module: nn.Module, num_labels: int) -> None:
    """Compute the layer that makes the logits in fp32.

    bf16 has 8 significant bits: logits near 8 would be rounded to multiples of 1/16, and a
    hundred candidates would tie. One small layer in fp32 costs nothing.

    Args:
        module: A model in reduced precision; changed in place. Left alone where no linear layer
            is ``num_labels`` wide (language models take their logits from the vocabulary).
        num_labels: Width of the logits.
    """
    linears = [layer for layer in module.modules() if isinstance(layer, nn.Linear)]
    heads = [layer for layer in linears if layer.out_features == num_labels]
    if heads:
        heads[-1].float()
        heads[-1].register_forward_pre_hook(_inputs_in_fp32)


def _inputs_in_fp32(_: nn.Module, inputs: tuple[Any, ...]) -> tuple[torch.Tensor, ...]:
    return tuple(tensor.float() for tensor in inputs)
