"""OpenVINO, the default engine on CPU: reads ``.onnx`` and ``.xml`` files."""

import os
import queue
import shutil
from collections.abc import Sequence
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from crossrank.backends.base import (
    Backend,
    check_inputs,
    check_process,
    checked_options,
    thread_limit,
)
from crossrank.batching import Batch
from crossrank.errors import BackendError, InputError, ModelFileError, OutOfMemoryError
from crossrank.models.graphs import Graph, find_graph
from crossrank.models.spec import ModelSpec
from crossrank.models.storage import cache_folder, keep_recent, make_once
from crossrank.optional import require, silence_telemetry
from crossrank.types import Floats, Precision

HINTS: dict[Precision, str] = {
    "fp32": "f32",
    "fp16": "f16",
    "bf16": "bf16",
    "int8": "f32",
    "int4": "f32",
}
"""What is not quantised is computed in. Left alone OpenVINO takes bf16 on some processors.

Not so for int8: beside bf16, OpenVINO 2026.4 gets some lengths wrong. On the embedded model, logits
of 28 to 32 tokens are off by up to 2.5 and change with what else is in the batch.
"""

OPTIONS = ("file_name", "streams", "threads", "ov_config")

LENGTH_MULTIPLE = 16
"""Lengths are padded to a multiple of this.

Whole vector registers give a pair the same logits to the last bit, however far it is padded, and
the engine keeps compiled code for every shape it has met: fewer shapes, less memory.
"""

STREAM_TOKENS = 1024
"""Tokens a batch for each thread that computes it: the activations stay in the core's cache."""

MAX_STREAMS = 8
"""More would leave cores idle when a hundred documents are ranked."""

RUNTIME_CACHE = 128
"""Shapes for which prepared code is kept; OpenVINO's own limit of thousands takes gigabytes."""


