"""A model in memory: its files, tokenizer, backends and score cache."""

import functools
import threading
import warnings
from collections.abc import Iterable
from dataclasses import replace
from hashlib import blake2b
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Literal, Self, Union

from tokenizers import Tokenizer

from crossrank import activations
from crossrank.activations import Activation
from crossrank.backends import load_backend
from crossrank.backends.base import Backend
from crossrank.cache import Cache, ScoreCache
from crossrank.compatibility import renamed
from crossrank.copying import MadeAnew
from crossrank.errors import InputError
from crossrank.models import digest, locate, read_spec
from crossrank.models.calibrations import read_calibration
from crossrank.models.lengths import within_positions
from crossrank.models.saving import push_model, save_model
from crossrank.models.tokenizers import load_tokenizer
from crossrank.scoring import Scorer
from crossrank.tokenization import Truncation
from crossrank.types import Fetcher, Precision

if TYPE_CHECKING:
    import torch

    from crossrank.evaluation.calibration_maps import Calibration

Device = Union[str, "torch.device"]
"""A device by its name, or as torch has it."""

Devices = Device | Iterable[Device] | None
"""One device, several to share the work, or the one the model was loaded on."""


_OF_SPEED = ("session_options", "streams", "threads")
"""Options of the backends that a score does not depend on."""


