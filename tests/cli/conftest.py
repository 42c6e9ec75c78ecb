"""A model without weights, and commands run in this process."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from typer.testing import CliRunner, Result

from crossrank.cli import app

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *(f"w{number}" for number in range(50))]


def make_model(folder: Path, labels: int = 1) -> Path:
    """Save what the backend ``constant`` needs: a pair's score is the share of the document's
    tokens, ``[SEP]`` included, that the query has too.
    """
    folder.mkdir()
    vocabulary = {word: number for number, word in enumerate(WORDS)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    config: dict[str, Any] = {
        "architectures": ["BertForSequenceClassification"],
        "model_type": "bert",
        "id2label": {str(label): f"LABEL_{label}" for label in range(labels)},
        "max_position_embeddings": 16,
        "pad_token_id": 0,
        "type_vocab_size": 2,
        "sentence_transformers": {"activation_fn": "torch.nn.modules.linear.Identity"},
    }
    (folder / "config.json").write_text(json.dumps(config))
    special = {"pad_token": "[PAD]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    (folder / "tokenizer_config.json").write_text(json.dumps(special))
    (folder / "README.md").write_text("---\nlanguage: en\nlicense: apache-2.0\n---\n# Constant\n")
    return folder


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Options that choose a model without weights."""
    folder = make_model(tmp_path_factory.mktemp("model") / "constant")
    return ["--model", str(folder), "--backend", "constant"]


@pytest.fixture(scope="session")
def model_of_two_labels(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The same with two labels: the second is the first plus 1."""
    folder = make_model(tmp_path_factory.mktemp("model") / "constant", labels=2)
    return ["--model", str(folder), "--backend", "constant"]


@pytest.fixture
def invoke(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Run a command in this process; ``result.stdout`` and ``result.stderr`` are apart."""
    monkeypatch.setenv("COLUMNS", "400")  # no message wraps, however long its paths are
    runner = CliRunner()

    def run(*arguments: str | Path, **options: Any) -> Result:
        return runner.invoke(app, [str(argument) for argument in arguments], **options)

    return run
