"""The demo: a real collection that comes with the package, and what reranking gains on it."""

from crossrank.demo.collection import load
from crossrank.demo.show import DemoResult, run_demo

__all__ = ["DemoResult", "load", "run_demo"]
