"""Makes a tiny random bi-encoder, saved as sentence-transformers saves them."""

from pathlib import Path
from typing import Any

from tests.parity.tiny_models import make_classifier


def make_bi_encoder(folder: Path, **options: Any) -> Path:
    """Save BERT with mean pooling.

    Args:
        folder: Where to; made when absent.
        options: Of ``SentenceTransformer``: ``prompts``, ``similarity_fn_name``.

    Returns:
        The folder.
    """
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.base.modules import Transformer
    from sentence_transformers.sentence_transformer.modules import Pooling

    backbone = make_classifier(folder.with_name(f"{folder.name}-backbone"), "bert")
    modules = [Transformer(str(backbone)), Pooling(32, pooling_mode="mean")]
    SentenceTransformer(modules=modules, device="cpu", **options).save_pretrained(str(folder))
    return folder
