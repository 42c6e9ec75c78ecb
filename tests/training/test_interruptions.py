"""Runs that are killed, that find no room on the disk, and that share the work."""

import json
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="training needs torch")
pytest.importorskip("transformers", reason="training needs transformers")
pytest.importorskip("datasets", reason="training needs datasets")
pytest.importorskip("accelerate", reason="training needs accelerate")

from safetensors.torch import load_file  # noqa: E402
from tests.training import runs  # noqa: E402

ROOT = Path(__file__).parents[2]
THREADS = {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}


def command(tiny: Path, data: Path, out: Path, **options: Any) -> list[str | Path]:
    return [Path(runs.__file__), tiny, data, out, json.dumps(options)]


@pytest.fixture
def saved(triples: Any, tmp_path: Path) -> Path:
    triples.save_to_disk(str(tmp_path / "data"))
    return tmp_path / "data"


def test_a_killed_run_ends_at_the_weights_of_an_undisturbed_one(
    tiny_with_dropout: Path, triples: Any, saved: Path, tmp_path: Path
) -> None:
    tiny = tiny_with_dropout
    whole = runs.make_trainer(tiny, triples, tmp_path / "whole")
    whole.train()
    whole.save_model(str(tmp_path / "whole/final"))
    with subprocess.Popen(
        [sys.executable, *command(tiny, saved, tmp_path / "killed")],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | THREADS,
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line == "step 8\n":
                process.send_signal(signal.SIGKILL)
                break
    assert process.returncode == -signal.SIGKILL
    assert not (tmp_path / "killed/final").exists()
    # As if it had been killed while it wrote one more.
    (tmp_path / "killed/checkpoint-9").mkdir(exist_ok=True)
    again = runs.make_trainer(tiny, triples, tmp_path / "killed")
    again.train(resume_from_checkpoint=True)
    again.save_model(str(tmp_path / "killed/final"))
    assert again.state.global_step == 12
    one, other = (
        load_file(tmp_path / run / "final/model.safetensors") for run in ("whole", "killed")
    )
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_a_recipe_that_is_killed_while_it_delivers_trains_no_more(
    tiny: Path, triples: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("pydantic", reason="the extra 'train' is not installed")
    pytest.importorskip("yaml", reason="the extra 'train' is not installed")
    pytest.importorskip("nncf", reason="the extra 'train' is not installed")
    from crossrank.training import delivery
    from crossrank.training.recipe import Recipe
    from crossrank.training.run import run_recipe

    triples.to_json(str(tmp_path / "train.jsonl"))
    (tmp_path / "recipe.yaml").write_text(f"""
model: {{name: {tiny}}}
data: {{train: {{path: train.jsonl}}}}
loss: ranknet
evaluation: {{path: train.jsonl}}
training: {{max_steps: 4, batch_size: 4, eval_steps: 1, learning_rate: 0.01, bf16: false}}
output: {{folder: out}}
""")
    recipe = Recipe.read(tmp_path / "recipe.yaml")

    best: list[int] = []

    def kill(_: Any, trainer: Any, *__: Any) -> None:
        best.append(trainer.state.best_global_step)
        raise KeyboardInterrupt

    monkeypatch.setattr(delivery, "_export", kill)
    with pytest.raises(KeyboardInterrupt):
        run_recipe(recipe)
    made = load_file(tmp_path / "out.training/model/model.safetensors")
    told: list[str] = []
    monkeypatch.setattr(delivery, "_export", lambda *_: ({}, None))
    report = run_recipe(recipe, tell=told.append)
    assert "Continuing from step 4." in told
    assert not [line for line in told if line.startswith("step ")]
    assert report is not None
    assert (report.steps, [report.best_step]) == (4, best)
    again = load_file(tmp_path / "out/model.safetensors")
    assert made.keys() == again.keys()
    assert all(torch.equal(made[name], again[name]) for name in made)
    assert "padding" not in (tmp_path / "out/README.md").read_text()  # not known any more


def test_a_full_disk_keeps_the_checkpoints_that_are_whole(
    tiny: Path, saved: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    (out / "checkpoint-1").mkdir(parents=True)
    (out / "checkpoint-1/trainer_state.json").write_text('{"global_step": 1}')
    size = (tiny / "model.safetensors").stat().st_size
    assert size > 10_000

    def fill() -> None:  # no file may grow beyond the model: the optimizer's is twice as large
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + 10_000, size + 10_000))

    done = subprocess.run(
        [sys.executable, *command(tiny, saved, out, save_steps=3)],
        capture_output=True,
        text=True,
        env=os.environ | THREADS,
        preexec_fn=fill,
    )
    assert done.returncode != 0
    assert "TrainingError: The checkpoint of step 3 could not be written" in done.stderr
    assert "make room and resume" in done.stderr
    assert [path.name for path in out.glob("checkpoint-*")] == ["checkpoint-1"]


@pytest.mark.parametrize("batch", [4, 5], ids=["even batches", "a short one"])
def test_two_processes_compute_what_one_does_in_two_goes(
    tiny: Path, triples: Any, saved: Path, tmp_path: Path, batch: int
) -> None:
    options = {"max_steps": 4, "save_strategy": "no", "logging_strategy": "no", "optim": "sgd"}
    options |= {"per_device_train_batch_size": batch}
    alone = runs.make_trainer(
        tiny, triples, tmp_path / "one", gradient_accumulation_steps=2, **options
    )
    alone.train()
    alone.save_model(str(tmp_path / "one/final"))
    subprocess.run(
        [
            *(sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"),
            *("--rdzv-backend", "c10d", "--rdzv-endpoint", "127.0.0.1:0"),
            *command(tiny, saved, tmp_path / "two", ddp_backend="gloo", part_tokens=60, **options),
        ],
        check=True,
        capture_output=True,
        timeout=120,
        env=os.environ | THREADS,
    )
    one, two = (load_file(tmp_path / run / "final/model.safetensors") for run in ("one", "two"))
    start = load_file(tiny / "model.safetensors")
    for name in one:
        torch.testing.assert_close(one[name], two[name], rtol=1e-3, atol=1e-5)
    assert any(not torch.equal(one[name], start[name]) for name in one)
