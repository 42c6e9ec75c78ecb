"""Which template a language model reads, and which words of its answer make the score."""

from pathlib import Path
from typing import Any

from crossrank.errors import UnsupportedModelError
from crossrank.models import prompts
from crossrank.models.tokenizer_files import Vocabulary, special_tokens
from crossrank.tokenization import PairTemplate, PromptTemplate, Template

Answers = tuple[Template, int | None, int | None]
"""The template, and the ids of the answers for "relevant" and "not relevant"."""

_KNOWN: tuple[tuple[str, PromptTemplate, tuple[str, ...], tuple[str, ...]], ...] = (
    ("mxbai-rerank", prompts.MXBAI, ("1",), ("0",)),
    ("bge-reranker", prompts.BGE, ("Yes",), ()),
    ("qwen3", prompts.QWEN3, ("yes",), ("no",)),
)
"""Part of the model's name or type, template, and the words for yes and no."""


def read_answers(
    name: str,
    folder: Path,
    *,
    config: dict[str, Any],
    settings: dict[str, Any],
    transformer: dict[str, Any],
    head: dict[str, Any],
    vocabulary: Vocabulary,
) -> Answers:
    """Find template and answers.

    A chat template that knows the roles ``query`` and ``document`` wins, as in
    sentence-transformers. Otherwise the published template of the model's family is taken.

    Args:
        name: What the user asked for.
        folder: Where the language model's files are.
        config: ``config.json``.
        settings: ``tokenizer_config.json``, the chat template, and the caller's
            ``processor_kwargs``.
        transformer: ``sentence_bert_config.json``, or empty.
        head: Settings of the ``LogitScore`` module, or empty.
        vocabulary: The model's tokens.

    Raises:
        UnsupportedModelError: No template is known, or the answers are no tokens.
    """
    if str(config.get("model_type")) in ("t5", "mt5"):
        words = (
            (("▁yes",), ("▁no",)) if config["model_type"] == "mt5" else (("▁true",), ("▁false",))
        )
        return _with_ids(name, prompts.MONO_T5, *words, vocabulary)
    template = from_chat_template(settings, transformer)
    if "true_token_id" in head:  # saved by sentence-transformers, which writes pairs plainly
        return template or PairTemplate(), int(head["true_token_id"]), head.get("false_token_id")
    if template is not None:
        return _with_ids(name, template, ("yes",), ("no",), vocabulary)
    return _with_ids(name, *_known(name, folder, config), vocabulary)


def from_chat_template(
    settings: dict[str, Any], transformer: dict[str, Any]
) -> PromptTemplate | None:
    """Read the template of pairs, where a model has one with the roles query and document.

    Args:
        settings: ``tokenizer_config.json``, the chat template, and the caller's
            ``processor_kwargs``.
        transformer: ``sentence_bert_config.json``, or empty.
    """
    source = settings.get("chat_template")
    if source is None:
        return None
    return prompts.split_chat_template(source, template_variables(settings, transformer))


def template_variables(settings: dict[str, Any], transformer: dict[str, Any]) -> dict[str, Any]:
    """What a chat template may use: special tokens, and what was saved for it."""
    options = (transformer.get("processing_kwargs") or {}).get("chat_template") or {}
    return special_tokens(settings) | options


def _known(
    name: str, folder: Path, config: dict[str, Any]
) -> tuple[PromptTemplate, tuple[str, ...], tuple[str, ...]]:
    origin = f"{name} {folder.name} {config.get('_name_or_path', '')} {config.get('model_type')}"
    for mark, template, true, false in _KNOWN:
        if mark in origin.lower():
            return template, true, false
    raise UnsupportedModelError(
        f"{name} is a language model, and how it wants a query and a document to be written is not "
        "known. Give it a chat template with the roles 'query' and 'document': "
        "processor_kwargs={'chat_template': ...}."
    )


def _with_ids(
    name: str,
    template: PromptTemplate,
    true: tuple[str, ...],
    false: tuple[str, ...],
    vocabulary: Vocabulary,
) -> Answers:
    true_token, false_token = vocabulary.id_of(*true), vocabulary.id_of(*false)
    if true_token is None or (false and false_token is None):
        raise UnsupportedModelError(
            f"{name} answers with {' or '.join((*true, *false))}, and its vocabulary lacks that."
        )
    return template, true_token, false_token
