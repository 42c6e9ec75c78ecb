"""Turning torch modules into ONNX files."""

from crossrank.optional import installed


def can_convert() -> bool:
    """Say whether the packages that write ONNX files are installed."""
    return all(installed(name) for name in ("torch", "transformers", "onnx", "onnxscript"))
