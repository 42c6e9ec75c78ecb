"""``crossrank train``: recipes that are refused, and runs in processes of their own."""

import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.cli.commands import interrupt, run, start
from typer.testing import Result

for package in ("torch", "datasets", "accelerate", "pydantic", "ir_measures", "nncf"):
    pytest.importorskip(package, reason="the extra 'train' is not installed")
from tests.parity.tiny_models import make_classifier  # noqa: E402

from crossrank.training.checkpoints import last_checkpoint  # noqa: E402
from crossrank.training.recipe import TEMPLATE  # noqa: E402

Invoke = Callable[..., Result]


def test_the_template_is_written_once(invoke: Invoke, tmp_path: Path) -> None:
    file = tmp_path / "recipe.yaml"
    result = invoke("train", "--init", file)
    assert result.exit_code == 0
    assert file.read_text(encoding="utf-8") == TEMPLATE.read_text(encoding="utf-8")
    assert f"crossrank train {file}" in result.stderr
    file.write_text("mine")
    result = invoke("train", "--init", file)
    assert result.exit_code == 1
    assert "exists already" in result.stderr
    assert file.read_text() == "mine"


def test_help_shows_how_to_begin(invoke: Invoke) -> None:
    result = invoke("train", "--help")
    assert result.exit_code == 0
    assert "crossrank train --init" in result.stdout
    assert "crossrank train recipe.yaml" in result.stdout


def test_no_recipe(invoke: Invoke, tmp_path: Path) -> None:
    result = invoke("train", tmp_path / "absent.yaml")
    assert result.exit_code == 2
    assert "crossrank train --init" in result.stderr


def test_a_mistake_in_the_recipe_is_bad_usage(invoke: Invoke, tmp_path: Path) -> None:
    file = tmp_path / "recipe.yaml"
    file.write_text("model: {name: a/b}\ntraining: {learning_rat: 1}\n")
    result = invoke("train", file)
    assert result.exit_code == 2
    words = " ".join(result.stderr.replace("│", " ").split())
    assert "line 2: training.learning_rat: unknown; did you mean learning_rate?" in words


ANSWERS = {"0": "The stove burns gas.", "1": "Berlin is well known.", "2": "Museums and people."}


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    """The template itself, with a tiny model and a few steps."""
    make_classifier(tmp_path / "tiny", "bert")
    rows = [
        {
            "query": f"stove {number}",
            "documents": list(ANSWERS.values()),
            "labels": [1, 0, 0],
        }
        for number in range(40)
    ]
    (tmp_path / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    chosen: dict[str, Any] = yaml.safe_load(TEMPLATE.read_text(encoding="utf-8"))
    chosen["model"]["name"] = "tiny"
    chosen["training"] |= {"max_steps": 16, "eval_steps": 2, "learning_rate": 1e-3}
    chosen["output"]["int8"] = False  # which tests/training/test_run.py tries
    file = tmp_path / "recipe.yaml"
    file.write_text(yaml.safe_dump(chosen))
    return file


def test_a_run_that_is_interrupted_and_continued(
    recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    checkpoints = tmp_path / "my-reranker.training/checkpoints"

    def one_is_whole() -> bool:
        return last_checkpoint(checkpoints) is not None

    said = interrupt(start("train", recipe), one_is_whole, signal.SIGINT)
    assert "Interrupted." in said
    assert "the same command continues from there" in said
    assert not (tmp_path / "my-reranker").exists()
    code, table, steps = run("train", recipe)
    assert code == 0, steps
    assert "Continuing from step " in steps
    assert "step 16 of 16: nDCG@10 1.0000" in steps
    header, *rows = table.splitlines()
    assert header.split() == ["measure", "before", "after", "change", "p"]
    assert [row.split()[0] for row in rows] == ["nDCG@10", "RR@10", "AP"]
    assert (tmp_path / "my-reranker/README.md").exists()


def test_bad_data_is_a_failure_and_leaves_nothing(
    invoke: Invoke, recipe: Path, tmp_path: Path
) -> None:
    (tmp_path / "train.jsonl").write_text('{"query": "a"}\n{"query": \n')
    result = invoke("train", recipe)
    assert result.exit_code == 1
    assert "train.jsonl, line 2: one JSON object a line is required" in result.stderr
    assert not (tmp_path / "my-reranker.training").exists()


def test_a_model_that_is_there_is_kept(invoke: Invoke, recipe: Path, tmp_path: Path) -> None:
    (tmp_path / "my-reranker").mkdir()
    (tmp_path / "my-reranker/mine.txt").touch()
    result = invoke("train", recipe)
    assert result.exit_code == 1
    assert "--overwrite" in result.stderr
    assert "continues from there" not in result.stderr
    assert (tmp_path / "my-reranker/mine.txt").exists()


def test_a_failure_says_what_is_kept(
    invoke: Invoke, recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint = tmp_path / "my-reranker.training/checkpoints/checkpoint-7"

    def fail(*_: object, **__: object) -> None:
        checkpoint.mkdir(parents=True)
        (checkpoint / "trainer_state.json").write_text('{"global_step": 7}')
        raise OSError(28, "No space left on device", "model.safetensors")

    monkeypatch.setattr("crossrank.training.run.run_recipe", fail)
    result = invoke("train", recipe)
    assert result.exit_code == 1
    assert "Error: No space left on device: model.safetensors" in result.stderr
    assert "up to step 7: the same command continues from there" in result.stderr
