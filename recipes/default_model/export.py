"""From the torch module to an fp32 ONNX file; ``crossrank.quantization`` makes int8 of it."""

from pathlib import Path

from transformers import PreTrainedModel

from crossrank.models.convert import to_onnx


def to_fp32(model: PreTrainedModel, target: Path) -> None:
    """Export in fp32, with the batch and the sequence dynamic."""
    # The attention that is written out step by step is what engines recognise and fuse.
    model.set_attn_implementation("eager")
    to_onnx(model, target)
