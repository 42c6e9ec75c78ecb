"""Which backend ``auto`` is."""

import pytest

from crossrank import CrossEncoder, backends
from crossrank.backends import choose
from crossrank.errors import InputError

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
        (True, CLASSIFIER, None, ("openvino/openvino_model.xml",), {}, "openvino"),
        (True, CLASSIFIER, None, ("onnx/model.onnx",), {"precision": "bf16"}, "openvino"),
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


@pytest.mark.parametrize("device", ["mps", "xpu:0"])
def test_a_graph_runs_on_no_other_device(device: str) -> None:
    with pytest.raises(InputError, match=f"Received device='{device}': choose \"cpu\""):
        choose("native", device, GRAPH)
    assert choose(CLASSIFIER, device, BOTH) == "torch"
