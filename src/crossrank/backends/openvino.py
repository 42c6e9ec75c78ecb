"""OpenVINO, the default engine on CPU: reads ``.onnx`` and ``.xml`` files."""

import os
import queue
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from crossrank.backends.base import Backend
from crossrank.batching import Batch
from crossrank.errors import BackendError, InputError, ModelFileError, OutOfMemoryError
from crossrank.models.graphs import find_graph
from crossrank.models.spec import ModelSpec
from crossrank.models.storage import cache_folder
from crossrank.optional import require
from crossrank.types import Floats, Precision

HINTS = {"fp32": "f32", "fp16": "f16", "bf16": "bf16", "int8": "f32", "int4": "f32"}
"""What the parts of a model that are not quantised are computed in."""

OPTIONS = ("file_name", "streams", "threads", "ov_config")

LENGTH_MULTIPLE = 8
"""Lengths are padded to a multiple of this: fewer shapes to prepare, the same memory for all."""


class OpenVINOBackend(Backend):
    """A model compiled by OpenVINO for the CPU.

    Options: ``file_name`` (below the model's folder), ``streams`` (batches computed at the same
    time, default 2 on machines with several cores), ``threads`` (in all; default one a core) and
    ``ov_config`` (OpenVINO's own properties, which win over all that is set here).
    """

    name: ClassVar[str] = "openvino"
    precisions: ClassVar[tuple[Precision, ...]] = ("fp32", "fp16", "bf16", "int8", "int4")

    def __init__(self, model: Any, spec: ModelSpec, precision: Precision, reason: str) -> None:
        self.device = "cpu"
        self.precision = precision
        self.reason = reason
        self.concurrency = int(model.get_property("NUM_STREAMS"))
        self._spec = spec
        self._inputs = {
            port.any_name: np.dtype(port.element_type.to_dtype()) for port in model.inputs
        }
        self._requests: queue.SimpleQueue[Any] = queue.SimpleQueue()
        for _ in range(self.concurrency):
            self._requests.put(model.create_infer_request())

    @classmethod
    def load(
        cls,
        spec: ModelSpec,
        *,
        device: str | None = None,
        precision: Precision | None = None,
        options: dict[str, Any] | None = None,
    ) -> Self:
        """Compile a model, or take the compiled one from the cache."""
        options = dict(options or {})
        if unknown := options.keys() - set(OPTIONS):
            raise InputError(
                f"model_kwargs of the openvino backend are {', '.join(OPTIONS)}; "
                f"received {', '.join(sorted(unknown))}."
            )
        if device not in (None, "cpu", "CPU"):
            raise InputError(f"The openvino backend runs on device 'cpu', received {device!r}.")
        openvino = require("openvino", extra="openvino")
        graph = find_graph(spec, cls.name, precision, options.pop("file_name", None))
        file = graph.path
        config = _config(graph.precision, **options)
        try:
            model = openvino.Core().compile_model(str(file), "CPU", config)
        except RuntimeError as error:
            if _is_out_of_memory(error):
                raise OutOfMemoryError(f"There is no memory to load {file}.") from error
            raise ModelFileError(
                f"A model that OpenVINO can read is required, and {file} is damaged or of "
                f"another kind: {_first_line(error)}"
            ) from error
        loaded = cls(model, spec, graph.precision, graph.reason)
        loaded.files = graph.files
        return loaded

    def forward(self, batch: Batch) -> Floats:
        """Compute the logits of a batch."""
        request = self._requests.get()
        try:
            request.infer(self._feed(batch), share_inputs=True)
            return np.array(request.get_output_tensor(0).data, dtype=np.float32)
        except MemoryError as error:
            raise OutOfMemoryError(f"There is no memory for {_shape(batch)}.") from error
        except RuntimeError as error:
            if _is_out_of_memory(error):
                raise OutOfMemoryError(f"There is no memory for {_shape(batch)}.") from error
            raise BackendError(
                f"OpenVINO failed on {_shape(batch)}: {_first_line(error)}"
            ) from error
        finally:
            self._requests.put(request)

    def close(self) -> None:
        """Free the model."""
        self._requests = queue.SimpleQueue()

    def _feed(self, batch: Batch) -> dict[str, NDArray[Any]]:
        """Cast and pad what the graph asks for."""
        length = batch.input_ids.shape[1]
        target = min(-(-length // LENGTH_MULTIPLE) * LENGTH_MULTIPLE, self._spec.max_length)
        extra = max(0, target - length) if self._spec.padding_side == "right" else 0
        feed = {}
        for name, dtype in self._inputs.items():
            fill = self._spec.pad_token_id if name == "input_ids" else 0
            array = getattr(batch, name)
            if extra:
                array = np.pad(array, ((0, 0), (0, extra)), constant_values=fill)
            feed[name] = np.ascontiguousarray(array, dtype=dtype)
        return feed


def _config(
    precision: Precision,
    *,
    streams: int | None = None,
    threads: int | None = None,
    ov_config: dict[str, Any] | None = None,
) -> dict[str, Any]:
    threads = threads or len(os.sched_getaffinity(0))
    config: dict[str, Any] = {
        "INFERENCE_PRECISION_HINT": HINTS[precision],
        "NUM_STREAMS": streams or min(2, threads),
        "INFERENCE_NUM_THREADS": threads,
    }
    cache = _cache_folder()
    if cache is not None:
        config["CACHE_DIR"] = str(cache)
    return config | (ov_config or {})


def _cache_folder() -> Path | None:
    """Where compiled models are kept; ``None`` when nothing can be written there."""
    folder = cache_folder("openvino")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return None
    return folder if os.access(folder, os.W_OK) else None


def _is_out_of_memory(error: RuntimeError) -> bool:
    text = str(error).lower()
    return "bad_alloc" in text or "memory" in text


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__


def _shape(batch: Batch) -> str:
    pairs, length = batch.input_ids.shape
    return f"a batch of {pairs} pairs of {length} tokens"
