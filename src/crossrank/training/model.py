"""A model in training: its torch module, tokenizer, and how it is saved."""

import copy
import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import torch
from safetensors.torch import load_model, save_model
from torch import nn
from transformers import set_seed

from crossrank import activations
from crossrank.errors import InputError, UnsupportedModelError
from crossrank.models import ModelSpec, locate, read_spec
from crossrank.models.saving import save_trained
from crossrank.models.tokenizers import load_tokenizer
from crossrank.models.torch_modules import load_module
from crossrank.tokenization import PairTokenizer, Truncation
from crossrank.training.parameters import depths, encoder_linears

ADAPTED = "adapted.safetensors"
"""Weights of a model with LoRA before they are merged; beside the merged ones in a checkpoint."""


@dataclass(frozen=True)
class LoRA:
    """Low-rank adaptation (Hu et al., 2021, arXiv:2106.09685), by peft.

    The linear layers of the encoder are adapted; the head is trained in full.

    Attributes:
        rank: Rank of the update of each layer.
        alpha: The update is scaled by ``alpha / rank``.
        dropout: On the input of the update.
    """

    rank: int = 16
    alpha: float = 32.0
    dropout: float = 0.0


class TrainableModel:
    """A cross-encoder whose weights can change.

    Attributes:
        spec: What the folder it was loaded from says about it.
        module: Computes logits ``[pairs, labels]`` in fp32 of ``input_ids, attention_mask,
            token_type_ids`` and, of documents that are no texts, ``features``.
        tokenizer: Pairs to token ids.
        lora: How it is adapted, if it is.
    """

    def __init__(
        self, spec: ModelSpec, module: nn.Module, tokenizer: PairTokenizer, lora: LoRA | None = None
    ) -> None:
        self.spec = spec
        self.lora = lora
        self.tokenizer = tokenizer
        self.module = module if lora is None else _adapt(module, lora)

    @classmethod
    def load(
        cls,
        name: str | Path,
        *,
        num_labels: int | None = None,
        max_length: int | None = None,
        truncation: Truncation | None = None,
        lora: LoRA | None = None,
        seed: int = 42,
        revision: str | None = None,
        local_files_only: bool = False,
        trust_remote_code: bool = False,
        config_kwargs: dict[str, Any] | None = None,
        model_kwargs: dict[str, Any] | None = None,
    ) -> Self:
        """Load a cross-encoder, or a plain encoder that gets a new head.

        Args:
            name: A folder or hub id with safetensors.
            num_labels: Width of the head; by default what the model says, or 1.
            max_length: Longest pair in tokens; by default as many as the model can read.
            truncation: What is cut of a pair that is too long; by default what the model says.
                It is saved with the model.
            lora: Train small updates of the layers instead of the layers.
            seed: Decides the start of new weights.
            revision: Branch, tag or commit on the hub.
            local_files_only: Never ask the hub.
            trust_remote_code: Run model code that comes with the model.
            config_kwargs: Values that replace those of ``config.json``.
            model_kwargs: Passed to ``from_pretrained`` of transformers.

        Raises:
            UnsupportedModelError: The model has quantised weights only.
        """
        folder = locate(name, backend="torch", revision=revision, local_files_only=local_files_only)
        if not any(folder.rglob("*.safetensors")):
            raise UnsupportedModelError(
                f"Training needs weights in safetensors, and {name} has none. Quantised models, "
                "such as the embedded one, cannot be trained: start from what they were made of."
            )
        spec = read_spec(
            folder,
            str(name),
            num_labels=num_labels,
            max_length=max_length,
            config_kwargs=config_kwargs,
            trust_remote_code=trust_remote_code,
            new_head=True,
        )
        set_seed(seed)
        with warnings.catch_warnings():
            # That a new head starts at random is what training is for.
            warnings.filterwarnings("ignore", message=".*holds no weights for.*")
            module = load_module(spec, options=model_kwargs)
        return cls(spec, module, load_tokenizer(spec, truncation), lora)

    def save(self, folder: str | Path, activation: str) -> None:
        """Write a folder that ``CrossEncoder`` and other libraries load; LoRA is merged.

        Args:
            folder: Where to; made when it does not exist.
            activation: Name of what makes scores of logits.

        Raises:
            InputError: It is the folder the model was loaded from.
        """
        saved = activations.to_saved(activations.resolve(activation))
        assert saved is not None  # the named ones all have a torch class
        save_trained(
            self.spec, merged(self.module), folder, saved, truncation=self.tokenizer.truncation
        )

    def save_checkpoint(self, folder: str | Path, activation: str) -> None:
        """Write the same folder, and with LoRA also the weights before merging."""
        self.save(folder, activation)
        if self.lora is not None:
            save_model(self.module, str(Path(folder) / ADAPTED))

    def load_checkpoint(self, folder: str | Path) -> None:
        """Take the weights of a checkpoint, bit for bit."""
        if self.lora is not None:
            load_model(self.module, Path(folder) / ADAPTED)
        else:
            saved = load_module(replace(self.spec, folder=Path(folder)))
            self.module.load_state_dict(saved.state_dict())


def merged(module: nn.Module) -> nn.Module:
    """Give the module with LoRA's updates added to the weights; itself where there are none."""
    if not hasattr(module, "merge_and_unload"):
        return module
    adapted: Any = copy.deepcopy(module)
    with torch.no_grad():
        return adapted.merge_and_unload()  # type: ignore[no-any-return]


def _adapt(module: nn.Module, lora: LoRA) -> nn.Module:
    """Add trainable updates to the encoder's linear layers and freeze the rest but the head."""
    from peft import LoraConfig, get_peft_model

    if lora.rank < 1:
        raise InputError(f"The rank of LoRA must be at least 1, received {lora.rank}.")
    head = {name for name, depth in depths(module).items() if depth is None}
    config = LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,  # type: ignore[arg-type]  # a float works, and is needed
        lora_dropout=lora.dropout,
        target_modules=encoder_linears(module),
    )
    adapted: nn.Module = get_peft_model(module, config)
    for name, parameter in adapted.named_parameters():
        if name.removeprefix("base_model.model.") in head:
            parameter.requires_grad_(True)
    return adapted
