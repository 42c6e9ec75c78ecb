"""torch: every kind of model, on CPU, CUDA and MPS."""

import os
from typing import Any, ClassVar, Self

import numpy as np

from crossrank.backends.base import Backend, check_process
from crossrank.batching import Batch
from crossrank.errors import BackendError, InputError, OutOfMemoryError
from crossrank.models.files import choose, list_names
from crossrank.models.spec import ModelSpec
from crossrank.optional import require
from crossrank.types import Floats, Precision

for _module in ("torch", "transformers"):
    require(_module, extra="torch")

import torch  # noqa: E402

from crossrank.backends.packed import PackedClassifier, can_pack  # noqa: E402
from crossrank.models.torch_modules import load_module  # noqa: E402
from crossrank.models.torch_modules.attention import leave_out_cudnn  # noqa: E402
from crossrank.models.torch_modules.inputs import module_inputs  # noqa: E402

DTYPES: dict[Precision, torch.dtype] = {
    "fp32": torch.float32,
    "fp16": torch.float16,
    "bf16": torch.bfloat16,
}

CPU_BUDGETS: dict[Precision, int] = {"fp32": 2048, "fp16": 2048, "bf16": 4096}
"""Tokens a batch on CPU: as many as still fit its caches. Measured: fp32 gives 125 pairs/s at
2,048 tokens and 90 at 8,192 (MiniLM-L6's size, 83 tokens a pair, 2 cores)."""

GPU_BUDGET = 65_536
"""Tokens a batch on a GPU, where there is memory: enough to keep it busy."""


class TorchBackend(Backend):
    """A model computed by torch.

    Options: ``torch_dtype`` or ``dtype`` (another way to say ``precision``), ``compile``
    (``torch.compile``; the first batches are slow), and what ``from_pretrained`` of transformers
    takes, e.g. ``attn_implementation``.

    On CUDA, classifiers in fp16 or bf16 run without padding, unless they are compiled or an
    ``attn_implementation`` is named.
    """

    name: ClassVar[str] = "torch"

    def __init__(
        self, module: torch.nn.Module, *, device: torch.device, precision: Precision, reason: str
    ) -> None:
        self.device = str(device)
        self.precision = precision
        self.reason = reason
        self.token_budget = _token_budget(module, device, precision)
        self._process = os.getpid()
        self._device = device
        self._module: torch.nn.Module | None = module

    @classmethod
    def load(
        cls,
        spec: ModelSpec,
        *,
        device: str | None = None,
        precision: Precision | None = None,
        options: dict[str, Any] | None = None,
    ) -> Self:
        """Load a model from its safetensors files."""
        options = dict(options or {})
        compiled = options.pop("compile", False)
        precision = _precision(spec, precision, options)
        place = _device(device)
        leave_out_cudnn(place)
        choice = choose(list_names(spec.folder), cls.name, precision, where=spec.name)
        dtype = DTYPES[choice.precision]
        module = load_module(spec, dtype=dtype, options=options)
        try:
            module = module.to(place)
        except RuntimeError as error:
            raise _translated(error, f"loading {spec.name} on {place}") from error
        reason = choice.reason
        if not compiled and "attn_implementation" not in options and can_pack(module, place, dtype):
            module = PackedClassifier(module)
            reason += "; without padding"
        if compiled:
            module.compile(dynamic=True)
        loaded = cls(module, device=place, precision=choice.precision, reason=reason)
        loaded.files = tuple(sorted(spec.folder.rglob("*.safetensors")))
        return loaded

    @property
    def module(self) -> torch.nn.Module:
        """The network."""
        if self._module is None:
            raise BackendError("This model was closed: load it again to score with it.")
        return self._module

    def forward(self, batch: Batch) -> Floats:
        """Compute the logits of a batch."""
        module = self.module
        check_process(self._process)
        try:
            return self._compute(module, batch)
        except (RuntimeError, IndexError) as error:
            shape = "a batch of {} pairs, {} tokens each".format(*batch.input_ids.shape)
            failure = _translated(error, shape)
        # Raised outside of the handler: the traceback of torch's error would keep the memory of
        # the failed batch in use while a smaller one is tried.
        raise failure

    def close(self) -> None:
        """Free the model."""
        self._module = None

    def _compute(self, module: torch.nn.Module, batch: Batch) -> Floats:
        with torch.inference_mode():
            logits = module(*module_inputs(batch, self._device))
            return np.asarray(logits.float().cpu().numpy(), dtype=np.float32)


def _precision(
    spec: ModelSpec, precision: Precision | None, options: dict[str, Any]
) -> Precision | None:
    """Read the precision from the keyword or from transformers' ``dtype`` option."""
    given = [options.pop(key) for key in ("torch_dtype", "dtype") if key in options]
    if given and precision is None:
        wanted = given[0]
        if wanted == "auto":
            wanted = spec.config.get("dtype", spec.config.get("torch_dtype", "float32"))
        names = {str(dtype).removeprefix("torch."): name for name, dtype in DTYPES.items()}
        precision = names.get(str(wanted).removeprefix("torch."))
        if precision is None:
            raise InputError(f"dtype must be one of {', '.join(names)}, received {wanted!r}.")
    if precision is not None and precision not in DTYPES:
        raise InputError(
            f"The torch backend computes in {', '.join(DTYPES)}, received {precision!r}. "
            "Quantised models run on the openvino and onnx backends."
        )
    return precision


def _device(name: str | None) -> torch.device:
    """Find a device, by default the best there is."""
    if name is None:
        cuda, mps = torch.cuda.is_available(), torch.backends.mps.is_available()
        name = "cuda" if cuda else "mps" if mps else "cpu"
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        # torch answers a GPU that is not there with an AssertionError.
        raise InputError(
            f"device must be one that torch can use here, e.g. 'cpu'; received {name!r}: "
            f"{_first_line(error)}"
        ) from error
    return device


def _token_budget(module: torch.nn.Module, device: torch.device, precision: Precision) -> int:
    """Choose how many tokens a batch should have."""
    if device.type != "cuda":
        return CPU_BUDGETS[precision]
    free, _ = torch.cuda.mem_get_info(device)
    # A layer keeps about a dozen vectors a token alive, none wider than its feed-forward part.
    linears = [layer for layer in module.modules() if isinstance(layer, torch.nn.Linear)]
    widest = max((layer.in_features for layer in linears), default=1)
    return max(1, min(GPU_BUDGET, free // 2 // (12 * widest * DTYPES[precision].itemsize)))


def _translated(error: Exception, what: str) -> BackendError:
    """Turn torch's error into ours; on CPU only the message tells that memory ran out."""
    exhausted = isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)
    if exhausted:
        return OutOfMemoryError(f"There is no memory for {what}: {_first_line(error)}")
    return BackendError(f"torch failed on {what}: {_first_line(error)}")


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
