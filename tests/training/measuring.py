"""Scores in this process what is measured in one of its own."""

from pathlib import Path

from crossrank import CrossEncoder
from crossrank.quantization.measure import Measurement
from crossrank.types import Floats, Pair, Precision


def measure_here(
    folder: Path, precision: Precision, pairs: list[Pair]
) -> tuple[Measurement, Floats]:
    """Stand in for ``crossrank.quantization.measure``: a model is as slow as it has weights."""
    size = sum(file.stat().st_size for file in folder.rglob("*.safetensors"))
    model = CrossEncoder(folder, backend="torch", device="cpu", precision=precision)
    logits = model.predict(pairs, activation_fn="identity")[:, None]
    return Measurement(0.1, 1e9 / size, 1), logits
