"""Weights that one file cannot hold go to a second one; the limit is lowered to see it."""

from pathlib import Path

import numpy as np
import pytest

for package in ("torch", "onnx", "nncf", "onnxruntime"):
    pytest.importorskip(package, reason="the extra 'export' is not installed")
import onnx  # noqa: E402
import onnxruntime  # noqa: E402
from tests.parity.tiny_models import PAIRS, make_classifier  # noqa: E402

from crossrank.models import read_spec  # noqa: E402
from crossrank.models.files import companions, list_names  # noqa: E402
from crossrank.models.graphs import find_graph  # noqa: E402
from crossrank.quantization.calibrate import Feed, calibration_feeds  # noqa: E402
from crossrank.quantization.weights import SMALLEST, reduce  # noqa: E402

SIZES = {"hidden_size": 64, "num_attention_heads": 2, "intermediate_size": 128}


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Feed]]:
    """An fp32 graph whose weights lie beside it, and inputs for it."""
    folder = make_classifier(tmp_path_factory.mktemp("source") / "model", "bert", **SIZES)
    spec = read_spec(folder, "bert")
    whole = find_graph(spec, "onnx").path
    file = folder / "parts" / "model.onnx"
    file.parent.mkdir()
    onnx.save(onnx.load(whole), file, save_as_external_data=True, location="model.onnx_data")
    return file, calibration_feeds(spec, whole, PAIRS)


def logits(file: Path, feeds: list[Feed]) -> np.ndarray:
    session = onnxruntime.InferenceSession(file)
    return np.concatenate([session.run(None, feed)[0] for feed in feeds])


@pytest.mark.parametrize("precision", ["fp32", "fp16", "bf16", "int8", "int4"])
def test_large_models_are_written_in_two_files(
    graph: tuple[Path, list[Feed]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    precision: str,
) -> None:
    source, feeds = graph
    small, large = tmp_path / "small" / "model.onnx", tmp_path / "large" / "model.onnx"
    for file, limit in ((small, 2**30), (large, 2**14)):
        file.parent.mkdir()
        monkeypatch.setattr("crossrank.quantization.weights.LARGEST", limit)
        monkeypatch.chdir(file.parent)  # where a file of the same name must not matter
        reduce(source, file, precision, feeds)
    assert list_names(small.parent) == ["model.onnx"]
    assert list_names(large.parent) == ["model.onnx", "model.onnx.data"]
    assert companions("model.onnx", list_names(large.parent)) == ["model.onnx.data"]
    tensors = onnx.load(large, load_external_data=False).graph.initializer
    assert max(len(tensor.raw_data) for tensor in tensors) < SMALLEST
    np.testing.assert_array_equal(logits(large, feeds), logits(small, feeds))
    if precision == "fp32":
        np.testing.assert_array_equal(logits(large, feeds), logits(source, feeds))
