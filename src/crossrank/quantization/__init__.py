"""Smaller and faster model files, and what they cost in ranking quality."""

from crossrank.quantization.export import export
from crossrank.quantization.report import ExportReport

__all__ = ["ExportReport", "export"]
