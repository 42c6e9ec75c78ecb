"""The interface between the scoring engine and an inference library."""

import os
from abc import ABC, abstractmethod
from collections.abc import Iterable
from pathlib import Path
from typing import Any, ClassVar, Self

from crossrank.batching import Batch
from crossrank.errors import BackendError, InputError, UnsupportedModelError
from crossrank.models.convert import INPUTS
from crossrank.models.spec import ModelSpec
from crossrank.types import Floats, Precision


class Backend(ABC):
    """A loaded model that turns token ids into logits.

    ``forward`` may be called from several threads at once. A pair's logits must not depend on
    the other pairs of its batch, nor on padding.

    Attributes:
        name: The name users pass as ``backend=``.
        device: Where the model runs, e.g. ``"cpu"`` or ``"cuda:0"``.
        precision: What this model is computed in.
        reason: One sentence for ``crossrank info``: which file was chosen, and why.
        files: The weight files that were read; they tell the score cache models apart.
        concurrency: How many ``forward`` calls usefully run at the same time.
        token_budget: Tokens a batch should have, padding included; less when memory is short.
    """

    name: ClassVar[str]
    device: str
    precision: Precision
    reason: str
    files: tuple[Path, ...] = ()
    concurrency: int = 1
    token_budget: int = 4096

    @classmethod
    @abstractmethod
    def load(
        cls,
        spec: ModelSpec,
        *,
        device: str | None = None,
        precision: Precision | None = None,
        options: dict[str, Any] | None = None,
    ) -> Self:
        """Load a model.

        Args:
            spec: What the model's folder says about itself.
            device: ``None`` picks the best device the library finds.
            precision: ``None`` is what ``precision="auto"`` means: fp32, unless the model
                ships quantised only.
            options: Further settings of the library (``model_kwargs`` of ``CrossEncoder``).

        Raises:
            ModelFileError: A file is missing, damaged or refused.
            MissingDependencyError: The library is not installed.
            UnsupportedModelError: The graph takes what no batch has.
            OutOfMemoryError: There is no memory for the weights.
            InputError: The device, the precision or an option is not offered.
        """

    @abstractmethod
    def forward(self, batch: Batch) -> Floats:
        """Compute the logits of a batch.

        Args:
            batch: Token ids ``[pairs, length]``.

        Returns:
            Logits ``[pairs, labels]``.

        Raises:
            OutOfMemoryError: The batch does not fit; a smaller one may.
            BackendError: The library failed otherwise.
        """

    def close(self) -> None:
        """Free the memory of the model. Calling it twice is harmless."""


def check_process(loaded_in: int) -> None:
    """Refuse a model that came into this process by a fork: its engine's threads did not.

    Args:
        loaded_in: The process that loaded it.

    Raises:
        BackendError: It was another one. The engine would wait for its threads for ever.
    """
    if loaded_in != os.getpid():
        raise BackendError(
            "This model was loaded before the process was forked, and its engine cannot work here: "
            "load it in this process, or start processes with multiprocessing's 'spawn'."
        )


def thread_limit() -> int | None:
    """How many threads the environment allows an engine: ``OMP_NUM_THREADS``, as torch reads it.

    Ray sets it in each worker to the cores that the worker was given.
    """
    first = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0]  # one number a level
    return int(first) if first.isdigit() and int(first) else None


def check_inputs(names: Iterable[str], name: str) -> None:
    """See that a graph takes what batches have.

    Args:
        names: Its inputs.
        name: The model's name.

    Raises:
        UnsupportedModelError: It takes something else, too.
    """
    if unknown := set(names) - set(INPUTS):
        raise UnsupportedModelError(
            f"The graph of {name} must take no more than {', '.join(INPUTS)}, and takes "
            f"{', '.join(sorted(unknown))}, too. Export the model anew: crossrank export."
        )


def checked_options(
    name: str, options: dict[str, Any] | None, known: tuple[str, ...]
) -> dict[str, Any]:
    """Copy a backend's options, and refuse those it does not know.

    Raises:
        InputError: An option is unknown.

    Example:
        >>> checked_options("onnx", {"provider": "CPUExecutionProvider"}, ("provider",))
        {'provider': 'CPUExecutionProvider'}
    """
    given = dict(options or {})
    if unknown := given.keys() - set(known):
        raise InputError(
            f"model_kwargs of the {name} backend are {', '.join(known)}; "
            f"received {', '.join(sorted(unknown))}."
        )
    return given
