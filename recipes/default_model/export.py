"""From the torch module to one static int8 QDQ ONNX file."""

from collections.abc import Iterable
from pathlib import Path

import nncf
import onnx
from inputs import Inputs
from transformers import PreTrainedModel

from crossrank.models.convert import to_onnx


def to_fp32(model: PreTrainedModel, target: Path) -> None:
    """Export in fp32, with the batch and the sequence dynamic."""
    # The attention that is written out step by step is what engines recognise and fuse.
    model.set_attn_implementation("eager")
    to_onnx(model, target)


def to_int8(source: Path, target: Path, calibration: Iterable[Inputs]) -> None:
    """Quantise weights and activations up to the last layer, calibrated on real pairs."""
    batches = list(calibration)
    model = onnx.load(source)
    quantized = nncf.quantize(
        model,
        nncf.Dataset(batches),
        subset_size=len(batches),
        model_type=nncf.ModelType.TRANSFORMER,
        preset=nncf.QuantizationPreset.MIXED,
        ignored_scope=nncf.IgnoredScope(names=head_nodes(model)),
    )
    onnx.save(quantized, target)


def head_nodes(model: onnx.ModelProto) -> list[str]:
    """Name what comes after the last layer: cheap in fp32, and its rounding would make ties."""
    nodes = list(model.graph.node)
    last = max(i for i, node in enumerate(nodes) if node.op_type == "LayerNormalization")
    return [node.name for node in nodes[last + 1 :] if node.op_type in ("Div", "MatMul", "Gemm")]
