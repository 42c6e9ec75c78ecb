"""Runs of the trainer: they learn, repeat themselves, and say why they stop."""

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs torch")
pytest.importorskip("transformers", reason="training needs transformers")
datasets = pytest.importorskip("datasets", reason="training needs datasets")
pytest.importorskip("accelerate", reason="training needs accelerate")

from tests.training.conftest import BAD, GOOD, QUERIES  # noqa: E402
from tests.training.runs import make_trainer  # noqa: E402
from transformers import TrainerCallback  # noqa: E402

from crossrank import CrossEncoder  # noqa: E402
from crossrank.errors import InputError, TrainingError  # noqa: E402
from crossrank.evaluation.evaluators import ClassEvaluator  # noqa: E402
from crossrank.losses import WeightedSum, make_loss  # noqa: E402
from crossrank.training.mini_batches import MAX_PADDING  # noqa: E402
from crossrank.training.model import TrainableModel  # noqa: E402

PAIRS = [(query, text) for query in QUERIES for text in GOOD + BAD]
RELEVANT = np.array([text in GOOD for _, text in PAIRS])


def losses(trainer: Any) -> list[float]:
    return [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]


def as_pairs(triples: Any) -> Any:
    rows = dict.fromkeys(zip(triples["query"], triples["positive"], strict=True), 1.0)
    rows |= dict.fromkeys(zip(triples["query"], triples["negative"], strict=True), 0.0)
    queries, texts = zip(*rows, strict=True)
    labels = list(rows.values())
    return datasets.Dataset.from_dict({"query": queries, "document": texts, "label": labels})


def as_lists(triples: Any, name: str = "labels") -> Any:
    rows = {
        "query": QUERIES,
        "documents": [[BAD[n % 3], GOOD[n % 3], GOOD[(n + 1) % 3]][: 2 + n % 2] for n in range(4)],
        name: [[0.0, 2.0, 3.0][: 2 + n % 2] for n in range(4)],
    }
    return datasets.Dataset.from_dict(rows)


@pytest.mark.parametrize(
    ("layout", "loss"),
    [
        (as_pairs, "binary_cross_entropy"),
        (lambda triples: triples, "multiple_negatives_ranking"),
        (as_lists, "ndcg"),
        (lambda triples: as_lists(triples, "teacher_scores"), "margin_mse"),
    ],
    ids=["pairs", "triples", "lists", "teacher"],
)
def test_every_layout_learns_and_the_saved_model_ranks(
    tiny: Path, triples: Any, tmp_path: Path, layout: Any, loss: str
) -> None:
    chosen = make_loss("approx_ndcg") if loss == "ndcg" else loss
    trainer = make_trainer(tiny, layout(triples), tmp_path, chosen, max_steps=40)
    trainer.train()
    seen = losses(trainer)
    assert np.mean(seen[-5:]) < np.mean(seen[:5])
    trainer.save_model(str(tmp_path / "final"))
    logits = CrossEncoder(tmp_path / "final", backend="torch").predict(
        PAIRS, activation_fn="identity"
    )
    np.testing.assert_allclose(trainer.predict_pairs(PAIRS)[:, 0], logits, atol=1e-4)
    for start in range(0, len(PAIRS), 6):
        rows = slice(start, start + 6)
        assert logits[rows][RELEVANT[rows]].mean() > logits[rows][~RELEVANT[rows]].mean()


def test_the_activation_follows_the_loss(tiny: Path, triples: Any, tmp_path: Path) -> None:
    for loss, expected in (("ranknet", "identity"), ("binary_cross_entropy", "sigmoid")):
        data = triples if loss == "ranknet" else as_pairs(triples)
        trainer = make_trainer(tiny, data, tmp_path / "run", loss)
        trainer.save_model(str(tmp_path / loss))
        model = CrossEncoder(tmp_path / loss, backend="torch")
        plain = model.predict(PAIRS[0], activation_fn="identity")
        wanted = plain if expected == "identity" else 1 / (1 + np.exp(-plain))
        assert model.predict(PAIRS[0]) == pytest.approx(wanted, abs=1e-6)


