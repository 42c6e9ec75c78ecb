"""Training on an NVIDIA GPU."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs torch")
pytest.importorskip("transformers", reason="training needs transformers")
datasets = pytest.importorskip("datasets", reason="training needs datasets")
pytest.importorskip("accelerate", reason="training needs accelerate")

from tests.training.conftest import BAD, GOOD, QUERIES  # noqa: E402
from tests.training.runs import make_trainer  # noqa: E402
from tests.training.test_mini_batches import ALL, gradient  # noqa: E402
from tests.training.test_trainer import as_lists, losses  # noqa: E402

from crossrank import CrossEncoder  # noqa: E402
from crossrank.training.collation import Collator  # noqa: E402
from crossrank.training.distill import train_student  # noqa: E402
from crossrank.training.examples import Example  # noqa: E402
from crossrank.training.mini_batches import Scorer  # noqa: E402
from crossrank.training.model import TrainableModel  # noqa: E402
from crossrank.training.objective import objectives  # noqa: E402
from crossrank.training.student import keep_layers  # noqa: E402

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")


def test_a_gpu_learns_what_a_cpu_does(tiny: Path, triples: Any, tmp_path: Path) -> None:
    runs = {}
    for name, cpu in (("cpu", True), ("gpu", False)):
        trainer = make_trainer(tiny, as_lists(triples), tmp_path / name, "listnet", use_cpu=cpu)
        trainer.train()
        assert trainer.args.device.type == ("cpu" if cpu else "cuda")
        runs[name] = losses(trainer)
    assert runs["cpu"][-1] < runs["cpu"][0]
    np.testing.assert_allclose(runs["gpu"], runs["cpu"], rtol=2e-3)


def test_mixed_precision_learns(tiny: Path, triples: Any, tmp_path: Path) -> None:
    trainer = make_trainer(tiny, triples, tmp_path, use_cpu=False, bf16=True, max_steps=40)
    trainer.train()
    found = losses(trainer)
    assert np.mean(found[-5:]) < np.mean(found[:5]) / 2
    trainer.save_model(str(tmp_path / "model"))
    with CrossEncoder(tmp_path / "model") as model:
        assert (model.device, model.runtime.precision) == ("cuda", "fp32")
        for query in QUERIES:
            ranked = [entry["corpus_id"] for entry in model.rank(query, GOOD + BAD)]
            assert sorted(ranked[: len(GOOD)]) == list(range(len(GOOD)))


def test_an_interrupted_run_goes_on(tiny_with_dropout: Path, triples: Any, tmp_path: Path) -> None:
    whole = make_trainer(tiny_with_dropout, triples, tmp_path / "whole", use_cpu=False)
    whole.train()
    again = make_trainer(tiny_with_dropout, triples, tmp_path / "whole", use_cpu=False)
    again.train(resume_from_checkpoint=str(tmp_path / "whole" / "checkpoint-6"))
    np.testing.assert_allclose(losses(again)[6:], losses(whole)[6:], rtol=1e-3)


def test_gradient_caching_repeats_the_dropout(tiny_with_dropout: Path) -> None:
    model = TrainableModel.load(tiny_with_dropout)
    model.module.double().cuda().train()
    score = Scorer(model.module, model.spec, torch.device("cuda"))
    batch = Collator(model.tokenizer)(
        [Example("stove", (*GOOD, *BAD), (1.0, 1.0, 1.0, 0.0, 0.0, 0.0))]
    ).to("cuda")
    objective = objectives("listmle", ["train"])["train"]
    torch.manual_seed(5)
    value, direct = gradient(model, batch, objective, 20, ALL, score)
    torch.manual_seed(5)
    again, cached = gradient(model, batch, objective, 20, 20, score)
    assert value == pytest.approx(again, rel=1e-9)
    torch.testing.assert_close(cached, direct, rtol=1e-5, atol=1e-7)
    torch.manual_seed(6)
    assert gradient(model, batch, objective, 20, 20, score)[0] != value


def test_states_are_learned(tiny: Path, tmp_path: Path) -> None:
    start = TrainableModel.load(tiny)
    keep_layers(start, [1])
    start.save(tmp_path / "start", "identity")
    texts = GOOD + BAD
    rows = datasets.Dataset.from_dict(
        {"query": QUERIES, "document": texts[:4], "teacher_scores": [1.0] * 4}
    )
    options = {
        "max_steps": 60,
        "learning_rate": 3e-3,
        "logging_steps": 1,
        "bf16": True,
        "dataloader_num_workers": 1,
    }
    train_student(
        tmp_path / "start",
        rows,
        "states",
        tmp_path / "run",
        tmp_path / "out",
        options,
        teacher=tiny,
    )
    pairs = [(query, text) for query in QUERIES for text in texts]
    errors = []
    for name in ("start", "out"):
        found, aims = (
            CrossEncoder(folder, activation_fn="identity").predict(pairs)
            for folder in (tmp_path / name, tiny)
        )
        errors.append(float(np.square(found - aims).mean()))
    assert errors[1] < errors[0] / 2
