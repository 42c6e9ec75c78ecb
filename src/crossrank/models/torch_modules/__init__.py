"""Networks that compute with torch, one file a family.

Every module answers ``forward(input_ids, attention_mask, token_type_ids)`` with fp32 logits
``[pairs, labels]``. ``attention_mask`` may be ``None`` when no pair is padded: kernels without a
mask are faster. Those that read more than texts take ``Batch.more`` after these.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from crossrank.models.spec import Kind, ModelSpec
from crossrank.models.torch_modules.classification import SequenceClassifier
from crossrank.models.torch_modules.language_models import CausalScorer, SequenceToSequenceScorer
from crossrank.models.torch_modules.modular import Modular, SentenceEmbedder
from crossrank.models.torch_modules.native import Native
from crossrank.models.torch_modules.precision import keep_last_linear_in_fp32

_FAMILIES: dict[Kind, Callable[[ModelSpec, torch.dtype, dict[str, Any]], nn.Module]] = {
    "sequence-classification": SequenceClassifier.load,
    "modular": Modular.load,
    "bi-encoder": SentenceEmbedder.load,
    "vision-language": Modular.load,
    "causal-lm": CausalScorer.load,
    "seq2seq": SequenceToSequenceScorer.load,
    "native": Native.load,
}


def load_module(
    spec: ModelSpec,
    *,
    dtype: torch.dtype = torch.float32,
    options: dict[str, Any] | None = None,
) -> nn.Module:
    """Load a model's weights into a torch module.

    Only safetensors files are read, never pickles.

    Args:
        spec: What the model's folder says about itself.
        dtype: What the weights are computed in. The last linear layer of a classifier stays in
            fp32: rounded logits would tie.
        options: Passed to ``from_pretrained`` of transformers, e.g. ``attn_implementation``.

    Returns:
        A module in evaluation mode on the CPU, see this package's docstring for ``forward``.

    Raises:
        ModelFileError: A file is missing, damaged or refused.
        UnsupportedModelError: The architecture or layout is unknown.
    """
    settings = dict(options or {})
    if spec.trust_remote_code:
        settings["trust_remote_code"] = True
    module = _FAMILIES[spec.kind](spec, dtype, settings)
    if dtype != torch.float32:
        keep_last_linear_in_fp32(module, spec.num_labels)
    return module.eval()
