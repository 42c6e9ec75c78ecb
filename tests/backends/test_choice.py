"""Which backend ``auto`` is."""

import pytest

from crossrank import CrossEncoder, backends
from crossrank.backends import choose

CLASSIFIER = "sequence-classification"
BOTH = ("model.safetensors", "onnx/model_int8.onnx")
GRAPH = ("onnx/model_int8.onnx",)


@pytest.mark.parametrize(
    ("gpu", "kind", "device", "names", "asked", "expected"),
    [
        (False, CLASSIFIER, None, BOTH, {}, "openvino"),
        (False, "causal-lm", None, BOTH, {}, "torch"),
        (False, CLASSIFIER, "cuda", BOTH, {}, "torch"),
        (True, CLASSIFIER, None, BOTH, {}, "torch"),
        (True, CLASSIFIER, "cpu", BOTH, {}, "openvino"),
        (True, "modular", None, ("0_Transformer/model.safetensors",), {}, "torch"),
        # torch reads neither a graph nor a quantised model.
        (True, "native", None, GRAPH, {}, "openvino"),
        (True, "native", "cuda:0", GRAPH, {}, "onnx"),
        (True, CLASSIFIER, None, BOTH, {"precision": "int8"}, "openvino"),
        (True, CLASSIFIER, "cuda", BOTH, {"precision": "int8"}, "onnx"),
        (True, CLASSIFIER, None, BOTH, {"precision": "bf16"}, "torch"),
        (True, CLASSIFIER, None, BOTH, {"file_name": "model_int8.onnx"}, "openvino"),
    ],
)
def test_the_choice(
    gpu: bool,
    kind: str,
    device: str | None,
    names: tuple[str, ...],
    asked: dict[str, str],
    expected: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(backends, "_cuda_is_there", lambda: gpu)
    assert choose(kind, device, names, **asked) == expected  # type: ignore[arg-type]


def test_the_embedded_model_loads_beside_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backends, "_cuda_is_there", lambda: True)
    with CrossEncoder() as model:
        assert (model.backend, model.device) == ("openvino", "cpu")


def test_an_onnx_runtime_for_gpus_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    onnxruntime = pytest.importorskip("onnxruntime", reason="it is what is looked for")
    providers = ["CUDAExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: providers)
    for gpu, expected in ((True, "onnx"), (False, "openvino")):
        monkeypatch.setattr(backends, "_cuda_is_there", lambda gpu=gpu: gpu)
        assert choose("native", None, GRAPH) == expected
