"""All backends compute the same logits, and no pair's logits depend on its neighbours.

The bounds below are what the guide promises. With weights and activations in int8 a difference in
the last bit can move an activation to the next of its 255 steps, so bounds are wider there.
"""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from crossrank.backends import BACKENDS, load_backend
from crossrank.backends.base import Backend
from crossrank.batching import Batch
from crossrank.models import ModelSpec
from crossrank.quantization.calibrate import calibration_feeds
from crossrank.quantization.weights import reduce
from crossrank.types import Floats, Precision

for package in ("torch", "transformers", "onnxruntime", "nncf"):
    pytest.importorskip(package, reason="all backends are compared, in all precisions")

from tests.parity.tiny_models import PAIRS  # noqa: E402

Batches = Callable[[list[tuple[str, str]]], Batch]

COMBINATIONS: list[tuple[str, Precision]] = [
    ("openvino", "fp32"),
    ("onnx", "fp32"),
    ("torch", "fp32"),
    ("openvino", "bf16"),
    ("torch", "bf16"),
    ("openvino", "int8"),
    ("onnx", "int8"),
    ("openvino", "int4"),
    ("onnx", "int4"),
]

FROM_EXACT = {"fp32": 1e-4, "bf16": 0.15, "int8": 0.5, "int4": 1.0}
"""Largest difference from torch's fp32, in standard deviations of the logits."""

FROM_NEIGHBOURS = {"fp32": 1e-5, "bf16": 0.05, "int8": 0.1, "int4": 0.05}
"""Largest difference that other pairs and padding make, in the same unit."""


@pytest.fixture(scope="module")
def files(folder: Path, spec: ModelSpec) -> Path:
    """Puts the quantised files beside the exact one."""
    exact = folder / "onnx" / "model.onnx"
    for precision in ("int8", "int4"):
        feeds = calibration_feeds(spec, exact, PAIRS) if precision == "int8" else []
        reduce(exact, folder / "onnx" / f"model_{precision}.onnx", precision, feeds)
    return folder


@pytest.fixture(scope="module")
def exact(spec: ModelSpec, batch_of: Batches) -> Floats:
    return load_backend(spec, "torch", device="cpu").forward(batch_of(PAIRS))


@pytest.fixture(params=COMBINATIONS, ids="-".join)
def backend(request: pytest.FixtureRequest, spec: ModelSpec, files: Path) -> Backend:
    name, precision = request.param
    return load_backend(spec, name, device="cpu", precision=precision)


def test_every_backend_takes_part() -> None:
    assert {name for name, _ in COMBINATIONS} == BACKENDS.keys()


def test_logits_are_near_the_exact_ones(
    backend: Backend, exact: Floats, batch_of: Batches
) -> None:
    error = np.abs(backend.forward(batch_of(PAIRS)) - exact).max() / exact.std()
    assert error < FROM_EXACT[backend.precision]
    if backend.precision in ("int8", "int4"):
        assert error > 1e-4  # else the exact file was loaded


def test_neighbours_change_nothing(backend: Backend, exact: Floats, batch_of: Batches) -> None:
    together = backend.forward(batch_of(PAIRS))
    alone = np.concatenate([backend.forward(batch_of([pair])) for pair in PAIRS])
    difference = np.abs(together - alone).max() / exact.std()
    assert difference < FROM_NEIGHBOURS[backend.precision]
