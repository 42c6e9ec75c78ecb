"""Classifiers without padding: all tokens of a batch in one row.

The pairs of a batch lie one behind the other in a single sequence ``[1, tokens]``. Positions start
anew with each pair, attention stays inside of each pair (``torch.nn.attention.varlen``, a flash
attention kernel), and after the last layer the first token of each pair is gathered, so that the
model's own head sees ``[pairs, 1, width]`` and works as ever.
"""

import inspect
from functools import cache
from typing import Any, TypeGuard

import torch
from torch import Tensor, nn
from torch.nn.functional import pad, scaled_dot_product_attention
from transformers import AttentionInterface, PretrainedConfig

from crossrank.models.torch_modules.classification import SequenceClassifier
from crossrank.optional import installed

NAME = "crossrank_packed"
"""What transformers calls our attention."""

LAYERS = {
    "bert": "encoder.layer",
    "electra": "encoder.layer",
    "roberta": "encoder.layer",
    "xlm-roberta": "encoder.layer",
    "distilbert": "transformer.layer",
    "modernbert": "layers",
}
"""The model types that can be packed, and where each keeps its layers."""


def can_pack(
    module: nn.Module, device: torch.device, dtype: torch.dtype
) -> TypeGuard[SequenceClassifier]:
    """Say whether a module can run packed there: flash attention wants an Ampere GPU or later."""
    return (
        device.type == "cuda"
        and dtype in (torch.float16, torch.bfloat16)
        and _kernel_is_there()
        and torch.cuda.get_device_capability(device) >= (8, 0)
        and isinstance(module, SequenceClassifier)
        and _fits(module.model.config)
    )


@cache
def _kernel_is_there() -> bool:
    """Whether torch has the kernel, and with windows: since 2.11."""
    if not installed("torch.nn.attention.varlen"):
        return False
    from torch.nn.attention.varlen import varlen_attn

    return "window_size" in inspect.signature(varlen_attn).parameters


def _fits(config: PretrainedConfig) -> bool:
    """Whether layout and head are known, and the kernel takes the width of the attention heads."""
    width = config.hidden_size // config.num_attention_heads
    first = getattr(config, "classifier_pooling", "cls") == "cls"
    return config.model_type in LAYERS and first and width % 8 == 0 and width <= 256


class PackedClassifier(nn.Module):
    """A sequence classifier that computes nothing for padding.

    Args:
        classifier: The classifier, of a model type in ``LAYERS``; it is changed.
    """

    def __init__(self, classifier: SequenceClassifier) -> None:
        super().__init__()
        self.model = classifier.model
        self.token_types = classifier.token_types
        config = self.model.config
        # RoBERTa's positions begin behind the one that is kept for padding.
        self.first_position = config.pad_token_id + 1 if "roberta" in config.model_type else 0
        self.model.set_attn_implementation(NAME)
        layers = self.model.base_model.get_submodule(LAYERS[config.model_type])
        layers[-1].register_forward_hook(_gather_first_tokens, with_kwargs=True)  # type: ignore[index]

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor | None, token_type_ids: Tensor
    ) -> Tensor:
        """Compute logits ``[pairs, labels]`` of a batch padded on the right."""
        mask = torch.ones_like(input_ids) if attention_mask is None else attention_mask
        keep = mask.bool()
        positions = torch.arange(input_ids.shape[1], device=input_ids.device).expand_as(input_ids)
        starts = pad(mask.sum(dim=1).cumsum(dim=0), (1, 0)).int()
        packed = {
            "input_ids": input_ids[keep],
            "position_ids": positions[keep] + self.first_position,
        }
        if self.token_types:
            packed["token_type_ids"] = token_type_ids[keep]
        output = self.model(
            **{name: values.unsqueeze(0) for name, values in packed.items()},
            cu_seq_lens_q=starts,
            max_length_q=input_ids.shape[1],
        )
        logits: Tensor = output.logits
        return logits.float()


def _gather_first_tokens(_: nn.Module, __: Any, arguments: dict[str, Any], output: Any) -> Any:
    """Reduce a layer's output ``[1, tokens, width]`` to ``[pairs, 1, width]``."""
    starts = arguments["cu_seq_lens_q"][:-1]
    if isinstance(output, tuple):
        return (output[0][0, starts].unsqueeze(1), *output[1:])
    return output[0, starts].unsqueeze(1)


def _attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    cu_seq_lens_q: Tensor,
    max_length_q: int,
    scaling: float | None = None,
    sliding_window: int | None = None,
    **_: Any,
) -> tuple[Tensor, None]:
    """Attend within each pair; ``query``, ``key`` and ``value`` are ``[1, heads, tokens, width]``.

    transformers counts a token itself into its window, the kernel does not.
    """
    window = -1 if sliding_window is None else sliding_window - 1
    q, k, v = (states[0].transpose(0, 1) for states in (query, key, value))
    if query.is_cuda:
        from torch.nn.attention.varlen import varlen_attn

        attended = varlen_attn(
            q,
            k,
            v,
            cu_seq_lens_q,
            cu_seq_lens_q,
            max_length_q,
            max_length_q,
            scale=scaling,
            window_size=(window, window),
        )
        assert isinstance(attended, Tensor)
    else:
        lengths = cu_seq_lens_q.diff().tolist()
        attended = _one_by_one(q, k, v, lengths, scaling, window)
    return attended.unsqueeze(0), None


def _one_by_one(
    query: Tensor, key: Tensor, value: Tensor, lengths: list[int], scale: float | None, window: int
) -> Tensor:
    """Do what the kernel does, where there is none: the reference that tests compare with."""
    attended = []
    triples = (torch.split(states, lengths) for states in (query, key, value))
    for rows in zip(*triples, strict=True):
        q, k, v = (row.transpose(0, 1).unsqueeze(0) for row in rows)
        positions = torch.arange(q.shape[2], device=q.device)
        near = (positions[:, None] - positions).abs() <= window if window >= 0 else None
        result = scaled_dot_product_attention(q, k, v, attn_mask=near, scale=scale)
        attended.append(result[0].transpose(0, 1))
    return torch.cat(attended)


AttentionInterface.register(NAME, _attention)