def weights(trainer: Any) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in trainer.trainable.module.state_dict().items()}


def equal(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(one[name], other[name]) for name in one)


def test_the_seed_decides_the_weights(
    tiny_with_dropout: Path, triples: Any, tmp_path: Path
) -> None:
    found = []
    for seed in (1, 1, 2):
        trainer = make_trainer(
            tiny_with_dropout, triples, tmp_path, seed=seed, max_steps=4, save_strategy="no"
        )
        trainer.train()
        found.append(weights(trainer))
    assert equal(found[0], found[1])
    assert not equal(found[0], found[2])


def test_hardly_any_padding_is_computed(tiny: Path, triples: Any, tmp_path: Path) -> None:
    trainer = make_trainer(tiny, triples, tmp_path, per_device_train_batch_size=16, max_steps=5)
    trainer.train()
    assert trainer.padding is not None
    assert 0 <= trainer.padding <= MAX_PADDING


def test_memory_for_a_part_changes_nothing(tiny: Path, triples: Any, tmp_path: Path) -> None:
    found = []
    for part in (10_000, 1):
        trainer = make_trainer(tiny, triples, tmp_path, part_tokens=part, max_steps=4, optim="sgd")
        trainer.train()
        found.append(weights(trainer))
    for name in found[0]:
        torch.testing.assert_close(found[0][name], found[1][name], rtol=1e-3, atol=1e-5)


def test_several_datasets_each_with_its_loss(tiny: Path, triples: Any, tmp_path: Path) -> None:
    data = {"triples": triples, "pairs": as_pairs(triples)}
    loss = {
        "triples": WeightedSum([(make_loss("ranknet"), 1.0), (make_loss("hinge"), 0.5)]),
        "pairs": "binary_cross_entropy",
    }
    share = {"triples": 1.0, "pairs": 3.0}
    trainer = make_trainer(tiny, data, tmp_path, loss, dataset_weights=share, max_steps=40)
    names = [name for name, _ in trainer.get_train_dataloader()]
    assert names.count("pairs") / len(names) == pytest.approx(0.75, abs=0.05)
    trainer.train()
    assert np.mean(losses(trainer)[-5:]) < np.mean(losses(trainer)[:5])
    with pytest.raises(InputError, match="Each dataset needs a loss"):
        make_trainer(tiny, data, tmp_path, {"triples": "ranknet"})


def evaluator() -> ClassEvaluator:
    return ClassEvaluator(PAIRS, RELEVANT.astype(int).tolist())


def test_the_best_checkpoint_is_kept(tiny: Path, triples: Any, tmp_path: Path) -> None:
    trainer = make_trainer(
        tiny,
        as_pairs(triples),
        tmp_path,
        "binary_cross_entropy",
        evaluator(),
        max_steps=30,
        eval_strategy="steps",
        eval_steps=3,
        save_total_limit=1,
        load_best_model_at_end=True,
    )
    trainer.train()
    measured = {
        entry["step"]: entry["eval_accuracy"]
        for entry in trainer.state.log_history
        if "eval_accuracy" in entry
    }
    assert trainer.state.best_metric == max(measured.values())
    assert trainer.evaluate()["eval_accuracy"] == max(measured.values())
    best = Path(str(trainer.state.best_model_checkpoint))
    assert best.is_dir()
    logits = CrossEncoder(best, backend="torch").predict(PAIRS, activation_fn="identity")
    assert np.mean((logits > 0) == RELEVANT) == pytest.approx(max(measured.values()))


def test_training_stops_early(tiny: Path, triples: Any, tmp_path: Path) -> None:
    trainer = make_trainer(
        tiny,
        as_pairs(triples),
        tmp_path,
        "binary_cross_entropy",
        evaluator(),
        learning_rate=1e-12,  # nothing improves
        max_steps=100,
        eval_strategy="steps",
        eval_steps=2,
        save_steps=2,
        load_best_model_at_end=True,
        early_stopping_patience=2,
    )
    trainer.train()
    assert trainer.state.global_step == 6  # 2 is the best, 4 and 6 are no better


