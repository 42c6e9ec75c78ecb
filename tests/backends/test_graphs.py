"""Graphs that others made: what they may take."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from crossrank.backends import load_backend
from crossrank.batching import Batch
from crossrank.errors import UnsupportedModelError
from crossrank.models import ModelSpec, read_spec
from crossrank.types import Pair

pytest.importorskip("onnxruntime", reason="one of the engines")
onnx = pytest.importorskip("onnx", reason="it makes the graphs")


@pytest.fixture
def graph(tmp_path: Path, folder: Path) -> Callable[..., ModelSpec]:
    """Makes a model of a graph that sums up its inputs, of the types it is told."""

    def make(**types: int) -> ModelSpec:
        inputs = [
            onnx.helper.make_tensor_value_info(name, kind, ["pairs", "length"])
            for name, kind in types.items()
        ]
        floats = [f"{name}_float" for name in types]
        nodes = [
            onnx.helper.make_node("Cast", [name], [cast], to=onnx.TensorProto.FLOAT)
            for name, cast in zip(types, floats, strict=True)
        ]
        nodes += [
            onnx.helper.make_node("Sum", floats, ["sum"]),
            onnx.helper.make_node("ReduceSum", ["sum", "axes"], ["logits"], keepdims=1),
        ]
        logits = onnx.helper.make_tensor_value_info("logits", onnx.TensorProto.FLOAT, ["pairs", 1])
        axes = onnx.helper.make_tensor("axes", onnx.TensorProto.INT64, [1], [1])
        whole = onnx.helper.make_graph(nodes, "graph", inputs, [logits], [axes])
        shutil.copytree(folder, tmp_path / "made", ignore=lambda *_: ["onnx", "model.safetensors"])
        opset = onnx.helper.make_opsetid("", 18)
        model = onnx.helper.make_model(whole, opset_imports=[opset], ir_version=10)
        onnx.save(model, tmp_path / "made/model.onnx")
        return read_spec(tmp_path / "made", "made")

    return make


@pytest.mark.parametrize("backend", ["openvino", "onnx"])
def test_a_graph_that_takes_something_else_is_refused(
    graph: Callable[..., ModelSpec], backend: str
) -> None:
    spec = graph(input_ids=7, position_ids=7)
    with pytest.raises(UnsupportedModelError, match="graph of made must take no more than input_"):
        load_backend(spec, backend)


@pytest.mark.parametrize("backend", ["openvino", "onnx"])
def test_a_mask_of_booleans(
    graph: Callable[..., ModelSpec], backend: str, batch_of: Callable[[list[Pair]], Batch]
) -> None:
    batch = batch_of([("a", "b"), ("some words", "and some more")])
    found = load_backend(graph(input_ids=7, attention_mask=9), backend).forward(batch)
    expected = (batch.input_ids + batch.attention_mask).sum(axis=1, keepdims=True)
    assert found.tolist() == expected.tolist()
