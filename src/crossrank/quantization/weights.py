"""Turning an fp32 ONNX file into a smaller one that every engine reads."""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from crossrank.errors import ExportError
from crossrank.optional import require
from crossrank.quantization.calibrate import Feed
from crossrank.types import Precision

SMALLEST = 1024
"""Tensors with fewer elements stay in fp32: biases and norms weigh little and matter much."""

INT4_GROUP = 32
"""Weights that share a scale in int4."""


def reduce(source: Path, target: Path, precision: Precision, feeds: Sequence[Feed]) -> None:
    """Write a model in another precision.

    Args:
        source: An fp32 ONNX file.
        target: The file to write.
        precision: What to write.
        feeds: For int8: inputs of the graph, made of real pairs.

    Raises:
        MissingDependencyError: onnx or nncf is not installed.
        ExportError: The model cannot be written in this precision.
    """
    onnx = require("onnx", extra="export")
    model = onnx.load(source)
    makers: dict[Precision, Callable[[Any], Any]] = {
        "fp32": lambda whole: whole,
        "fp16": lambda whole: _store_halves(onnx, whole, onnx.TensorProto.FLOAT16),
        "bf16": lambda whole: _store_halves(onnx, whole, onnx.TensorProto.BFLOAT16),
        "int8": lambda whole: _quantize(whole, feeds),
        "int4": _compress,
    }
    try:
        reduced = makers[precision](model)
    except RuntimeError as error:
        raise ExportError(f"{source} cannot be written in {precision}: {error}") from error
    onnx.save(reduced, target)


def _quantize(model: Any, feeds: Sequence[Feed]) -> Any:
    """Weights and activations in int8, scales fixed in advance (static QDQ)."""
    nncf = require("nncf", extra="export")
    with _quiet():
        return nncf.quantize(
            model,
            nncf.Dataset(feeds),
            subset_size=len(feeds),
            model_type=nncf.ModelType.TRANSFORMER,
            preset=nncf.QuantizationPreset.MIXED,
        )


def _compress(model: Any) -> Any:
    """Weights of the layers in int4, of the embeddings in int8; activations stay in fp32.

    int4 embeddings would need an operator that neither OpenVINO nor ONNX Runtime gathers from.
    """
    nncf = require("nncf", extra="export")
    with _quiet():
        return nncf.compress_weights(
            model,
            mode=nncf.CompressWeightsMode.INT4_SYM,
            group_size=INT4_GROUP,
            ratio=1.0,
            all_layers=False,
        )


def _store_halves(onnx: Any, model: Any, kind: int) -> Any:
    """Keep large weights in 16 bits and cast them to fp32 where they are used.

    So the file halves and every engine reads it; whether it also computes in 16 bits is chosen
    when the model is loaded.
    """
    graph = model.graph
    casts = []
    for tensor in graph.initializer:
        if tensor.data_type != onnx.TensorProto.FLOAT or np.prod(tensor.dims) < SMALLEST:
            continue
        name = tensor.name
        values = onnx.numpy_helper.to_array(tensor)
        dtype = onnx.helper.tensor_dtype_to_np_dtype(kind)
        tensor.CopyFrom(onnx.numpy_helper.from_array(values.astype(dtype), f"{name}_stored"))
        casts.append(
            onnx.helper.make_node(
                "Cast", [f"{name}_stored"], [name], name=f"{name}_cast", to=onnx.TensorProto.FLOAT
            )
        )
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    return model


@contextmanager
def _quiet() -> Iterator[None]:
    """Hold back NNCF's notes and bars; what matters is raised."""
    logger = logging.getLogger("nncf")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
