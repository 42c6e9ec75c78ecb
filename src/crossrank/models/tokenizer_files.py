"""The ``tokenizer.json`` of a model, and what else its folder says about its tokenizer."""

import hashlib
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from crossrank.errors import ModelFileError
from crossrank.models.json_files import read_json
from crossrank.models.storage import cache_folder, make_once
from crossrank.optional import installed

_VOCABULARIES = ("vocab.txt", "vocab.json", "merges.txt", "*.model", "*.vocab", "*.tiktoken")
_SETTINGS = ("tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "config.json")


def tokenizer_file(folder: Path, *, trust_remote_code: bool = False) -> Path:
    """Find a folder's ``tokenizer.json``, or make one of its older files.

    Older vocabularies are converted once through transformers; the result is kept in crossrank's
    cache folder.

    Args:
        folder: The folder with the tokenizer's files.
        trust_remote_code: Run tokenizer code that comes with the model.

    Raises:
        ModelFileError: There is no vocabulary, or one that cannot be converted.
    """
    file = folder / "tokenizer.json"
    if file.is_file():
        return file
    vocabularies = sorted(path for name in _VOCABULARIES for path in folder.glob(name))
    if not vocabularies:
        raise ModelFileError(
            f"A tokenizer.json is required, and {folder} has neither that nor a vocabulary. Copy "
            "the tokenizer's files of the original model into the folder."
        )
    names = ", ".join(path.name for path in vocabularies)
    if not installed("transformers"):
        raise ModelFileError(
            f"A tokenizer.json is required, and {folder} has only {names}, which transformers can "
            'convert. Install it with: pip install "crossrank[torch]"'
        )
    total = hashlib.sha256()
    for path in [*vocabularies, *(folder / name for name in _SETTINGS)]:
        if path.is_file():
            total.update(path.name.encode() + path.read_bytes())
    target = cache_folder("tokenizers") / total.hexdigest()[:32]
    make_once(target, lambda unfinished: _convert(folder, unfinished, trust_remote_code))
    return target / "tokenizer.json"


def _convert(folder: Path, target: Path, trust_remote_code: bool) -> None:
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(
            folder, trust_remote_code=trust_remote_code, local_files_only=True
        )
        tokenizer.save_pretrained(target)
    except (OSError, ValueError, TypeError, ImportError, KeyError, AttributeError) as error:
        raise ModelFileError(
            f"The tokenizer in {folder} cannot be converted to a tokenizer.json: {error}. It may "
            "need a package such as sentencepiece or protobuf."
        ) from error
    if not (target / "tokenizer.json").is_file():
        raise ModelFileError(
            f"The tokenizer in {folder} is of a kind that has no tokenizer.json; crossrank cannot "
            "use it."
        )


class Vocabulary:
    """Looks tokens up; the ``tokenizer.json`` is read at the first look-up.

    Args:
        file: The ``tokenizer.json``.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._tokenizer: Tokenizer | None = None

    def id_of(self, *tokens: str | None) -> int | None:
        """Give the id of the first of these tokens that the vocabulary has."""
        if self._tokenizer is None:
            try:
                self._tokenizer = Tokenizer.from_file(str(self._file))
            except Exception as error:
                raise ModelFileError(
                    f"{self._file} cannot be read as a tokenizer: {error}. Download the model "
                    "again."
                ) from error
        for token in tokens:
            found = self._tokenizer.token_to_id(token) if token else None
            if found is not None:
                return found
        return None


def special_tokens(settings: dict[str, Any]) -> dict[str, str]:
    """Read the special tokens of a ``tokenizer_config.json``.

    Example:
        >>> special_tokens({"pad_token": "[PAD]", "sep_token": {"content": "[SEP]"}, "x": 1})
        {'pad_token': '[PAD]', 'sep_token': '[SEP]'}
    """
    found = {}
    for key, value in settings.items():
        text = value.get("content") if isinstance(value, dict) else value
        if key.endswith("_token") and isinstance(text, str):
            found[key] = text
    return found


def chat_template(folder: Path, settings: dict[str, Any]) -> str | None:
    """Find a tokenizer's chat template; of several, the one named ``default``."""
    file = folder / "chat_template.jinja"
    if file.is_file():
        return file.read_text(encoding="utf-8")
    found = settings.get("chat_template")
    if found is None and (folder / "chat_template.json").is_file():
        found = read_json(folder / "chat_template.json").get("chat_template")
    if isinstance(found, list):
        found = {entry["name"]: entry["template"] for entry in found}.get("default")
    return found if isinstance(found, str) else None
