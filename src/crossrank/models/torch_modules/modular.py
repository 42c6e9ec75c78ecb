"""Cross-encoders in modules, as sentence-transformers 5 and later save them.

``modules.json`` lists modules that run one after the other on a dictionary of named tensors:
a transformer, then e.g. pooling, dense layers and layer norms (the ettin rerankers), or
``LogitScore`` behind a causal language model. The last one leaves ``scores``. Models that read
images are loaded from this layout only.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor, nn
from transformers import (
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForImageTextToText,
    AutoModelForSequenceClassification,
    PreTrainedModel,
)

from crossrank.errors import ModelFileError, UnsupportedModelError
from crossrank.models.json_files import read_optional, read_value
from crossrank.models.spec import ModelSpec
from crossrank.models.torch_modules.classification import takes_token_types
from crossrank.models.torch_modules.heads import HEADS, Features
from crossrank.models.torch_modules.language_models import last_logits
from crossrank.models.torch_modules.weights import load_pretrained, read_config

_TASKS: dict[str, tuple[Any, str, str]] = {
    "feature-extraction": (AutoModel, "last_hidden_state", "token_embeddings"),
    "sequence-classification": (AutoModelForSequenceClassification, "logits", "scores"),
    "text-generation": (AutoModelForCausalLM, "logits", "causal_logits"),
    "any-to-any": (AutoModelForImageTextToText, "logits", "causal_logits"),
}
"""Task of the transformer: its class, what is taken of its output, and the name that gets."""


class Transformer(nn.Module):
    """The first module: a transformers model.

    Args:
        model: The model.
        takes: Which of the model's outputs is taken.
        gives: The name it gets.
        token_types: Whether the model gets token types.
    """

    def __init__(self, model: PreTrainedModel, takes: str, gives: str, token_types: bool) -> None:
        super().__init__()
        self.model = model
        self.takes = takes
        self.gives = gives
        self.token_types = token_types

    @classmethod
    def load(
        cls, spec: ModelSpec, folder: Path, dtype: torch.dtype, options: dict[str, Any]
    ) -> Self:
        """Load the transformer of a modular model."""
        file = folder / "sentence_bert_config.json"
        settings = read_optional(file)  # absent in some old models
        task = settings.get("transformer_task", "feature-extraction")
        if task not in _TASKS:
            raise UnsupportedModelError(
                f"The transformer of {spec.name} has the task {task!r}; crossrank knows "
                f"{', '.join(_TASKS)}."
            )
        auto_class, takes, gives = _TASKS[task]
        text = settings.get("modality_config", {}).get("text", {})
        if text.get("method", "forward") != "forward" or not isinstance(
            text.get("method_output_name", takes), str
        ):
            raise UnsupportedModelError(f"{spec.name} reads text in an unknown way: {text}.")
        config = read_config(spec, folder, options)
        model = load_pretrained(auto_class, folder, config, dtype, options)
        return cls(
            model,
            text.get("method_output_name", takes),
            settings.get("module_output_name", gives),
            takes_token_types(model, folder, options),
        )

    def forward(self, features: Features) -> Features:
        """Run the model on ``input_ids``, ``attention_mask``, ``token_type_ids`` and ``images``."""
        ids, mask, images = (features[name] for name in ("input_ids", "attention_mask", "images"))
        if images:
            places = ids == self.model.config.image_token_id
            images = {**images, "mm_token_type_ids": places.int()}
        if self.gives == "causal_logits":
            return {**features, self.gives: last_logits(self.model, ids, mask, images)}
        types = {"token_type_ids": features["token_type_ids"]} if self.token_types else {}
        output = self.model(input_ids=ids, attention_mask=mask, **types, **images)
        return {**features, self.gives: output[self.takes]}


class Modular(nn.Module):
    """A transformer and the modules behind it.

    Attributes:
        gives: The tensor that the last module must leave.
    """

    gives = "scores"

    def __init__(self, transformer: Transformer, heads: list[nn.Module]) -> None:
        super().__init__()
        self.transformer = transformer
        self.heads = nn.ModuleList(heads)

    @classmethod
    def load(cls, spec: ModelSpec, dtype: torch.dtype, options: dict[str, Any]) -> Self:
        """Load the modules that ``modules.json`` lists."""
        entries = read_value(spec.folder / "modules.json")
        names = [_class_name(entry["type"], spec) for entry in entries]
        if names[0] != "Transformer":
            raise UnsupportedModelError(
                f"The first module of {spec.name} is {names[0]}; crossrank needs a Transformer."
            )
        folders = [_inside(spec.folder, entry["path"]) for entry in entries]
        transformer = Transformer.load(spec, folders[0], dtype, options)
        heads = [
            _head(name, spec)(folder).to(dtype)
            for name, folder in zip(names[1:], folders[1:], strict=True)
        ]
        last = heads[-1].gives if heads else transformer.gives
        if last != cls.gives:
            raise UnsupportedModelError(
                f"The last module of {spec.name} gives {last!r}; {cls.gives!r} is required here: "
                "a cross-encoder ends in scores, a bi-encoder in a sentence_embedding."
            )
        return cls(transformer, heads)

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None,
        token_type_ids: Tensor,
        patches: Tensor | None = None,
        grids: Tensor | None = None,
    ) -> Tensor:
        """Compute logits ``[pairs, labels]``, or embeddings ``[texts, width]``.

        Args:
            input_ids: ``[pairs, length]``. A token of its own stands for each state of an image.
            attention_mask: ``[pairs, length]``.
            token_type_ids: ``[pairs, length]``.
            patches: Of all images of the batch, in order, ``[patches, numbers]``.
            grids: Frames, rows and columns of each image, ``[images, 3]``.
        """
        images = {} if patches is None else {"pixel_values": patches, "image_grid_thw": grids}
        features: Features = {
            "input_ids": input_ids,
            "attention_mask": attention_mask,
            "token_type_ids": token_type_ids,
            "images": images,
        }
        features = self.transformer(features)
        for head in self.heads:
            features = head(features)
        output: Tensor = features[self.gives]
        return output.float()


class SentenceEmbedder(Modular):
    """A bi-encoder: its modules end in one vector a text."""

    gives = "sentence_embedding"


def _head(name: str, spec: ModelSpec) -> Callable[[Path], nn.Module]:
    if name not in HEADS:
        raise UnsupportedModelError(
            f"{spec.name} has a module {name}; crossrank knows {', '.join(sorted(HEADS))}."
        )
    return HEADS[name]


def _class_name(path: str, spec: ModelSpec) -> str:
    """Take the class of a dotted path; the modules in between moved from version to version."""
    if not path.startswith("sentence_transformers."):
        raise UnsupportedModelError(
            f"{spec.name} has a module {path!r} of its own; crossrank runs those of "
            "sentence_transformers only."
        )
    return path.rpartition(".")[2]


def _inside(folder: Path, name: str) -> Path:
    path = (folder / name).resolve()
    if not path.is_relative_to(folder.resolve()):
        raise ModelFileError(f"modules.json in {folder} points outside of it: {name!r}.")
    return path
