"""ONNX Runtime: CPU, CUDA and TensorRT."""

import sys
import threading
from contextlib import redirect_stdout, suppress
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from crossrank.backends.base import Backend, check_inputs, checked_options, thread_limit
from crossrank.batching import Batch
from crossrank.errors import BackendError, InputError, ModelFileError, OutOfMemoryError
from crossrank.models.graphs import find_graph
from crossrank.models.spec import ModelSpec
from crossrank.optional import require
from crossrank.types import Floats, Precision

OPTIONS = ("file_name", "provider", "provider_options", "session_options")

PROVIDERS = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
}

CPU_BUDGET = 2048
"""Tokens a batch on CPU: few enough to stay in its caches."""

GPU_BUDGET = 65_536


class ONNXBackend(Backend):
    """A model run by ONNX Runtime.

    Options: ``file_name`` (below the model's folder), ``provider`` (e.g.
    ``"CUDAExecutionProvider"``; follows from the device when absent), ``provider_options`` (a
    dictionary for it) and ``session_options`` (an ``onnxruntime.SessionOptions``).
    """

    name: ClassVar[str] = "onnx"

    def __init__(self, session: Any, *, device: str, precision: Precision, reason: str) -> None:
        self.device = device
        self.precision = precision
        self.reason = reason
        self.token_budget = CPU_BUDGET if device == "cpu" else GPU_BUDGET
        self._session = session
        self._inputs = {port.name: _DTYPES[port.type] for port in session.get_inputs()}

    @classmethod
    def load(
        cls,
        spec: ModelSpec,
        *,
        device: str | None = None,
        precision: Precision | None = None,
        options: dict[str, Any] | None = None,
    ) -> Self:
        """Open a session on the model's graph."""
        options = checked_options(cls.name, options, OPTIONS)
        onnxruntime = require("onnxruntime", extra="onnx")
        provider = options.get("provider") or _provider(onnxruntime, device)
        if provider not in onnxruntime.get_available_providers():
            there = ", ".join(onnxruntime.get_available_providers())
            raise InputError(
                f"This onnxruntime has {there}, received provider={provider!r}. For CUDA and "
                "TensorRT install onnxruntime-gpu in its place, or leave the device out."
            )
        graph = find_graph(spec, cls.name, precision, options.get("file_name"))
        reason = graph.reason
        session = _open(onnxruntime, graph.path, provider, device, options)
        check_inputs((port.name for port in session.get_inputs()), spec.name)
        if provider not in session.get_providers():
            if device or "provider" in options:
                raise InputError(
                    f"This machine must have what {provider} needs, and ONNX Runtime could not use "
                    "it. Is there a GPU, and are the CUDA and cuDNN that this onnxruntime-gpu was "
                    'built for installed? Or choose device="cpu".'
                )
            reason += f"; on the CPU, as {provider} cannot be used here"
            provider = PROVIDERS["cpu"]
        where = "cpu" if provider == PROVIDERS["cpu"] else (device or "cuda")
        loaded = cls(session, device=where, precision=graph.precision, reason=reason)
        loaded.files = graph.files
        return loaded

    def forward(self, batch: Batch) -> Floats:
        """Compute the logits of a batch."""
        if self._session is None:
            raise BackendError("This model was closed: load it again to score with it.")
        feed = {
            name: np.ascontiguousarray(getattr(batch, name), dtype=dtype)
            for name, dtype in self._inputs.items()
        }
        try:
            logits = self._session.run(None, feed)[0]
        except Exception as error:
            shape = "a batch of {} pairs, {} tokens each".format(*batch.input_ids.shape)
            text = str(error).lower()
            if "alloc" in text or "out of memory" in text:
                raise OutOfMemoryError(f"There is no memory for {shape}.") from error
            raise BackendError(f"ONNX Runtime failed on {shape}: {error}") from error
        return np.asarray(logits, dtype=np.float32)

    def close(self) -> None:
        """Free the model."""
        self._session = None


_DTYPES: dict[str, Any] = {
    "tensor(bool)": np.bool_,
    "tensor(float)": np.float32,
    "tensor(int32)": np.int32,
    "tensor(int64)": np.int64,
}


def _provider(onnxruntime: Any, device: str | None) -> str:
    """The execution provider for a device; by default CUDA where it works, else the CPU."""
    if device is None:
        there = onnxruntime.get_available_providers()
        return PROVIDERS["cuda"] if PROVIDERS["cuda"] in there else PROVIDERS["cpu"]
    kind = device.partition(":")[0]
    if kind not in PROVIDERS:
        known = ", ".join(map(repr, PROVIDERS))
        raise InputError(f"The onnx backend runs on {known}, received device={device!r}.")
    return PROVIDERS[kind]


def _open(
    onnxruntime: Any, path: Path, provider: str, device: str | None, options: dict[str, Any]
) -> Any:
    """Open a session; on the CPU where the provider's libraries or its GPU cannot be used."""
    settings = options.get("session_options") or _session_options(onnxruntime)
    place = _place(provider, device, options.get("provider_options") or {})
    try:
        if provider != PROVIDERS["cpu"]:
            _preload(onnxruntime)
            with suppress(RuntimeError, ValueError):  # a driver that is too old, say
                return onnxruntime.InferenceSession(
                    str(path),
                    settings,
                    providers=[provider],
                    provider_options=[place],
                    enable_fallback=0,  # which would say so on stdout
                )
            place = {}
        return onnxruntime.InferenceSession(
            str(path), settings, providers=[PROVIDERS["cpu"]], provider_options=[place]
        )
    except Exception as error:
        raise ModelFileError(
            f"A model that ONNX Runtime can read is required, and {path} is damaged or "
            f"of another kind: {error}"
        ) from error


_LOCK = threading.Lock()


def _preload(onnxruntime: Any) -> None:
    """Let it find CUDA where pip installs it; what is missing it prints, on stdout."""
    if hasattr(onnxruntime, "preload_dlls"):  # since 1.21
        with _LOCK, redirect_stdout(sys.stderr):
            onnxruntime.preload_dlls()


def _place(provider: str, device: str | None, given: dict[str, Any]) -> dict[str, Any]:
    """What a provider is told, unless the caller says otherwise."""
    options: dict[str, Any] = {}
    number = (device or "").partition(":")[2]
    if number and provider != PROVIDERS["cpu"]:
        options["device_id"] = number
    if provider == PROVIDERS["cuda"]:
        options["use_tf32"] = 0  # its ten bits are not fp32: logits moved by up to 0.007
    return options | given


def _session_options(onnxruntime: Any) -> Any:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors alone; what matters is raised
    options.intra_op_num_threads = thread_limit() or 0  # 0 is one a core
    return options