class Planned:
    """An evaluator whose values are known before."""

    primary = "x"
    values: ClassVar = {3: 0.5, 6: 0.4, 9: 0.3, 11: 0.2, 12: 0.9}

    def __init__(self) -> None:
        self.trainer: Any = None

    def __call__(self, predict: Any) -> dict[str, float]:
        return {"x": self.values[self.trainer.state.global_step]}


class Crash(TrainerCallback):
    """Ctrl-C in the step after the second evaluation."""

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step == 6:
            raise KeyboardInterrupt


def planned_trainer(tiny: Path, triples: Any, out: Path, **options: Any) -> Any:
    planned = Planned()
    planned.trainer = make_trainer(
        tiny,
        triples,
        out,
        evaluator=planned,
        eval_strategy="steps",
        eval_steps=3,
        load_best_model_at_end=True,
        save_total_limit=2,
        **options,
    )
    return planned.trainer


def test_a_run_that_goes_on_stops_as_early(tiny: Path, triples: Any, tmp_path: Path) -> None:
    whole, cut, again = (
        planned_trainer(tiny, triples, tmp_path / name, early_stopping_patience=2)
        for name in ("whole", "cut", "cut")
    )
    whole.train()
    cut.add_callback(Crash())
    with pytest.raises(KeyboardInterrupt):
        cut.train()
    again.train(resume_from_checkpoint=True)
    for trainer in (whole, again):
        assert (trainer.state.global_step, trainer.state.best_global_step) == (9, 3)
    assert equal(weights(whole), weights(again))


@pytest.mark.parametrize(
    ("options", "steps"),
    [
        ({"max_steps": 11}, 11),
        ({"max_steps": -1, "num_train_epochs": 1.2}, 11),  # an epoch has 9 steps
        ({"early_stopping_patience": 2}, 9),
    ],
    ids=["max_steps", "part of an epoch", "early stopping"],
)
def test_a_run_that_is_over_does_not_go_on(
    tiny: Path, triples: Any, tmp_path: Path, options: dict[str, Any], steps: int
) -> None:
    """It was killed after its last step; the next ones would do better."""
    whole, again = (planned_trainer(tiny, triples, tmp_path, **options) for _ in range(2))
    whole.train()
    again.train(resume_from_checkpoint=True)
    for trainer in (whole, again):
        state = trainer.state
        assert (state.global_step, state.best_global_step, state.best_metric) == (steps, 3, 0.5)
        measured = [entry["step"] for entry in state.log_history if "eval_x" in entry]
        assert measured == sorted({3, 6, 9, steps})
    assert equal(weights(whole), weights(again))
    assert again.padding is None  # nothing was computed


class Preempt(TrainerCallback):
    """Asks for the machine after step 6, as transformers does at SIGTERM."""

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        control.should_training_stop |= state.global_step == 6


def test_a_run_that_was_asked_to_stop_goes_on(tiny: Path, triples: Any, tmp_path: Path) -> None:
    whole, cut, again = (
        planned_trainer(tiny, triples, tmp_path / name, early_stopping_patience=3)
        for name in ("whole", "cut", "cut")
    )
    whole.train()
    cut.add_callback(Preempt())
    cut.train()
    assert cut.state.global_step == 6
    again.train(resume_from_checkpoint=True)
    assert again.state.global_step == 12
    assert equal(weights(whole), weights(again))


def test_short_batches_weigh_less_when_gradients_are_accumulated(
    tiny: Path, triples: Any, tmp_path: Path
) -> None:
    found = []
    options: dict[str, Any] = {"max_steps": 1, "optim": "sgd", "warmup_steps": 0}
    for size, steps in ((36, 1), (16, 3)):  # 36 rows at once, or 16, 16 and 4
        options |= {"per_device_train_batch_size": size, "gradient_accumulation_steps": steps}
        trainer = make_trainer(tiny, triples, tmp_path, **options)
        before = weights(trainer)
        trainer.train()
        found.append(weights(trainer))
    moved = max((found[0][name] - before[name]).abs().max() for name in before)
    assert max((found[0][name] - found[1][name]).abs().max() for name in before) < moved / 1000


