"""``crossrank info``."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

import crossrank
from crossrank.cli.info import card_value

Invoke = Callable[..., Result]


def test_json(invoke: Invoke, model: list[str]) -> None:
    _, folder, *backend = model
    result = invoke("info", folder, *backend, "--format", "json")
    assert result.exit_code == 0, result.stderr
    told = json.loads(result.stdout)
    assert told["chosen"] == {
        "backend": "constant",
        "device": "cpu",
        "precision": "fp32",
        "reason": "no weights: the share of the document's tokens that the query has too",
        "files": [],
        "bytes": 0,
    }
    about = told["model"]
    assert (about["labels"], about["max length"], about["activation"]) == (1, 16, "identity")
    assert (about["languages"], about["licence"]) == (["en"], "apache-2.0")
    assert told["versions"]["crossrank"] == crossrank.__version__
    assert told["machine"]["cores"] >= 1


def test_the_embedded_model_as_a_table(invoke: Invoke) -> None:
    result = invoke("info")
    assert result.exit_code == 0, result.stderr
    facts = dict(
        line.split(maxsplit=1) for line in result.stdout.splitlines() if len(line.split()) > 1
    )
    assert facts["backend"].strip() == "openvino"
    assert facts["name"].strip() == "default"
    assert facts["bytes"].strip().endswith("MB")


@pytest.mark.parametrize(
    ("card", "value"),
    [
        ("---\nlicense: mit\n---\n", "mit"),
        ("---\nlicense: 'mit'\n---\n", "mit"),
        ("---\nlanguage: en\n---\nlicense: mit\n", None),
        ("# No head\nlicense: mit\n", None),
        ("", None),
    ],
)
def test_card_value(tmp_path: Path, card: str, value: str | None) -> None:
    file = tmp_path / "README.md"
    file.write_text(card)
    assert card_value(file, "license") == value
    assert card_value(tmp_path / "absent.md", "license") is None
