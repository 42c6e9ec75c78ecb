"""``crossrank explain``."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import pytest
from typer.testing import Result

from crossrank.cli.explain import Method as Choice
from crossrank.explanation.explanation import Method

Invoke = Callable[..., Result]

DOCUMENT = "w1 w2\nw3 w4\n"
"""For the query ``w1`` 2/5; without the first line 1/3, without the second 2/3."""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "document.txt"
    path.write_text(DOCUMENT)
    return path


def test_terminal_lists_sentences(invoke: Invoke, model: list[str], file: Path) -> None:
    result = invoke("explain", "w1", file, *model)
    assert result.exit_code == 0
    assert [line.rstrip() for line in result.stdout.splitlines()] == [
        "w1",
        "logit 0.400, score 0.4000; logit without the document 1.000",
        "",
        "  +0.067  w1 w2",
        "  -0.267  w3 w4",
    ]
    assert "\x1b" not in result.stdout


def test_json_is_what_python_gives(invoke: Invoke, model: list[str], file: Path) -> None:
    result = invoke("explain", "w1", file, "-f", "json", "--faithfulness", *model)
    found = json.loads(result.stdout)
    assert found["document"] == DOCUMENT
    assert [piece["text"] for piece in found["pieces"]] == ["w1 w2", "w3 w4"]
    assert found["pieces"][0]["attribution"] == pytest.approx(2 / 5 - 1 / 3)
    assert found["faithfulness"]["gain"] == pytest.approx(
        (found["faithfulness"]["insertion"] - found["faithfulness"]["deletion"]) / 2
        + (found["faithfulness"]["random_deletion"] - found["faithfulness"]["random_insertion"]) / 2
    )


@pytest.mark.parametrize("source", ["stdin", "text", "gzip"])
def test_where_the_document_comes_from(
    invoke: Invoke, model: list[str], tmp_path: Path, source: str
) -> None:
    packed = tmp_path / "document.txt.gz"
    packed.write_bytes(gzip.compress(DOCUMENT.encode()))
    place = {"stdin": ["-"], "text": ["--text", DOCUMENT], "gzip": [packed]}[source]
    result = invoke("explain", "w1", *place, "-f", "json", *model, input=DOCUMENT)
    assert json.loads(result.stdout)["document"] == DOCUMENT


def test_options_arrive(invoke: Invoke, model_of_two_labels: list[str], file: Path) -> None:
    options = ["--method", "tokens", "--label", "1", "--max-pieces", "2", "-f", "json"]
    found = json.loads(invoke("explain", "w1", file, *options, *model_of_two_labels).stdout)
    assert (found["method"], found["label"], len(found["pieces"])) == ("tokens", 1, 2)
    assert found["logit"] == pytest.approx(1.4)


def test_html_is_a_fragment(invoke: Invoke, model: list[str]) -> None:
    result = invoke("explain", "<w1>", "--text", "w2 <script>", "-f", "html", *model)
    assert result.stdout.startswith('<div class="crossrank-explanation"')
    assert "&lt;script&gt;" in result.stdout
    assert "<script" not in result.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "One document is required"),
        (["-", "--text", "w1"], "received both"),
        (["missing.txt"], "does not exist"),
        (["--text", "w1", "--label", "1"], "label must be 0"),
        (["--text", "w1", "--method", "gradients"], "backend='torch'"),
    ],
)
def test_bad_usage(invoke: Invoke, model: list[str], arguments: list[str], message: str) -> None:
    result = invoke("explain", "w1", *arguments, *model)
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.replace("│", " ").split())


def test_choices_are_those_of_python() -> None:
    assert get_args(Choice) == get_args(Method)
