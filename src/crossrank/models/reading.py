"""Reading what a model's folder says about the model, as sentence-transformers 6.2 reads it."""

import re
import warnings
from collections.abc import Callable
from dataclasses import replace
from functools import wraps
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar, cast, get_args

from crossrank.activations import from_saved
from crossrank.errors import CrossRankError, InputError, ModelFileError, UnsupportedModelError
from crossrank.models.architectures import ARCHITECTURES
from crossrank.models.files import list_names, weight_files
from crossrank.models.json_files import read_json, read_optional, read_value
from crossrank.models.language_models import from_chat_template, read_answers
from crossrank.models.lengths import read_max_length
from crossrank.models.spec import Kind, ModelSpec
from crossrank.models.tokenizer_files import (
    Vocabulary,
    chat_template,
    special_tokens,
    tokenizer_file,
)
from crossrank.models.vision_language import VISION_LANGUAGE, read_image_template
from crossrank.optional import installed
from crossrank.tokenization import PairTemplate, Template, Truncation, TruncationSide

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")

_OPTIONS = ("model_max_length", "chat_template", "truncation_side")
"""What ``processor_kwargs`` may hold."""

_WITHOUT_EFFECT = (
    *("clean_up_tokenization_spaces", "legacy", "padding", "padding_side", "truncation"),
    *("trust_remote_code", "use_fast"),
)
"""What it may hold for the sake of sentence-transformers' users; scores do not depend on it."""


def _well_formed(
    read: Callable[Concatenate[Path, Arguments], Result],
) -> Callable[Concatenate[Path, Arguments], Result]:
    """Say of which model a setting of the wrong kind is, whatever stumbled over it."""

    @wraps(read)
    def reading(folder: Path, /, *args: Arguments.args, **options: Arguments.kwargs) -> Result:
        try:
            return read(folder, *args, **options)
        except CrossRankError:
            raise
        except (AttributeError, LookupError, RecursionError, TypeError, ValueError) as error:
            raise ModelFileError(
                f"The settings of the model in {folder} must have the types that transformers and "
                f"sentence-transformers write, and one has another: {type(error).__name__}: "
                f"{error}. Download the model again."
            ) from error

    return reading


@_well_formed
def read_spec(
    folder: Path,
    name: str,
    *,
    num_labels: int | None = None,
    max_length: int | None = None,
    config_kwargs: dict[str, Any] | None = None,
    processor_kwargs: dict[str, Any] | None = None,
    trust_remote_code: bool = False,
    new_head: bool = False,
) -> ModelSpec:
    """Read everything but the weights.

    Args:
        folder: The model's folder.
        name: What the user asked for.
        num_labels: Width of the logits, when the configuration is silent or wrong.
        max_length: Longest pair in tokens. Never more than the model has positions for.
        config_kwargs: Values that replace those of ``config.json``.
        processor_kwargs: ``model_max_length``, ``chat_template`` and ``truncation_side``.
        trust_remote_code: Allow models that bring code of their own.
        new_head: Take a bi-encoder for its transformer alone, which gets a head for scores.

    Raises:
        ModelFileError: A file is missing or damaged.
        UnsupportedModelError: The layout is unknown, or needs code that is not trusted.
        InputError: An argument cannot be used.
    """
    if num_labels is not None and num_labels < 1:
        raise InputError(f"num_labels must be at least 1, received {num_labels}.")
    modules = read_modules(folder)
    home = transformer_folder(folder, modules)
    transformer = read_optional(home / "sentence_bert_config.json") if modules else {}
    if new_head and _is_bi_encoder(folder, modules):
        folder, modules = home, []
    config = read_json(home / "config.json") | (config_kwargs or {})
    kind = _kind(config, modules)
    if not trust_remote_code:
        _refuse_remote_code(name, folder, config)
    processor = _checked_options(processor_kwargs)
    if max_length is not None:
        processor["model_max_length"] = max_length
    file = tokenizer_file(home, trust_remote_code=trust_remote_code)
    settings = read_optional(file.parent / "tokenizer_config.json")
    settings |= {"chat_template": chat_template(home, settings)}
    saved = read_optional(folder / "config_sentence_transformers.json")
    vocabulary = Vocabulary(file)
    labels = num_labels or _num_labels(folder, kind, config, modules)
    modalities = _modalities(kind, config, transformer)
    template: Template = PairTemplate()
    true_token = false_token = None
    language_model = kind in ("causal-lm", "seq2seq") or _ends_in_logit_score(modules)
    if language_model:
        template, true_token, false_token = read_answers(
            name,
            home,
            config=config,
            settings=settings | processor,
            transformer=transformer,
            head=read_optional(folder / modules[-1]["path"] / "config.json") if modules else {},
            vocabulary=vocabulary,
        )
    elif modalities != ("text", "image"):
        template = from_chat_template(settings | processor, transformer) or template
    if modalities == ("text", "image"):
        template = read_image_template(
            name,
            config=config,
            settings=settings | processor,
            transformer=transformer,
            vocabulary=vocabulary,
        )
    left = language_model and kind != "seq2seq"
    return ModelSpec(
        name=name,
        folder=folder,
        kind=kind,
        config=config,
        num_labels=labels,
        activation=_activation(config, saved, labels),
        template=replace(template, truncation_side=_truncation_side(settings | processor)),
        tokenizer_file=file,
        max_length=read_max_length(config, settings, transformer, processor),
        pad_token_id=_pad_token_id(config, settings, vocabulary),
        padding_side="left" if left else "right",
        prompts={key: text for key, text in (saved.get("prompts") or {}).items() if text},
        default_prompt_name=_default_prompt(folder, saved),
        languages=read_languages(folder / "README.md"),
        true_token=true_token,
        false_token=false_token,
        modalities=modalities,
        truncation=_truncation(config),
        chat_template=processor.get("chat_template"),
        trust_remote_code=trust_remote_code,
    )


