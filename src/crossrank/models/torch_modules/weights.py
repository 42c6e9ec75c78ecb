"""Reading weights: safetensors only, with errors of crossrank."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_model
from torch import nn
from transformers import AutoConfig, PretrainedConfig, PreTrainedModel
from transformers.utils import logging

from crossrank.errors import CrossRankError, InputError, ModelFileError, UnsupportedModelError
from crossrank.models.spec import ModelSpec


def read_config(spec: ModelSpec, folder: Path, options: dict[str, Any]) -> PretrainedConfig:
    """Build the transformers config of a model.

    The values are those of ``spec.config``, which may carry the caller's overrides.
    """
    with clear_errors(folder):
        config = AutoConfig.from_pretrained(
            folder, trust_remote_code=options.get("trust_remote_code", False), local_files_only=True
        )
        overridden: PretrainedConfig = type(config).from_dict(spec.config)
    return overridden


def load_pretrained(
    auto_class: Any,
    folder: Path,
    config: PretrainedConfig,
    dtype: torch.dtype,
    options: dict[str, Any],
) -> PreTrainedModel:
    """Load a transformers model from a folder.

    Args:
        auto_class: ``AutoModel`` or one of its siblings.
        folder: Holds ``model.safetensors``, or an index and its shards.
        config: The model's config.
        dtype: What the weights are converted to.
        options: Further arguments of ``from_pretrained``.

    Raises:
        ModelFileError: A file is missing, damaged or refused.
        UnsupportedModelError: transformers does not know the architecture.
        InputError: ``from_pretrained`` does not take one of the options.
    """
    with clear_errors(folder), no_progress_bar():
        try:
            model, info = auto_class.from_pretrained(
                folder,
                config=config,
                dtype=dtype,
                use_safetensors=True,
                local_files_only=True,
                ignore_mismatched_sizes=True,  # told below, by name
                output_loading_info=True,
                **options,
            )
        except TypeError as error:
            if not options:
                raise
            raise InputError(f"model_kwargs={options!r} cannot be used: {error}.") from error
    if info["mismatched_keys"]:
        shapes = ", ".join(
            f"{name} is {list(found)} and should be {list(wanted)}"
            for name, found, wanted in sorted(info["mismatched_keys"])
        )
        raise ModelFileError(
            f"The weights in {folder} do not fit the model: {shapes}. Leave num_labels and "
            "config_kwargs as the model has them."
        )
    if info["missing_keys"]:
        names = ", ".join(sorted(info["missing_keys"]))
        warnings.warn(
            f"{folder} holds no weights for {names}: they start at random, and scores mean "
            "nothing until the model is trained.",
            stacklevel=2,
        )
    return model  # type: ignore[no-any-return]


def load_weights(module: nn.Module, folder: Path) -> None:
    """Fill a module from ``model.safetensors``; every weight must be there and no other."""
    file = folder / "model.safetensors"
    if not file.is_file():
        raise ModelFileError(
            f"{file} is required and does not exist; crossrank reads safetensors only, never "
            "pickles. Save the model again with safe_serialization=True."
        )
    with clear_errors(folder):
        load_model(module, file)


@contextmanager
def clear_errors(folder: Path) -> Iterator[None]:
    """Say what transformers' and safetensors' errors mean for the user."""
    try:
        yield
    except CrossRankError:
        raise
    except (OSError, SafetensorError) as error:
        raise ModelFileError(
            f"The weights in {folder} cannot be read: {error} crossrank reads safetensors only, "
            "never pickles. Download the model again, or save it with safe_serialization=True."
        ) from error
    except (ValueError, KeyError) as error:
        raise UnsupportedModelError(f"transformers cannot load {folder}: {error}") from error
    except RuntimeError as error:
        raise ModelFileError(f"The weights in {folder} do not fit the model: {error}") from error


@contextmanager
def no_progress_bar() -> Iterator[None]:
    """Keep transformers from drawing a bar while it reads or writes weights."""
    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()  # type: ignore[no-untyped-call]
