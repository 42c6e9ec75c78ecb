"""transformers' sequence classification: BERT, RoBERTa, DeBERTa, ModernBERT and the others."""

import inspect
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor, nn
from transformers import AutoModelForSequenceClassification, AutoTokenizer, PreTrainedModel

from crossrank.models.spec import ModelSpec
from crossrank.models.torch_modules.weights import clear_errors, load_pretrained, read_config


class SequenceClassifier(nn.Module):
    """A transformers model with a classification head.

    Args:
        model: The model.
        token_types: Whether the model gets token types.
    """

    def __init__(self, model: PreTrainedModel, *, token_types: bool) -> None:
        super().__init__()
        self.model = model
        self.token_types = token_types

    @classmethod
    def load(cls, spec: ModelSpec, dtype: torch.dtype, options: dict[str, Any]) -> Self:
        """Load the model of a folder."""
        config = read_config(spec, spec.folder, options)
        if config.num_labels != spec.num_labels:
            config.num_labels = spec.num_labels
        model = load_pretrained(
            AutoModelForSequenceClassification, spec.folder, config, dtype, options
        )
        return cls(model, token_types=takes_token_types(model, spec.folder, options))

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor | None, token_type_ids: Tensor
    ) -> Tensor:
        """Compute logits ``[pairs, labels]``."""
        types = {"token_type_ids": token_type_ids} if self.token_types else {}
        output = self.model(input_ids=input_ids, attention_mask=attention_mask, **types)
        logits: Tensor = output.logits
        return logits.float()


def takes_token_types(model: PreTrainedModel, folder: Path, options: dict[str, Any]) -> bool:
    """Say whether transformers would feed token types to this model.

    Both must know them: the network (RoBERTa's vocabulary of types has one entry, DeBERTa-v2's
    none) and the tokenizer, whose ``model_input_names`` may leave them out.
    """
    if "token_type_ids" not in inspect.signature(model.forward).parameters:
        return False
    if getattr(model.config, "type_vocab_size", 2) < 2:
        return False
    with clear_errors(folder):
        tokenizer = AutoTokenizer.from_pretrained(
            folder,
            trust_remote_code=options.get("trust_remote_code", False),
            local_files_only=True,
        )
    return "token_type_ids" in tokenizer.model_input_names
