"""Makes a tiny random bi-encoder, saved as sentence-transformers saves them."""

import shutil
from pathlib import Path
from typing import Any

import torch
from tests.parity.tiny_models import make_classifier
from torch import Tensor

from crossrank.models.convert import to_onnx


def make_bi_encoder(folder: Path, *, dense: bool = False, **options: Any) -> Path:
    """Save BERT with mean pooling.

    Args:
        folder: Where to; made when absent.
        dense: Put a linear layer behind it.
        options: Of ``SentenceTransformer``: ``prompts``, ``similarity_fn_name``.

    Returns:
        The folder.
    """
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.base.modules import Transformer
    from sentence_transformers.sentence_transformer.modules import Dense, Pooling

    backbone = make_classifier(folder.with_name(f"{folder.name}-backbone"), "bert")
    modules: list[Any] = [Transformer(str(backbone)), Pooling(32, pooling_mode="mean")]
    if dense:
        modules.append(Dense(32, 16))
    SentenceTransformer(modules=modules, device="cpu", **options).save_pretrained(str(folder))
    return folder


def without_safetensors(folder: Path, source: Path) -> Path:
    """Save a bi-encoder's transformer as optimum does: a graph that gives the states of tokens.

    Args:
        folder: Where to; must not exist.
        source: Of the bi-encoder.

    Returns:
        The folder, with one ONNX file and no other weights.
    """
    from transformers import AutoModel

    shutil.copytree(source, folder)
    model = AutoModel.from_pretrained(source, attn_implementation="eager").eval()
    (folder / "model.safetensors").unlink()
    (folder / "onnx").mkdir()
    to_onnx(_States(model).eval(), folder / "onnx" / "model.onnx")
    return folder


class _States(torch.nn.Module):
    def __init__(self, model: torch.nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor) -> Tensor:
        states: Tensor = self.model(input_ids, attention_mask, token_type_ids)[0]
        return states
