"""Which backend ``auto`` is, and what all have in common."""

import os
import subprocess
import sys
from pathlib import Path

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


FORKED = """
import multiprocessing, sys
from crossrank import CrossEncoder
from crossrank.errors import BackendError

model = CrossEncoder(sys.argv[1], backend=sys.argv[2], precision="fp32")
model.predict([("a", "b")])

def score(_):
    try:
        return str(model.predict([("a", "b")]).shape)
    except BackendError as error:
        return str(error)

with multiprocessing.get_context("fork").Pool(1) as pool:
    print(pool.apply_async(score, (0,)).get(60))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
@pytest.mark.parametrize(
    ("backend", "said"),
    [
        ("openvino", "This model was loaded before the process was forked"),
        ("torch", "This model was loaded before the process was forked"),
        ("onnx", "(1,)"),
    ],
)
def test_a_fork_does_not_wait_for_ever(folder: Path, backend: str, said: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FORKED, folder, backend], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert said in done.stdout
