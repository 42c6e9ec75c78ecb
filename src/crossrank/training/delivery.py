"""What a run leaves: a model folder with its int8 file and its card."""

import os
import platform
import random
from collections.abc import Callable
from pathlib import Path

from crossrank.errors import ExportError
from crossrank.evaluation.evaluators import DataEvaluator, RankingEvaluator
from crossrank.models.files import companions, list_names
from crossrank.quantization import export
from crossrank.quantization.export import FILES, REPORT
from crossrank.quantization.measure import measure
from crossrank.quantization.report import Figures
from crossrank.training.model_card import Quality, TrainingReport, model_card
from crossrank.training.recipe import Recipe
from crossrank.training.trainer import CrossEncoderTrainer
from crossrank.training.workplace import Workplace
from crossrank.types import Pair

SAMPLE = 300
"""Pairs that int8 is calibrated on, and that speed is measured on where rankings are not."""

Tell = Callable[[str], object]


def deliver(
    recipe: Recipe,
    place: Workplace,
    trainer: CrossEncoderTrainer,
    quality: Quality,
    seconds: float | None,
    tell: Tell,
) -> TrainingReport:
    """Write the model and what belongs to it, and put it into place.

    Args:
        recipe: What was done.
        place: Where it was done.
        trainer: With the trained weights.
        quality: What these are worth.
        seconds: How long training took, where it was not interrupted.
        tell: Called with a line about each step.
    """
    folder = place.folder / "model"
    trainer.save_model(str(folder))
    (evaluator,) = trainer.evaluators.values()
    assert isinstance(evaluator, DataEvaluator)
    figures, note = _export(recipe, trainer, evaluator, folder, tell)
    padding = trainer.padding
    report = TrainingReport(
        recipe=recipe,
        rows={name: len(rows) for name, rows in trainer.data.datasets.items()},
        quality=quality,
        figures=figures,
        measured_pairs=len(_speed_pairs(trainer, evaluator)),
        machine=_machine(),
        steps=trainer.state.global_step,
        best_step=trainer.state.best_global_step or trainer.state.global_step,
        settings={
            "bf16": trainer.args.bf16,
            "padding": None if padding is None else round(padding, 4),
        },
        seconds=seconds,
        note=note,
    )
    (folder / "README.md").write_text(model_card(report), encoding="utf-8")
    place.publish(folder)
    return report


def _export(
    recipe: Recipe,
    trainer: CrossEncoderTrainer,
    evaluator: DataEvaluator,
    folder: Path,
    tell: Tell,
) -> tuple[dict[str, Figures], str | None]:
    """Add an int8 file to a saved model; measure size and speed."""
    note = None
    if recipe.output.int8:
        try:
            return _export_int8(recipe, trainer, evaluator, folder, tell), None
        except ExportError as error:
            note = f"There is no int8 file: {error}"
            tell(note)
    tell("Measuring speed ...")
    found, _ = measure(folder, "fp32", _speed_pairs(trainer, evaluator))
    size = sum(file.stat().st_size for file in folder.rglob("*.safetensors"))
    figures = Figures(size, found.load_seconds, found.pairs_per_second, found.peak_bytes, None)
    return {"fp32": figures}, note


def _export_int8(
    recipe: Recipe,
    trainer: CrossEncoderTrainer,
    evaluator: DataEvaluator,
    folder: Path,
    tell: Tell,
) -> dict[str, Figures]:
    exported = folder.with_name("int8")
    report = export(
        folder,
        exported,
        "int8",
        pairs=_sample(trainer),
        evaluation=evaluator.task if isinstance(evaluator, RankingEvaluator) else None,
        max_ndcg_loss=recipe.output.max_ndcg_loss,
        overwrite=True,
        rounds=1,
        progress=lambda step: tell(f"int8: {step} ..."),
    )
    file = FILES["int8"]
    for name in (file, *companions(file, list_names(exported)), REPORT):
        (folder / name).parent.mkdir(exist_ok=True)
        (exported / name).rename(folder / name)
    return {"fp32": report.fp32, "int8": report.exported}


def _sample(trainer: CrossEncoderTrainer) -> list[Pair]:
    """Draw pairs of the training data."""
    chance = random.Random(trainer.args.seed)  # noqa: S311  # the same pairs in every run
    count = min(SAMPLE, len(trainer.data))
    examples = [trainer.data[row] for row in chance.sample(range(len(trainer.data)), count)]
    return [(example.query, chance.choice(example.documents)) for example in examples]


def _speed_pairs(trainer: CrossEncoderTrainer, evaluator: DataEvaluator) -> list[Pair]:
    return evaluator.pairs() if isinstance(evaluator, RankingEvaluator) else _sample(trainer)


def _machine() -> str:
    """Name the processor and its number of cores."""
    name = platform.processor() or platform.machine()
    if Path("/proc/cpuinfo").is_file():
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
        name = names[0] if names else name
    return f"{name}, {os.cpu_count()} cores"
