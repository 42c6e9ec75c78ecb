"""A bi-encoder, made once."""

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def bi_encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a random bi-encoder, 32 wide."""
    pytest.importorskip("torch", reason="vectors are computed with torch")
    pytest.importorskip("sentence_transformers", reason="random bi-encoders are saved by it")
    from tests.retrieval.tiny_bi_encoder import make_bi_encoder

    return make_bi_encoder(tmp_path_factory.mktemp("bi-encoder") / "model")
