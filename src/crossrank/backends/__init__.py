"""Inference libraries behind one interface.

To add a backend: implement ``crossrank.backends.base.Backend`` in a module of its own and name it
in ``BACKENDS``. ``tests/backends/test_parity.py`` then compares it with the others.
"""

import importlib
from typing import Any

from crossrank.backends.base import Backend
from crossrank.errors import InputError
from crossrank.models.spec import ModelSpec
from crossrank.optional import installed
from crossrank.types import Precision

BACKENDS = {
    "openvino": "crossrank.backends.openvino:OpenVINOBackend",
    "onnx": "crossrank.backends.onnx:ONNXBackend",
    "torch": "crossrank.backends.torch:TorchBackend",
    "constant": "crossrank.backends.constant:ConstantBackend",
}


def backend_class(name: str) -> type[Backend]:
    """Find a backend by name.

    Raises:
        InputError: There is no backend of this name.
    """
    if name not in BACKENDS:
        raise InputError(
            f"backend must be 'auto', {', '.join(map(repr, BACKENDS))}, received {name!r}."
        )
    module, _, attribute = BACKENDS[name].partition(":")
    found: type[Backend] = getattr(importlib.import_module(module), attribute)
    return found


def choose(kind: str, device: str | None) -> str:
    """Choose a backend for ``backend="auto"``.

    Language models run on torch; classifiers on torch where a GPU is asked for or found, and on
    OpenVINO everywhere else.

    Args:
        kind: ``ModelSpec.kind``.
        device: The device the caller named, if any.
    """
    if kind in ("causal-lm", "seq2seq", "vision-language"):
        return "torch"
    wanted = device or ("cuda" if _cuda_is_there() else "cpu")
    return "torch" if wanted.startswith(("cuda", "mps", "xpu")) else "openvino"


def load_backend(
    spec: ModelSpec,
    name: str = "auto",
    *,
    device: str | None = None,
    precision: Precision | None = None,
    options: dict[str, Any] | None = None,
) -> Backend:
    """Load a model with the backend of this name.

    Args:
        spec: The model.
        name: A key of ``BACKENDS``, or ``"auto"``.
        device: ``None`` picks the best there is.
        precision: ``None`` is fp32, unless the model ships quantised only.
        options: Further settings for the backend.

    Raises:
        InputError: The backend, device or precision does not exist.
        ModelFileError: A file is missing, damaged or refused.
        MissingDependencyError: The library is not installed.
    """
    chosen = choose(spec.kind, device) if name == "auto" else name
    return backend_class(chosen).load(spec, device=device, precision=precision, options=options)


def _cuda_is_there() -> bool:
    """Look for a GPU without paying for torch's import on machines that have none."""
    from pathlib import Path

    if not Path("/proc/driver/nvidia/version").exists() or not installed("torch"):
        return False
    import torch

    return torch.cuda.is_available()