def _default_prompt(folder: Path, saved: dict[str, Any]) -> str | None:
    """Find the prompt of calls that name none; an empty one is none."""
    name: str | None = saved.get("default_prompt_name")
    prompts = saved.get("prompts") or {}
    if name is not None and name not in prompts:
        known = ", ".join(map(repr, prompts)) or "none"
        raise ModelFileError(
            f"default_prompt_name in {folder / 'config_sentence_transformers.json'} must name one "
            f"of its prompts ({known}), and is {name!r}."
        )
    return name if name is not None and prompts[name] else None


def own_settings(config: dict[str, Any]) -> dict[str, Any]:
    """Give crossrank's own entry of ``config.json``, empty where there is none."""
    ours = config.get("crossrank")
    return ours if isinstance(ours, dict) else {}


def _truncation(config: dict[str, Any]) -> Truncation:
    """Read what no other library has a place for."""
    value = own_settings(config).get("truncation", "longest_first")
    if value not in get_args(Truncation):
        raise ModelFileError(
            f"truncation in config.json must be {' or '.join(map(repr, get_args(Truncation)))}, "
            f"received {value!r}."
        )
    return cast("Truncation", value)


@_well_formed
def read_kind(folder: Path) -> Kind:
    """Find a model's kind alone; reads ``config.json`` and ``modules.json``.

    Raises:
        ModelFileError: One of them is missing or damaged.
        UnsupportedModelError: The architecture is not supported.
    """
    modules = read_modules(folder)
    return _kind(read_json(transformer_folder(folder, modules) / "config.json"), modules)


def read_modules(folder: Path) -> list[dict[str, Any]]:
    """Read ``modules.json``; a bare Transformer counts as no modules."""
    file = folder / "modules.json"
    modules = read_value(file) if file.is_file() else []
    if not isinstance(modules, list) or any(
        not isinstance(entry, dict) or not {"path", "type"} <= entry.keys() for entry in modules
    ):
        raise ModelFileError(f"{file} must hold a list of modules with 'path' and 'type'.")
    for entry in modules:
        if not (folder / entry["path"]).resolve().is_relative_to(folder.resolve()):
            raise ModelFileError(f"{file} points outside of the model: {entry['path']!r}.")
    return modules if len(modules) > 1 or any(entry["path"] for entry in modules) else []


def _checked_options(processor_kwargs: dict[str, Any] | None) -> dict[str, Any]:
    """Copy the caller's settings of the tokenizer, and refuse those that are not known."""
    given = dict(processor_kwargs or {})
    if unknown := given.keys() - {*_OPTIONS, *_WITHOUT_EFFECT}:
        raise InputError(
            f"processor_kwargs are {', '.join(_OPTIONS)}; received {', '.join(sorted(unknown))}. "
            "Where the model comes from is said by other arguments: cache_folder, revision, token, "
            "local_files_only, trust_remote_code."
        )
    return given


def _truncation_side(settings: dict[str, Any]) -> TruncationSide | None:
    """Find which end of long texts is cut; ``None`` leaves it to ``tokenizer.json``."""
    side: TruncationSide | None = settings.get("truncation_side")
    if side not in (None, *get_args(TruncationSide)):
        raise InputError(f"truncation_side must be 'left' or 'right', received {side!r}.")
    return side


def _is_bi_encoder(folder: Path, modules: list[dict[str, Any]]) -> bool:
    """Say whether modules pool the states of tokens and do not go on to scores."""
    heads = (read_optional(folder / entry["path"] / "config.json") for entry in modules[1:])
    scores = any(head.get("module_output_name") == "scores" for head in heads)
    return not scores and any(entry["type"].endswith(".Pooling") for entry in modules)


def transformer_folder(folder: Path, modules: list[dict[str, Any]]) -> Path:
    """Find where the transformer of a model lies: its configuration and its tokenizer.

    Args:
        folder: The model's.
        modules: What ``read_modules`` says of it.
    """
    home = folder / modules[0]["path"] if modules else folder
    return home if (home / "config.json").is_file() else folder