def test_in_batch_negatives_need_a_batch(tiny: Path, triples: Any, tmp_path: Path) -> None:
    options = {"in_batch_negatives": 2, "per_device_train_batch_size": 1}
    with pytest.raises(InputError, match="a batch size of at least 2 is required, received 1"):
        make_trainer(tiny, triples, tmp_path, **options)


@pytest.mark.parametrize(
    "option",
    [{"dataloader_drop_last": True}, {"label_smoothing_factor": 0.1}, {"neftune_noise_alpha": 5.0}],
)
def test_options_without_effect_are_refused(
    tiny: Path, triples: Any, tmp_path: Path, option: dict[str, Any]
) -> None:
    with pytest.raises(InputError, match=f"{next(iter(option))} is not for cross-encoders here"):
        make_trainer(tiny, triples, tmp_path, **option)


def test_a_stream_of_rows_is_refused(tiny: Path, triples: Any, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="whose rows can be read in any order, is required; recei"):
        make_trainer(tiny, triples.to_iterable_dataset(), tmp_path)


def test_options_that_need_an_evaluator_say_so(tiny: Path, triples: Any, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="eval_strategy='epoch' needs an evaluator"):
        make_trainer(tiny, triples, tmp_path, eval_strategy="epoch")
    with pytest.raises(InputError, match="early_stopping_patience needs an eval_strategy"):
        make_trainer(tiny, triples, tmp_path, early_stopping_patience=2)


def test_frozen_layers_stay_as_they_are(tiny: Path, triples: Any, tmp_path: Path) -> None:
    trainer = make_trainer(tiny, triples, tmp_path, freeze_layers=1, max_steps=3)
    before = weights(trainer)
    trainer.train()
    after = weights(trainer)
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert not any("embeddings" in name or "layer.0." in name for name in moved)
    assert any("layer.1." in name for name in moved)
    assert any("classifier" in name for name in moved)


def test_layers_learn_at_rates_of_their_own(tiny: Path, triples: Any, tmp_path: Path) -> None:
    trainer = make_trainer(tiny, triples, tmp_path, layer_decay=0.1, max_steps=1)
    trainer.create_optimizer()
    assert trainer.optimizer is not None
    found = sorted({group["lr"] for group in trainer.optimizer.param_groups})
    assert found == pytest.approx([1e-6, 1e-5, 1e-4, 1e-3])


def test_gradients_can_be_recomputed_to_save_memory(
    tiny: Path, triples: Any, tmp_path: Path
) -> None:
    trainer = make_trainer(tiny, triples, tmp_path, activation_checkpointing=True, max_steps=3)
    trainer.train()
    assert len(losses(trainer)) == 3


def test_a_collapsed_model_stops_the_run(tiny: Path, triples: Any, tmp_path: Path) -> None:
    model = TrainableModel.load(tiny)
    with torch.no_grad():
        model.module.model.classifier.weight.zero_()
    trainer = make_trainer(
        model, as_pairs(triples), tmp_path, "binary_cross_entropy",
        learning_rate=1e-12, collapse_patience=5, max_steps=50,
    )  # fmt: skip
    with pytest.raises(TrainingError, match="All scores have been the same for 5 steps"):
        trainer.train()
    assert (tmp_path / "checkpoint-3").is_dir()


def test_nan_stops_the_run_with_what_to_change(tiny: Path, triples: Any, tmp_path: Path) -> None:
    model = TrainableModel.load(tiny)
    with torch.no_grad():
        model.module.model.classifier.weight[0, 0] = float("nan")
    with pytest.raises(TrainingError, match=r"loss became nan at step 0\. Lower learning_rate"):
        make_trainer(model, triples, tmp_path).train()


def test_an_exploding_gradient_stops_the_run(tiny: Path, triples: Any, tmp_path: Path) -> None:
    model = TrainableModel.load(tiny)
    with torch.no_grad():
        model.module.model.classifier.weight.mul_(1e8)
    with pytest.raises(TrainingError, match="exploded at step 0"):
        make_trainer(model, as_pairs(triples), tmp_path, "mse").train()  # no score is good enough
