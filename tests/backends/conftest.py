"""A tiny random classifier, in every form that a backend reads."""

from collections.abc import Callable
from pathlib import Path

import pytest

from crossrank.batching import Batch, collate
from crossrank.models import ModelSpec, read_spec
from crossrank.tokenization import PairTokenizer
from crossrank.types import Pair


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT classifier's folder with ``model.safetensors`` and ``onnx/model.onnx``."""
    for package in ("torch", "transformers", "onnxscript"):
        pytest.importorskip(package, reason="it makes the model under test")
    from tests.parity.tiny_models import make_classifier

    from crossrank.models.convert import to_onnx
    from crossrank.models.torch_modules import load_module

    folder = make_classifier(tmp_path_factory.mktemp("backends") / "bert", "bert")
    (folder / "onnx").mkdir()
    module = load_module(read_spec(folder, "bert"), options={"attn_implementation": "eager"})
    to_onnx(module, folder / "onnx" / "model.onnx")
    return folder


@pytest.fixture(scope="session")
def spec(folder: Path) -> ModelSpec:
    return read_spec(folder, "bert")


@pytest.fixture(scope="session")
def batch_of(spec: ModelSpec) -> Callable[[list[Pair]], Batch]:
    """Tokenise and pad pairs."""
    tokenizer = PairTokenizer(spec.tokenizer_file, spec.template, max_length=spec.max_length)

    def make(pairs: list[Pair]) -> Batch:
        return collate(tokenizer.encode(pairs), pad_token_id=spec.pad_token_id)

    return make


@pytest.fixture
def engine_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder for compiled models."""
    monkeypatch.setenv("CROSSRANK_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "openvino"
