"""The tokenizer of a model, whatever its documents are."""

from crossrank.models.spec import ModelSpec
from crossrank.optional import require
from crossrank.tokenization import PairTokenizer, Truncation


def load_tokenizer(spec: ModelSpec, truncation: Truncation = "longest_first") -> PairTokenizer:
    """Load what turns pairs into token ids, and documents that are no texts into features.

    Args:
        spec: The model.
        truncation: What is cut of a pair that is too long.

    Raises:
        ModelFileError: A file is missing or damaged.
        UnsupportedModelError: The tokenizer's or the processor's form is unknown.
        MissingDependencyError: The extra ``multimodal`` is needed and not installed.
    """
    if spec.modalities == ("text",):
        return PairTokenizer(
            spec.tokenizer_file, spec.template, max_length=spec.max_length, truncation=truncation
        )
    # By name, when it is needed: what reads images and sound lies above this layer.
    if "text" in spec.modalities:
        kind = require("crossrank.multimodal.chat", extra="multimodal").ChatTokenizer
    else:
        kind = require("crossrank.multimodal.tokenizer", extra="multimodal").MediaTokenizer
    tokenizer: PairTokenizer = kind.load(spec, truncation)
    return tokenizer
