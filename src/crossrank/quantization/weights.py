"""Turning an fp32 ONNX file into a smaller one that every engine reads."""

import io
import logging
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np

from crossrank.errors import ExportError
from crossrank.optional import require, silence_telemetry
from crossrank.quantization.calibrate import Feed
from crossrank.types import Precision

SMALLEST = 1024
"""Tensors with fewer elements stay in fp32: biases and norms weigh little and matter much."""

LARGEST = 2**31 - 2**26
"""Bytes of weights in one file. A protocol buffer ends at 2 GiB, of which the graph needs some."""

INT4_GROUP = 32
"""Weights that share a scale in int4."""


def reduce(source: Path, target: Path, precision: Precision, feeds: Sequence[Feed]) -> None:
    """Write a model in another precision.

    Args:
        source: An fp32 ONNX file. External data lies in its folder, and is no link.
        target: The file to write. Weights of more than 2 GB go to ``<target>.data`` beside it.
        precision: What to write.
        feeds: For int8: inputs of the graph, made of real pairs.

    Raises:
        MissingDependencyError: onnx or nncf is not installed.
        ExportError: The model cannot be written in this precision.
    """
    onnx = require("onnx", extra="export")
    # NNCF must be able to serialise what it is given: it reads external data itself.
    model = onnx.load(source, load_external_data=precision not in ("int8", "int4"))
    beside = {"external_data_dir": str(source.parent.resolve())}
    makers: dict[Precision, Callable[[Any], Any]] = {
        "fp32": lambda whole: whole,
        "fp16": lambda whole: _store_halves(onnx, whole, onnx.TensorProto.FLOAT16),
        "bf16": lambda whole: _store_halves(onnx, whole, onnx.TensorProto.BFLOAT16),
        "int8": lambda whole: _quantize(whole, beside, feeds),
        "int4": lambda whole: _compress(whole, beside),
    }
    try:
        reduced = makers[precision](model)
    except RuntimeError as error:
        raise ExportError(f"The model cannot be written in {precision}: {error}") from error
    _save(onnx, reduced, target)


def _save(onnx: Any, model: Any, target: Path) -> None:
    """Write a model, in two files where one cannot hold its weights."""
    tensors = model.graph.initializer
    sizes = [len(tensor.raw_data) for tensor in tensors]
    if sum(sizes) > LARGEST:
        for tensor, size in zip(tensors, sizes, strict=True):
            if size >= SMALLEST:
                onnx.external_data_helper.set_external_data(tensor, f"{target.name}.data")
    onnx.save(model, target)


def _quantize(model: Any, beside: dict[str, str], feeds: Sequence[Feed]) -> Any:
    """Weights and activations in int8, scales fixed in advance (static QDQ); the head in fp32."""
    nncf = _nncf()
    with _quiet("nncf"):
        return nncf.quantize(
            model,
            nncf.Dataset(feeds),
            subset_size=len(feeds),
            model_type=nncf.ModelType.TRANSFORMER,
            preset=nncf.QuantizationPreset.MIXED,
            ignored_scope=nncf.IgnoredScope(names=_head(model)),
            advanced_parameters=nncf.AdvancedQuantizationParameters(backend_params=beside),
        )


def _head(model: Any) -> list[str]:
    """Name what follows the last layer: cheap in fp32, and its rounding would make ties.

    On the embedded model that halves the error of the logits.
    """
    nodes = list(model.graph.node)
    norms = [place for place, node in enumerate(nodes) if node.op_type == "LayerNormalization"]
    after = nodes[norms[-1] + 1 :] if norms else []
    return [node.name for node in after if node.op_type in ("Div", "MatMul", "Gemm")]


def _compress(model: Any, beside: dict[str, str]) -> Any:
    """Weights of the layers in int4, of the embeddings in int8; activations stay in fp32.

    int4 weights are fitted by HQQ (Badri & Shaji, "Half-Quadratic Quantization", 2023): rounding
    to the nearest loses a tenth of the embedded model's nDCG@10, HQQ half a percent. No engine
    gathers from int4, so the embeddings stay at 8 bits.
    """
    nncf = _nncf()
    matmul = require("onnxruntime.quantization.matmul_nbits_quantizer", extra="export")
    with _quiet("nncf", matmul.__name__):
        model = nncf.compress_weights(
            model,
            mode=nncf.CompressWeightsMode.INT8_ASYM,
            # MatMul is for HQQ; Gemm is the head, small and best left alone.
            ignored_scope=nncf.IgnoredScope(types=["MatMul", "Gemm"], validate=False),
            advanced_parameters=nncf.AdvancedCompressionParameters(backend_params=beside),
        )
        config = matmul.HQQWeightOnlyQuantConfig(block_size=INT4_GROUP, bits=4)
        quantizer = matmul.MatMulNBitsQuantizer(
            model, algo_config=config, nodes_to_exclude=_small_layers(model)
        )
        quantizer.process()
    return quantizer.model.model


def _small_layers(model: Any) -> list[str]:
    """The matrix products whose weights are too small to share scales in groups: the heads."""
    sizes = {tensor.name: int(np.prod(tensor.dims)) for tensor in model.graph.initializer}
    return [
        node.name
        for node in model.graph.node
        if node.op_type == "MatMul" and sizes.get(node.input[1], SMALLEST) < SMALLEST
    ]


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


def _nncf() -> Any:
    silence_telemetry()
    return require("nncf", extra="export")


@contextmanager
def _quiet(*names: str) -> Iterator[None]:
    """Hold back the libraries' notes and bars; what matters is raised."""
    loggers = [logging.getLogger(name) for name in names]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()):
            # onnxruntime's quantiser hands torch an array that it only reads.
            warnings.filterwarnings("ignore", "The given NumPy array is not writable", UserWarning)
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
