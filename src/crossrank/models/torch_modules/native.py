"""crossrank's own networks."""

from typing import Any

import torch
from torch import nn

from crossrank.models.spec import ModelSpec


def load_native(spec: ModelSpec, dtype: torch.dtype, _: dict[str, Any]) -> nn.Module:
    """Load one of crossrank's own networks; they take no options."""
    from crossrank.models.architectures import load_class

    architecture = load_class(spec.config["architectures"][0])
    module: nn.Module = architecture.from_pretrained(spec.folder)
    return module.to(dtype)