class OpenVINOBackend(Backend):
    """A model compiled by OpenVINO for the CPU.

    Options: ``file_name`` (below the model's folder), ``streams`` (batches computed at the same
    time; default one a core, at most eight), ``threads`` (in all; default one a core) and
    ``ov_config`` (OpenVINO's own properties, which win over all that is set here). In a
    ``CACHE_DIR`` of your own OpenVINO tells compiled models apart by the graph's file alone.

    What is not quantised in an int8 or int4 file is computed in fp32, see ``HINTS``.
    """

    name: ClassVar[str] = "openvino"

    def __init__(self, model: Any, spec: ModelSpec, precision: Precision, reason: str) -> None:
        self._process = os.getpid()
        self.device = "cpu"
        self.precision = precision
        self.reason = reason
        self.concurrency = int(model.get_property("NUM_STREAMS"))
        threads = int(model.get_property("INFERENCE_NUM_THREADS"))
        self.token_budget = STREAM_TOKENS * max(1, threads // self.concurrency)
        self._pad_token_id = spec.pad_token_id
        self._longest = _longest(spec)
        self._inputs = {
            port.any_name: np.dtype(port.element_type.to_dtype()) for port in model.inputs
        }
        self._requests: queue.SimpleQueue[Any] | None = queue.SimpleQueue()
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
        options = checked_options(cls.name, options, OPTIONS)
        if device not in (None, "cpu", "CPU"):
            raise InputError(f"The openvino backend runs on device 'cpu', received {device!r}.")
        silence_telemetry()
        openvino = require("openvino", extra="all")
        graph = find_graph(spec, cls.name, precision, options.pop("file_name", None))
        file = _without_links(graph)
        core = openvino.Core()
        config = _config(_hint(core, graph.precision), **options)
        if "CACHE_DIR" not in config and (cache := _cache_folder(graph.files, config)):
            config["CACHE_DIR"] = str(cache)
        try:
            model = core.compile_model(str(file), "CPU", config)
        except RuntimeError as error:
            if _is_out_of_memory(error):
                raise OutOfMemoryError(f"There is no memory to load {file}.") from error
            if options:
                raise InputError(
                    f"OpenVINO cannot load {file} with model_kwargs={options!r}: {_reason(error)}"
                ) from error
            raise ModelFileError(
                f"A model that OpenVINO can read is required, and {file} is damaged or of "
                f"another kind: {_reason(error)}"
            ) from error
        check_inputs((port.any_name for port in model.inputs), spec.name)
        loaded = cls(model, spec, graph.precision, graph.reason)
        loaded.files = graph.files
        return loaded

    def forward(self, batch: Batch) -> Floats:
        """Compute the logits of a batch."""
        requests = self._requests
        if requests is None:
            raise BackendError("This model was closed: load it again to score with it.")
        check_process(self._process)
        request = requests.get()
        try:
            request.infer(self._feed(batch), share_inputs=True)
            return np.array(request.get_output_tensor(0).data, dtype=np.float32)
        except (MemoryError, RuntimeError) as error:
            if _is_out_of_memory(error):
                self._forget(request, batch)
                raise OutOfMemoryError(f"There is no memory for {_shape(batch)}.") from error
            raise BackendError(f"OpenVINO failed on {_shape(batch)}: {_reason(error)}") from error
        finally:
            requests.put(request)

    def close(self) -> None:
        """Free the model."""
        self._requests = None

    def _forget(self, request: Any, batch: Batch) -> None:
        """Compute two small batches after one for which there was no memory.

        OpenVINO can be left with its shape in the middle of the network (seen once, in a busy
        process): a batch of the shape of the last good one then asks for as much memory again. Of
        two small ones, at least one has another shape.
        """
        while len(batch) > 3:
            batch = batch.halves()[0]
        for part in (batch, batch.halves()[1]) if len(batch) > 1 else ():
            with suppress(MemoryError, RuntimeError):
                request.infer(self._feed(part), share_inputs=True)

    def _feed(self, batch: Batch) -> dict[str, NDArray[Any]]:
        """Cast and pad what the graph asks for."""
        length = batch.input_ids.shape[1]
        target = min(-(-length // LENGTH_MULTIPLE) * LENGTH_MULTIPLE, self._longest)
        extra = max(0, target - length)
        feed = {}
        for name, dtype in self._inputs.items():
            fill = self._pad_token_id if name == "input_ids" else 0
            array = getattr(batch, name)
            if extra and name != "features":
                array = np.pad(array, ((0, 0), (0, extra)), constant_values=fill)
            feed[name] = np.ascontiguousarray(array, dtype=dtype)
        return feed


def _longest(spec: ModelSpec) -> int:
    """How far sequences may be padded: to 0 tokens where padding goes left and is better left."""
    if spec.padding_side == "left":
        return 0
    return int(spec.config.get("max_position_embeddings") or spec.max_length)


def _hint(core: Any, precision: Precision) -> str:
    hint = HINTS[precision]
    if hint == "f16" and "FP16" not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        return "f32"  # OpenVINO would take bf16 instead, which is coarser than what was asked for
    return hint


def _config(
    hint: str,
    *,
    streams: int | None = None,
    threads: int | None = None,
    ov_config: dict[str, Any] | None = None,
) -> dict[str, Any]:
    threads = threads or _cores()
    config: dict[str, Any] = {
        "INFERENCE_PRECISION_HINT": hint,
        "NUM_STREAMS": streams or min(MAX_STREAMS, threads),
        "INFERENCE_NUM_THREADS": threads,
        # Pinned threads of two processes would share one core and leave another idle.
        "ENABLE_CPU_PINNING": False,
        "CPU_RUNTIME_CACHE_CAPACITY": RUNTIME_CACHE,
    }
    return config | (ov_config or {})


def _cache_folder(files: Sequence[Path], config: dict[str, Any]) -> Path | None:
    """Where the compiled model is kept; ``None`` when nothing can be written there.

    A folder for all weights and settings: OpenVINO 2026.4 tells compiled models apart by the file
    of the graph alone. It would run old weights where those beside it are new, or two models share
    it; and one compiled for fp32 as bf16, which fails.
    """
    try:
        folder = cache_folder("openvino") / _key(files, sorted(config.items()))
        folder.mkdir(parents=True, exist_ok=True)
        keep_recent(folder)
    except (ModelFileError, OSError):
        return None
    return folder if os.access(folder, os.W_OK) else None


def _without_links(graph: Graph) -> Path:
    """Give a graph that lies beside its data: the hub's cache holds links to both, in a folder of
    their own names, and OpenVINO refuses data that lies elsewhere.
    """
    linked = any(file.is_symlink() for file in graph.files)
    if graph.path.suffix != ".onnx" or len(graph.files) == 1 or not linked:
        return graph.path

    def link(folder: Path) -> None:
        for file in graph.files:
            try:
                (folder / file.name).hardlink_to(file.resolve())
            except OSError:  # of another disk
                shutil.copyfile(file, folder / file.name)

    gathered = make_once(cache_folder("linked") / _key(graph.files), link)
    keep_recent(gathered)
    return gathered / graph.path.name


def _key(files: Sequence[Path], *settings: object) -> str:
    """Name what is made of files, with these settings, in their present state."""
    states = [(str(file.resolve()), file.stat()) for file in files]
    parts = [(path, status.st_size, status.st_mtime_ns) for path, status in states]
    return sha256(repr((parts, *settings)).encode()).hexdigest()[:32]


def _cores() -> int:
    """The cores this process may use."""
    if limit := thread_limit():
        return limit
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _is_out_of_memory(error: MemoryError | RuntimeError) -> bool:
    if isinstance(error, MemoryError):
        return True
    text = str(error).lower()
    return any(sign in text for sign in ("bad_alloc", "allocate", "out of memory", "a memory"))


def _reason(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__


def _shape(batch: Batch) -> str:
    pairs, length = batch.input_ids.shape
    return f"a batch of {pairs} pairs of {length} tokens"