class LoadedModel(MadeAnew):
    """What ``CrossEncoder`` is built on: everything but the scoring itself.

    Attributes:
        spec: What the model's folder says about it.
        runtime: The loaded weights: ``name``, ``device``, ``precision`` and ``reason``.
        backend: Name of the inference library in use.
        prompts: Named texts put before a query.
        default_prompt_name: The prompt used when a call names none.
    """

    kept = ("activation_fn", "default_prompt_name", "max_length", "prompts")

    @renamed(
        model_name="model_name_or_path",
        automodel_args="model_kwargs",
        tokenizer_args="processor_kwargs",
        tokenizer_kwargs="processor_kwargs",
        config_args="config_kwargs",
        cache_dir="cache_folder",
        default_activation_function="activation_fn",
    )
    def __init__(
        self,
        model_name_or_path: str | Path | None = None,
        *,
        device: Device | None = None,
        prompts: dict[str, str] | None = None,
        default_prompt_name: str | None = None,
        cache_folder: str | None = None,
        trust_remote_code: bool = False,
        revision: str | None = None,
        local_files_only: bool = False,
        token: bool | str | None = None,
        model_kwargs: dict[str, Any] | None = None,
        processor_kwargs: dict[str, Any] | None = None,
        config_kwargs: dict[str, Any] | None = None,
        backend: Literal["auto", "openvino", "onnx", "torch"] = "auto",
        num_labels: int | None = None,
        max_length: int | None = None,
        activation_fn: str | Activation | None = None,
        precision: Precision | Literal["auto"] = "auto",
        truncation: Truncation | None = None,
        cache: str | Path | Cache | None = None,
        fetcher: Fetcher | None = None,
    ) -> None:
        """Load a model.

        Args:
            model_name_or_path: A hub id, a folder, ``None`` for the embedded model, or ``"small"``
                for the small one.
            device: E.g. ``"cpu"`` or ``"cuda:0"``; by default the best there is.
            prompts: Named texts put before a query.
            default_prompt_name: The prompt used when a call names none.
            cache_folder: Where downloaded models are kept.
            trust_remote_code: Run model code that comes with the model. Off by default.
            revision: Branch, tag or commit on the hub.
            local_files_only: Do not download anything.
            token: Hub token.
            model_kwargs: Settings of the backend, e.g. ``file_name``, ``provider``,
                ``torch_dtype``, ``attn_implementation``.
            processor_kwargs: Settings of the tokenizer: ``model_max_length``, ``chat_template``
                and ``truncation_side``.
            config_kwargs: Values that replace those of ``config.json``.
            backend: ``"openvino"``, ``"onnx"``, ``"torch"``, or ``"auto"`` to choose.
            num_labels: Number of labels, when the configuration is silent or wrong.
            max_length: Longest pair in tokens; the model's own by default. Cut, with a warning,
                to what the model has positions for.
            activation_fn: ``"sigmoid"``, ``"identity"``, ``"softmax"``, ``"tanh"``, a function on
                numpy arrays or a ``torch.nn`` module. By default what the model was saved with,
                else sigmoid for one label and identity for several.
            precision: ``"fp32"``, ``"fp16"``, ``"bf16"``, ``"int8"``, ``"int4"``. ``"auto"`` is
                fp32, unless the model ships quantised only.
            truncation: ``"longest_first"``, or ``"only_document"`` to keep queries whole. By
                default what the model was saved with, else the first.
            cache: A file that remembers logits between calls and processes, or what does so in
                another way.
            fetcher: Gives the file at an address, for documents that are images or recordings.
                Without one, addresses are refused.

        Raises:
            ModelNotFoundError: There is no such model.
            ModelFileError: A file of the model is missing, damaged or refused.
            UnsupportedModelError: The architecture is not supported.
            MissingDependencyError: The model needs an extra that is not installed.
            InputError: An option cannot be used.
        """
        wanted = None if precision == "auto" else precision
        device = None if device is None else str(device)
        folder = locate(
            model_name_or_path,
            cache_folder=cache_folder,
            revision=revision,
            token=token,
            local_files_only=local_files_only,
            backend=backend,
            device=device,
            precision=wanted,
            file_name=(model_kwargs or {}).get("file_name"),
        )
        self.spec = read_spec(
            folder,
            str(model_name_or_path or "default"),
            num_labels=num_labels,
            max_length=max_length,
            config_kwargs=config_kwargs,
            processor_kwargs=processor_kwargs,
            trust_remote_code=trust_remote_code,
        )
        self.prompts = {**self.spec.prompts, **(prompts or {})}
        self.default_prompt_name = default_prompt_name or self.spec.default_prompt_name
        if self.default_prompt_name is not None:
            self._check_prompt("default_prompt_name", self.default_prompt_name)
        self._tokenizer = load_tokenizer(self.spec, truncation, fetcher)
        self.activation_fn = activation_fn if activation_fn is not None else self.spec.activation
        self._cache = ScoreCache(cache) if isinstance(cache, str | Path) else cache
        self._model_kwargs = model_kwargs or {}
        self._load = functools.partial(
            load_backend,
            self.spec,
            backend,
            precision=wanted,
            options=self._model_kwargs,
        )
        self._lock = threading.Lock()
        self._backends: dict[str, Backend] = {}
        self._computing: dict[str, tuple[str, ...]] = {}
        self.runtime = self._load(device=device)
        self.backend = self.runtime.name
        self._keep(self.runtime.device, self.runtime)
        self._scorers: dict[tuple[str, ...], Scorer] = {}

    @property
    def config(self) -> SimpleNamespace:
        """The values of ``config.json`` as attributes."""
        names = self.spec.config.get("id2label") or {}
        labels = {int(k) if str(k).isdigit() else k: name for k, name in names.items()}
        ours = {"num_labels": self.num_labels, "id2label": labels}
        return SimpleNamespace(**self.spec.config | ours)

    @property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer, of the ``tokenizers`` library."""
        return self._tokenizer.tokenizer

    @property
    def num_labels(self) -> int:
        """Width of the logits; 1 for relevance and regression."""
        return self.spec.num_labels

    @property
    def modalities(self) -> tuple[str, ...]:
        """What documents may be, e.g. ``("text",)``, ``("image",)`` or ``("text", "image")``."""
        return self.spec.modalities

    def supports(self, modality: str) -> bool:
        """Say whether documents may be of this modality, e.g. ``"image"``."""
        return modality in self.modalities

    @property
    def device(self) -> str:
        """Where the model runs, unless a call says otherwise."""
        return self.runtime.device

    @property
    def max_seq_length(self) -> int:
        """Longest pair in tokens, special tokens included. May be set."""
        return self._tokenizer.max_length

    @max_seq_length.setter
    def max_seq_length(self, value: int) -> None:
        self._tokenizer.max_length = within_positions(value, self.spec.config)
        self.spec = replace(self.spec, max_length=self._tokenizer.max_length)

    max_length = max_seq_length

    @property
    def activation_fn(self) -> Activation:
        """What makes scores of logits. May be set, also by name."""
        return self._activation_fn

    @activation_fn.setter
    def activation_fn(self, value: str | Activation) -> None:
        self._activate = activations.resolve(value)
        self._activation_fn = self._activate if isinstance(value, str) else value

    @functools.cached_property
    def calibration(self) -> "Calibration":
        """What makes probabilities of logits: by ``crossrank calibrate``, saved with the model.

        Raises:
            InputError: The model has none for its precision, or has several labels.
            ModelFileError: The file with it is damaged.
        """
        if self.num_labels != 1:
            raise InputError(
                f"A model with one label can be calibrated, and this one has {self.num_labels}."
            )
        return read_calibration(self.spec.folder, self.runtime.precision)

    def count_tokens(self, text: str) -> int:
        """Count the tokens of a text, without special tokens."""
        return self._tokenizer.count(text)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Free the model's memory and close the cache. Nothing can be scored afterwards."""
        with self._lock:
            for backend in self._backends.values():
                backend.close()
            self._backends.clear()
            self._scorers.clear()
        if self._cache is not None:
            self._cache.close()

    @renamed(safe_serialization="", model_name="", create_model_card="", train_datasets="")
    def save_pretrained(self, path: str | Path) -> None:
        """Write the model to a folder, which this library and others can load.

        Args:
            path: The folder; made when it does not exist. What it holds of another model is
                replaced.

        Raises:
            InputError: It is the folder the model was loaded from.
        """
        activation = activations.to_saved(self.activation_fn)
        if activation is None:
            warnings.warn(
                f"activation_fn={self.activation_fn!r} is no class of torch.nn, and cannot be "
                "saved: give it again when you load the model.",
                stacklevel=2,
            )
        save_model(
            self.spec,
            path,
            activation=activation,
            prompts=self.prompts,
            default_prompt_name=self.default_prompt_name,
            truncation=self._tokenizer.truncation,
        )

    def push_to_hub(
        self,
        repo_id: str,
        *,
        token: bool | str | None = None,
        private: bool | None = None,
        commit_message: str = "Add a cross-encoder",
        exist_ok: bool = False,
        revision: str | None = None,
        create_pr: bool = False,
    ) -> str:
        """Upload the model to the hub.

        Args:
            repo_id: ``"user/name"``.
            token: Hub token; by default the one saved on this machine.
            private: Whether a new repository is private.
            commit_message: For the hub's history.
            exist_ok: Whether the repository may exist already.
            revision: The branch to write to.
            create_pr: Open a pull request instead.

        Returns:
            The address of the commit or pull request.
        """
        return push_model(
            self.save_pretrained,
            repo_id,
            token=token,
            private=private,
            commit_message=commit_message,
            exist_ok=exist_ok,
            revision=revision,
            create_pr=create_pr,
        )

    def scorer(self, devices: Devices = None) -> Scorer:
        """The engine for these devices; the model is loaded once on each."""
        given = devices or self.device
        names = [given] if isinstance(given, str) or not isinstance(given, Iterable) else given
        wanted = tuple(dict.fromkeys(map(str, names)))
        with self._lock:
            if not self._backends:
                raise InputError("This model was closed: load it again to score with it.")
            if wanted not in self._scorers:
                backends = [self._on_device(name) for name in wanted]
                self._scorers[wanted] = Scorer(
                    self.spec,
                    self._tokenizer,
                    backends,
                    self._cache,
                    functools.partial(self._namespace, {self._computing[name] for name in wanted}),
                )
            return self._scorers[wanted]

    def _on_device(self, name: str) -> Backend:
        if name not in self._backends:
            self._keep(name, self._load(device=name))
        return self._backends[name]

    def _keep(self, device: str, backend: Backend) -> None:
        self._backends[device] = backend
        # Now: the files may be replaced, or removed, while the model is in memory.
        weights = "" if self._cache is None else digest(self.spec, backend.files)
        kind = backend.device.partition(":")[0]
        self._computing[device] = (weights, backend.name, backend.precision, kind)

    def _namespace(
        self, computing: Iterable[tuple[str, ...]], prompt: str | None, max_length: int
    ) -> bytes:
        """Digest everything but the texts that can change a logit."""
        options = self._model_kwargs
        parts = (
            sorted(computing),
            sorted((name, value) for name, value in options.items() if name not in _OF_SPEED),
            self._tokenizer.template,
            self._tokenizer.truncation,
            max_length,
            self.spec.num_labels,
            prompt,
        )
        return blake2b(repr(parts).encode("utf-8", "surrogatepass"), digest_size=16).digest()

    def prompt_text(self, name: str | None = None, prompt: str | None = None) -> str | None:
        """The prompt of a call: given, named, or the default one.

        Raises:
            InputError: The model has no prompt of this name.
        """
        if prompt is not None:
            return prompt
        if name is not None:
            self._check_prompt("prompt_name", name)
        chosen = name if name is not None else self.default_prompt_name
        return self.prompts.get(chosen) if chosen is not None else None

    def _check_prompt(self, argument: str, name: str) -> None:
        if name not in self.prompts:
            known = ", ".join(map(repr, self.prompts))
            required = f"one of this model's: {known}" if known else "left out: the model has none"
            raise InputError(f"{argument} must be {required}; received {name!r}.")
