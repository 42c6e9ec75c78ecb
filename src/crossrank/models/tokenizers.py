"""The tokenizer of a model, whatever its documents are."""

from typing import cast

from crossrank.errors import InputError
from crossrank.models.spec import ModelSpec
from crossrank.optional import require
from crossrank.tokenization import PairTokenizer, Truncation
from crossrank.types import Fetcher


def load_tokenizer(
    spec: ModelSpec, truncation: Truncation | None = None, fetcher: Fetcher | None = None
) -> PairTokenizer:
    """Load what turns pairs into token ids, and documents that are no texts into features.

    Args:
        spec: The model.
        truncation: What is cut of a pair that is too long; by default what the model says.
        fetcher: Gives the file at an address, for documents that are images or recordings.

    Raises:
        InputError: There is a fetcher, and the model reads texts only.
        ModelFileError: A file is missing or damaged.
        UnsupportedModelError: The tokenizer's or the processor's form is unknown.
        MissingDependencyError: The extra ``multimodal`` is needed and not installed.
    """
    truncation = truncation or spec.truncation
    if spec.modalities == ("text",):
        if fetcher is not None:
            raise InputError(
                f"{spec.name} reads texts, and a fetcher gets images and recordings: leave it out."
            )
        return PairTokenizer(
            spec.tokenizer_file, spec.template, max_length=spec.max_length, truncation=truncation
        )
    # By name, when it is needed: what reads images and sound lies above this layer.
    if "text" in spec.modalities:
        kind = require("crossrank.multimodal.chat", extra="multimodal").ChatTokenizer
    else:
        kind = require("crossrank.multimodal.tokenizer", extra="multimodal").MediaTokenizer
    loaded = kind.load(spec, truncation)
    loaded.fetcher = fetcher
    return cast("PairTokenizer", loaded)
