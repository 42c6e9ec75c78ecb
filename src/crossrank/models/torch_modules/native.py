"""crossrank's own networks."""

from typing import Any, Self

import torch
from torch import Tensor, nn

from crossrank.models.architectures import load_class
from crossrank.models.spec import ModelSpec
from crossrank.models.torch_modules.weights import clear_errors, no_progress_bar


class Native(nn.Module):
    """One of ``crossrank.models.architectures``; these want a mask, also when nothing is padded."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    @classmethod
    def load(cls, spec: ModelSpec, dtype: torch.dtype, options: dict[str, Any]) -> Self:
        """Load the network of a folder."""
        architecture = load_class(spec.config["model_type"])
        with clear_errors(spec.folder), no_progress_bar():
            return cls(architecture.from_pretrained(spec.folder, dtype=dtype, **options))

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None,
        token_type_ids: Tensor,
        features: Tensor | None = None,
    ) -> Tensor:
        """Compute logits ``[pairs, labels]``; images and recordings come as ``features``."""
        mask = torch.ones_like(input_ids) if attention_mask is None else attention_mask
        more = [] if features is None else [features]
        logits: Tensor = self.network(input_ids, mask, token_type_ids, *more)
        return logits.float()
