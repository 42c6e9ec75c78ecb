"""Inference libraries behind one interface.

To add a backend: implement ``crossrank.backends.base.Backend`` in a module of its own and name it
in ``BACKENDS``. ``tests/backends/test_parity.py`` then compares it with the others.
"""

import importlib
import os
from collections.abc import Iterable
from typing import Any

from crossrank.backends.base import Backend
from crossrank.errors import InputError
from crossrank.models.files import READABLE, list_names, weight_files
from crossrank.models.spec import ModelSpec
from crossrank.optional import installed
from crossrank.types import Precision

BACKENDS = {
    "openvino": "crossrank.backends.openvino:OpenVINOBackend",
    "onnx": "crossrank.backends.onnx:ONNXBackend",
    "torch": "crossrank.backends.torch:TorchBackend",
    "constant": "crossrank.backends.constant:ConstantBackend",
}


NVIDIA_DRIVER = (
    "/proc/driver/nvidia/version",
    "/dev/dxg",
    "C:/Windows/System32/nvcuda.dll",
)
"""What there is beside an NVIDIA GPU on Linux, in Windows' Linux and on Windows."""


_DTYPES: dict[str, Precision | None] = {
    "auto": None,
    "bfloat16": "bf16",
    "float16": "fp16",
    "float32": "fp32",
}

_OF_TORCH = ("attn_implementation", "device_map", "export", "low_cpu_mem_usage")
"""Settings of transformers and optimum that change no score of a graph."""


def backend_class(name: str) -> type[Backend]:
    """Find a backend by name.

    Raises:
        InputError: There is no backend of this name.
    """
    if name not in BACKENDS:
        known = [backend for backend in BACKENDS if backend != "constant"]  # made for tests
        raise InputError(
            f"backend must be 'auto', {', '.join(map(repr, known))}, received {name!r}."
        )
    module, _, attribute = BACKENDS[name].partition(":")
    found: type[Backend] = getattr(importlib.import_module(module), attribute)
    return found


def choose(
    kind: str,
    device: str | None,
    names: Iterable[str],
    *,
    precision: Precision | None = None,
    file_name: str | None = None,
) -> str:
    """Choose a backend for ``backend="auto"``.

    Language models run on torch, and so do classifiers where a GPU is asked for or found. What
    torch cannot read, a graph or a quantised model, runs on ONNX Runtime where CUDA is asked for.
    Everything else runs on OpenVINO.

    Args:
        kind: ``ModelSpec.kind``.
        device: The device the caller named, if any.
        names: The files of the model.
        precision: What the caller wants.
        file_name: The weight file the caller named, if any.

    Raises:
        InputError: No backend runs the model on that device.
    """
    if kind in ("causal-lm", "seq2seq", "vision-language"):
        return "torch"
    wanted = device or ("cuda" if _cuda_is_there() else "cpu")
    if not wanted.startswith(("cuda", "mps", "xpu")):
        return "openvino"
    has_weights = any(file.format in READABLE["torch"] for file in weight_files(names))
    if has_weights and file_name is None and precision not in ("int8", "int4"):
        return "torch"
    if device is None:
        return "openvino"
    if not device.startswith("cuda"):
        raise InputError(
            "A graph, or a quantised model, runs on the CPU, and with onnxruntime-gpu on CUDA. "
            f'Received device={device!r}: choose "cpu".'
        )
    return "onnx"


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
    chosen = name
    if name == "auto":
        chosen = choose(
            spec.kind,
            device,
            list_names(spec.folder),
            precision=precision,
            file_name=(options or {}).get("file_name"),
        )
    if chosen != "torch":
        precision, options = _without_torch(precision, dict(options or {}))
    return backend_class(chosen).load(spec, device=device, precision=precision, options=options)


def _without_torch(
    precision: Precision | None, options: dict[str, Any]
) -> tuple[Precision | None, dict[str, Any]]:
    """Read what is meant for torch, as scripts for sentence-transformers give it to any backend."""
    given = [options.pop(key) for key in ("torch_dtype", "dtype") if key in options]
    if given and precision is None:
        name = str(given[0]).removeprefix("torch.")
        if name not in _DTYPES:
            raise InputError(f"dtype must be one of {', '.join(_DTYPES)}, received {given[0]!r}.")
        precision = _DTYPES[name]
    return precision, {key: value for key, value in options.items() if key not in _OF_TORCH}


def _cuda_is_there() -> bool:
    """Look for a GPU without paying for torch's import on machines that have none."""
    if not any(map(os.path.exists, NVIDIA_DRIVER)) or not installed("torch"):
        return False
    import torch

    return torch.cuda.is_available()
