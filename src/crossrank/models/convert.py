"""Turning torch modules into ONNX files."""

import json
import logging
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crossrank.errors import ExportError, MissingDependencyError
from crossrank.models.files import choose, companions, list_names
from crossrank.models.integrity import check_file, digest
from crossrank.models.spec import ModelSpec
from crossrank.models.storage import cache_folder, keep_recent, make_once
from crossrank.optional import installed, require

if TYPE_CHECKING:
    from torch import nn

INPUTS = ("input_ids", "attention_mask", "token_type_ids", "features")
"""What ``forward`` of crossrank's torch modules takes, in this order; of texts the first three."""

WARNINGS = "warnings.json"
"""What the weights gave cause to warn of; that is said whenever they are loaded."""

_FORMAT = 2
"""Changes when files that were converted before must not be used any more."""


def can_convert() -> bool:
    """Say whether the packages that write ONNX files are installed."""
    return all(installed(name) for name in ("torch", "transformers", "onnx", "onnxscript"))


def converted(spec: ModelSpec) -> Path:
    """Give a model's weights as an fp32 ONNX file, converting them the first time.

    The file is kept in crossrank's cache folder, by the digest of the weights and the versions of
    the libraries that wrote it.

    Args:
        spec: A model with safetensors.

    Returns:
        The ONNX file.

    Raises:
        MissingDependencyError: The packages that convert are not installed.
        ModelFileError: The weights are missing or damaged.
        ExportError: The network cannot be written as ONNX.
    """
    if not can_convert():
        raise MissingDependencyError(
            f"{spec.name} has its weights as safetensors only, and turning them into ONNX needs "
            'torch. Install it with: pip install "crossrank[torch]", or name a model that has an '
            "onnx/model.onnx."
        )
    if spec.kind == "vision-language":
        raise ExportError(
            f"{spec.name} is a vision-language model, which crossrank runs on torch only: use "
            "backend='torch'."
        )
    target = cache_folder("converted") / _key(spec)
    make_once(target, lambda unfinished: _convert(spec, unfinished / "model.onnx"))
    keep_recent(target)
    for message in json.loads((target / WARNINGS).read_text(encoding="utf-8")):
        warnings.warn(message, stacklevel=2)
    return target / "model.onnx"


def _key(spec: ModelSpec) -> str:
    """Digest all that the converted file depends on."""
    torch, transformers = require("torch", extra="torch"), require("transformers", extra="torch")
    names = list_names(spec.folder)
    weights = choose(names, "torch", where=spec.name).file.name
    parts = {weights, *companions(weights, names)}
    parts |= {name for name in names if name.endswith("model.safetensors")}
    for part in sorted(parts):
        if part.endswith(".safetensors"):
            check_file(spec.folder / part)
    state = (
        _FORMAT,
        digest(spec, [spec.folder / part for part in sorted(parts)]),
        spec.num_labels,
        torch.__version__,
        transformers.__version__,
    )
    return sha256(repr(state).encode()).hexdigest()[:32]


def _convert(spec: ModelSpec, file: Path) -> None:
    from crossrank.models.torch_modules import load_module

    # The attention that is written out step by step is what engines recognise and fuse.
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        module = load_module(spec, options={"attn_implementation": "eager"})
    ours = [str(warning.message) for warning in told if warning.category is UserWarning]
    file.with_name(WARNINGS).write_text(json.dumps(ours), encoding="utf-8")
    to_onnx(module, file, spec.config.get("document_shape"))


def to_onnx(module: "nn.Module", path: Path, features: Sequence[int] | None = None) -> None:
    """Write a torch module as an ONNX file that takes any number of pairs of any length.

    Inputs are ``input_ids``, ``attention_mask`` and ``token_type_ids``, int64 ``[pairs, length]``,
    without those that the network does not use, and for documents of another modality
    ``features``, fp32 ``[pairs, ...]``; the output is ``logits``, fp32 ``[pairs, labels]``.

    Args:
        module: Its ``forward`` takes the inputs and gives logits.
        path: The file. Weights of more than 2 GB go to ``<path>.data`` beside it.
        features: The shape of one document's features, where the network takes them.

    Raises:
        MissingDependencyError: torch, onnx or onnxscript is not installed.
        ExportError: The network cannot be written as ONNX.
    """
    torch = require("torch", extra="torch")
    for name in ("onnx", "onnxscript"):
        require(name, extra="export")
    ids = torch.ones((2, 11), dtype=torch.int64)
    mask = torch.ones_like(ids)
    mask[1, 8:] = 0  # an example without padding lets the tracer drop the mask
    example = [ids, mask, torch.zeros_like(ids)]
    shapes = [{0: torch.export.Dim.DYNAMIC, 1: torch.export.Dim.DYNAMIC}] * 3
    if features is not None:
        example.append(torch.zeros((2, *features)))
        shapes.append({0: torch.export.Dim.DYNAMIC})
    names = INPUTS[: len(example)]
    with _quiet(), torch.inference_mode():
        try:
            program = torch.onnx.export(
                module,
                tuple(example),
                input_names=list(names),
                output_names=["logits"],
                dynamic_shapes=dict(zip(names, shapes, strict=True)),
                dynamo=True,
                verbose=False,
            )
        except torch.onnx.errors.OnnxExporterError as error:
            raise ExportError(
                f"{type(module).__name__} cannot be written as ONNX: {_reason(error)} "
                "Use it with backend='torch'."
            ) from error
        inputs: list[Any] = program.model.graph.inputs
        for unused in [value for value in inputs if not value.uses()]:
            inputs.remove(unused)
        for node in program.model.graph:
            node.metadata_props.clear()  # stack traces, with the paths of this machine
        program.save(str(path))


@contextmanager
def _quiet() -> Iterator[None]:
    """Hold back what the exporter reports about itself."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings(), redirect_stdout(sys.stderr):  # some versions print
        # torch's exporter calls its own deprecated functions, and notes harmless side effects.
        warnings.filterwarnings("ignore", r".*LeafSpec", FutureWarning)
        warnings.filterwarnings("ignore", "While compiling, we found certain side effects")
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)


def _reason(error: Exception) -> str:
    cause = error.__cause__ or error
    lines = [line.strip() for line in str(cause).splitlines() if line.strip()]
    return lines[0] if lines else type(cause).__name__