def _ends_in_logit_score(modules: list[dict[str, Any]]) -> bool:
    return bool(modules) and modules[-1]["type"].endswith(".LogitScore")


def _kind(config: dict[str, Any], modules: list[dict[str, Any]]) -> Kind:
    """Find the family of code that computes the logits."""
    architecture = str((config.get("architectures") or [""])[0])
    if config.get("model_type") in ARCHITECTURES:
        return "native"
    if modules:
        if config.get("model_type") in VISION_LANGUAGE:
            return "vision-language"
        bare = len(modules) == 2 and not modules[0]["path"] and _ends_in_logit_score(modules)
        return "causal-lm" if bare else "modular"
    if architecture.endswith("ForCausalLM"):
        return "causal-lm"
    if architecture in ("T5ForConditionalGeneration", "MT5ForConditionalGeneration"):
        return "seq2seq"
    if architecture.endswith("ForConditionalGeneration"):
        raise UnsupportedModelError(
            f"The architecture {architecture} is not supported; of the models that write text, "
            "crossrank runs causal language models and monoT5."
        )
    return "sequence-classification"


def _modalities(kind: Kind, config: dict[str, Any], transformer: dict[str, Any]) -> tuple[str, ...]:
    """Find what documents may be."""
    if kind == "native":
        return (str(config.get("modality", "text")),)
    known = transformer.get("modality_config") or {}
    reads_images = kind == "vision-language" and {"image", "message"} <= known.keys()
    return ("text", "image") if reads_images else ("text",)


def _refuse_remote_code(name: str, folder: Path, config: dict[str, Any]) -> None:
    """Stop at models that only code of their own can run."""
    if "auto_map" not in config:
        return
    if any(file.format != "safetensors" for file in weight_files(list_names(folder))):
        return
    if installed("transformers"):
        from transformers import CONFIG_MAPPING

        if config.get("model_type") in CONFIG_MAPPING:
            return
    raise UnsupportedModelError(
        f"{name} needs program code that comes with the model ({_code_files(config)}). Read it, "
        "and if you trust it load the model with trust_remote_code=True."
    )


def _code_files(config: dict[str, Any]) -> str:
    values = [str(value) for value in config["auto_map"].values()]
    return ", ".join(sorted({f"{value.split('.')[0]}.py" for value in values}))


def _num_labels(
    folder: Path, kind: Kind, config: dict[str, Any], modules: list[dict[str, Any]]
) -> int:
    """Find the width of the logits, as sentence-transformers' ``num_labels`` does."""
    if kind in ("causal-lm", "seq2seq"):
        return 1
    for entry in reversed(modules):
        head = read_optional(folder / entry["path"] / "config.json")
        if entry["type"].endswith(".LogitScore"):
            return 1
        if entry["type"].endswith(".Dense") and head.get("module_output_name") == "scores":
            return int(head["out_features"])
    if "num_labels" in config:
        return int(config["num_labels"])
    classifier = str((config.get("architectures") or [""])[0])
    if kind != "native" and not classifier.endswith("ForSequenceClassification"):
        return 1
    if config.get("id2label"):
        return len(config["id2label"])
    return 1 if kind == "native" else 2


def _activation(config: dict[str, Any], saved: dict[str, Any], labels: int) -> str:
    """Name the activation; where it was saved changed over the years."""
    path = (
        saved.get("activation_fn")
        or (config.get("sentence_transformers") or {}).get("activation_fn")
        or config.get("sbert_ce_default_activation_function")
    )
    default = "sigmoid" if labels == 1 else "identity"
    if path is None:
        return default
    known = from_saved(path)
    if known is None:
        warnings.warn(
            f"The model was saved with the activation {path}, which crossrank does not load; "
            f"{default} is used. Pass activation_fn to choose another.",
            stacklevel=4,
        )
    return known or default


def _pad_token_id(config: dict[str, Any], settings: dict[str, Any], vocabulary: Vocabulary) -> int:
    """Find the padding token; models that count positions by it follow ``config.json``."""
    configured = config.get("pad_token_id")
    if isinstance(configured, int) and configured >= 0:
        return configured
    return vocabulary.id_of(special_tokens(settings).get("pad_token")) or 0


def read_languages(card: Path) -> tuple[str, ...]:
    """Read the languages in the front matter of a model card.

    Returns:
        ISO 639-1 codes; empty when the card names none, or says ``multilingual``.
    """
    if not card.is_file():
        return ()
    text = card.read_text(encoding="utf-8", errors="replace")
    front = re.match(r"---\s*\n(.*?)\n---", text, re.DOTALL)
    entry = re.search(r"^language:(.*(?:\n[ -].*)*)", front[1], re.MULTILINE) if front else None
    codes = re.findall(r"[a-zA-Z]{2,}", entry[1]) if entry else []
    return () if "multilingual" in codes else tuple(code for code in codes if len(code) == 2)
