"""What a model's folder says about itself."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from crossrank.tokenization import Template, Truncation

Kind = Literal[
    "sequence-classification",
    "modular",
    "bi-encoder",
    "causal-lm",
    "seq2seq",
    "vision-language",
    "native",
]
"""Which family of model code computes the logits.

``native`` is one of crossrank's own networks (``crossrank.models.architectures``), ``modular`` a
sentence-transformers cross-encoder with a ``modules.json``, ``bi-encoder`` one whose modules end in
a vector a text (``crossrank.retrieval.dense``), ``vision-language`` one whose first
module reads images, too.
"""


@dataclass(frozen=True)
class ModelSpec:
    """Everything known about a model before its weights are loaded.

    Attributes:
        name: What the user asked for: a hub id, a folder, or ``"default"``.
        folder: The folder that holds the model's files.
        kind: The family of model code.
        config: The contents of ``config.json``.
        num_labels: Width of the logits.
        activation: Name of the activation that gives scores, see ``crossrank.activations``.
        template: How a pair becomes one sequence of tokens.
        tokenizer_file: The ``tokenizer.json`` to read.
        max_length: Longest sequence in tokens, special tokens included.
        pad_token_id: Id that fills up short sequences.
        padding_side: ``"right"``, or ``"left"`` for causal language models.
        prompts: Named texts put before a query, as sentence-transformers saves them.
        default_prompt_name: The prompt used when the caller names none.
        languages: ISO 639-1 codes of the model card, empty when it names none.
        true_token: Id of the answer that means "relevant", for language models.
        false_token: Id of the answer that means "not relevant"; ``None`` where the logit of
            ``true_token`` alone is the score.
        modalities: What documents may be, of ``"text"``, ``"image"`` and ``"audio"``. Queries are
            texts.
        truncation: What is cut of a pair that is too long, unless the caller says otherwise.
        chat_template: The one that the caller gave in place of the model's.
        trust_remote_code: The caller allows model code that comes with the model to run.
    """

    name: str
    folder: Path
    kind: Kind
    config: dict[str, Any]
    num_labels: int
    activation: str
    template: Template
    tokenizer_file: Path
    max_length: int
    pad_token_id: int
    padding_side: Literal["left", "right"] = "right"
    prompts: dict[str, str] = field(default_factory=dict)
    default_prompt_name: str | None = None
    languages: tuple[str, ...] = ()
    true_token: int | None = None
    false_token: int | None = None
    modalities: tuple[str, ...] = ("text",)
    truncation: Truncation = "longest_first"
    chat_template: str | None = None
    trust_remote_code: bool = False
