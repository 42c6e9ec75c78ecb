"""Running a recipe: from data to a model folder with its int8 file and its card."""

import os
import platform
import random
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from transformers import PrinterCallback, TrainingArguments
from transformers.integrations.integration_utils import get_available_reporting_integrations

from crossrank.errors import ExportError, InputError
from crossrank.evaluation.evaluation_set import EvaluationSet
from crossrank.evaluation.evaluators import DataEvaluator, Outcome, RankingEvaluator
from crossrank.models.files import processor_flags
from crossrank.quantization import export
from crossrank.quantization.export import FILES, REPORT
from crossrank.quantization.measure import measure
from crossrank.quantization.report import Figures
from crossrank.training.arguments import CrossEncoderTrainingArguments
from crossrank.training.columns import Examples, recognise
from crossrank.training.data_files import lists_by_query, load_data
from crossrank.training.held_out import evaluator_of, hold_out
from crossrank.training.model import LoRA, TrainableModel
from crossrank.training.model_card import Quality, TrainingReport, model_card
from crossrank.training.progress import TrainingProgress
from crossrank.training.recipe import DataSection, Recipe, TrainingSection
from crossrank.training.trainer import CrossEncoderTrainer
from crossrank.training.training_data import TrainingData
from crossrank.training.workplace import Workplace
from crossrank.types import Pair

SAMPLE = 300
"""Pairs that int8 is calibrated on, and that speed is measured on where rankings are not."""

_CHECKPOINTING = (  # renamed in transformers 5
    "activation_checkpointing"
    if hasattr(TrainingArguments, "activation_checkpointing")
    else "gradient_checkpointing"
)

Tell = Callable[[str], object]


def run_recipe(
    recipe: Recipe,
    *,
    overwrite: bool = False,
    restart: bool = False,
    tell: Tell = lambda _: None,
) -> TrainingReport:
    """Train as a recipe says, and write the model, its int8 file and its card.

    Unfinished runs are kept in a folder beside the output, and continued from their last whole
    checkpoint; the weights at the end are the same.

    Args:
        recipe: What to do.
        overwrite: Replace the output where it exists.
        restart: Forget an unfinished run.
        tell: Called with a line about each step.

    Raises:
        InputError: The data cannot be used, or do not fit the recipe.
        TrainingError: Training had to stop; its checkpoints are kept.
    """
    with Workplace.open(recipe, overwrite=overwrite, restart=restart) as place:
        data = {name: _load(place, name, entry) for name, entry in recipe.data.items()}
        model = _load_model(recipe)
        _check(recipe, data, model.spec.num_labels)
        data, evaluator, told = _evaluation(recipe, place, data, model.spec.num_labels)
        if recipe.output.max_ndcg_loss is not None and not isinstance(evaluator, RankingEvaluator):
            raise InputError("output.max_ndcg_loss needs an evaluation on rankings; this is none.")
        trainer = CrossEncoderTrainer(
            model,
            _arguments(recipe, place.checkpoints),
            data,
            recipe.losses(),
            evaluator,
            callbacks=[TrainingProgress(evaluator.primary, tell)],
        )
        trainer.remove_callback(PrinterCallback)
        quality, seconds = _train(recipe, place, trainer, evaluator, told, tell)
        folder = place.folder / "model"
        trainer.save_model(str(folder))
        figures, note = _export(recipe, trainer, evaluator, folder, tell)
        report = TrainingReport(
            recipe=recipe,
            rows={name: len(rows) for name, rows in data.items()},
            quality=quality,
            figures=figures,
            measured_pairs=len(_speed_pairs(trainer, evaluator)),
            machine=_machine(),
            steps=trainer.state.global_step,
            best_step=trainer.state.best_global_step or trainer.state.global_step,
            settings={"bf16": trainer.args.bf16, "padding": round(trainer.padding, 4)},
            seconds=seconds,
            note=note,
        )
        (folder / "README.md").write_text(model_card(report), encoding="utf-8")
        place.publish(folder)
        return report


def _check(recipe: Recipe, data: Mapping[str, Dataset], num_labels: int) -> None:
    """See that data and losses fit, while rows have the numbers that they have in their files."""
    whole = TrainingData(data)
    for name, loss in recipe.losses().items():
        negatives = recipe.training.in_batch_negatives
        whole.check(name, loss, num_labels=num_labels, in_batch_negatives=negatives)


def _train(
    recipe: Recipe,
    place: Workplace,
    trainer: CrossEncoderTrainer,
    evaluator: DataEvaluator,
    told: str,
    tell: Tell,
) -> tuple[Quality, float | None]:
    """Measure, train and measure again; time it, unless it was interrupted."""
    tell(f"Measuring before training: {len(evaluator.pairs()):,} pairs ...")
    before = evaluator.outcome(trainer.predict_pairs)
    tell(f"before training: {evaluator.primary} {before.values[evaluator.primary]:.4f}")
    resumed = place.step
    if resumed is not None:
        tell(f"Continuing from step {resumed}.")
    result = trainer.train(resume_from_checkpoint=True)
    after = evaluator.outcome(trainer.predict_pairs)
    seconds = float(result.metrics["train_runtime"]) if resumed is None else None
    return Quality(told, evaluator.unit, before, after, _first_stage(recipe, evaluator)), seconds


def _load(place: Workplace, name: str, entry: DataSection) -> Dataset:
    rows = load_data(entry.path, store=place.rows(name), columns=entry.columns, depth=entry.depth)
    if not entry.by_query:
        return rows
    return lists_by_query(Examples(rows, name), place.rows(f"{name}-by-query"))


def _load_model(recipe: Recipe) -> TrainableModel:
    chosen = recipe.model
    return TrainableModel.load(
        chosen.name,
        num_labels=chosen.num_labels,
        max_length=chosen.max_length,
        truncation=chosen.truncation,
        lora=LoRA(**chosen.lora.model_dump()) if chosen.lora else None,
        seed=recipe.training.seed,
        revision=chosen.revision,
    )


def _evaluation(
    recipe: Recipe, place: Workplace, data: dict[str, Dataset], num_labels: int
) -> tuple[dict[str, Dataset], DataEvaluator, str]:
    """Give what is left to train on, what to measure with, and words for the card."""
    chosen = recipe.evaluation
    if _is_task(chosen.path):
        assert chosen.path is not None
        task = EvaluationSet.read(chosen.path, depth=chosen.depth)
        evaluator: DataEvaluator = RankingEvaluator(task, chosen.measures)
        told = (
            f"On the {len(task.qrels)} judged queries of {chosen.path.name}, each with up to "
            f"{chosen.depth} documents of its first stage."
        )
        return data, evaluator, told + _trained_on(evaluator, data)
    if chosen.path is not None:
        rows = load_data(chosen.path, store=place.rows("evaluation"), columns=chosen.columns)
        examples = list(Examples(rows, "evaluation"))
        source = chosen.path.name
    else:
        data, examples = hold_out(
            data, share=chosen.held_out, most=chosen.max_queries, seed=recipe.training.seed
        )
        source = f"rows of {next(iter(data))!r} that were held out of training by their queries"
    evaluator = evaluator_of(
        examples, num_labels=num_labels, measures=chosen.measures, depth=chosen.depth
    )
    pairs = evaluator.pairs()
    queries = len({query for query, _ in pairs})
    told = f"On {queries} queries with {len(pairs)} documents: {source}."
    if isinstance(evaluator, RankingEvaluator) and len({x for e in examples for x in e.labels}) < 2:
        told += " Only relevant documents are known, so they were ranked among those of others."
    return data, evaluator, told + _trained_on(evaluator, data)


def _is_task(path: Path | None) -> bool:
    return path is not None and (path / "queries.jsonl").is_file()


def _trained_on(evaluator: DataEvaluator, data: Mapping[str, Dataset]) -> str:
    """Own up to queries that are in the training data too."""
    measured = {query for query, _ in evaluator.pairs()}
    for name, rows in data.items():
        measured_here = measured.intersection(rows[recognise(rows.features, name).query])
        if measured_here:
            return f" {len(measured_here)} of the queries are in the training data {name!r} too."
    return ""


def _arguments(recipe: Recipe, folder: Path) -> CrossEncoderTrainingArguments:
    chosen = recipe.training
    options: dict[str, Any] = chosen.model_dump(
        include={
            "gradient_accumulation_steps",
            "learning_rate",
            "weight_decay",
            "max_grad_norm",
            "layer_decay",
            "freeze_layers",
            "in_batch_negatives",
            "early_stopping_patience",
            "collapse_patience",
            "mini_batch_tokens",
            "part_tokens",
            "seed",
        }
    )
    installed: list[str] = get_available_reporting_integrations()  # type: ignore[no-untyped-call]
    for name in set(chosen.loggers) - set(installed):
        raise InputError(
            f"training.loggers: {name!r} is not installed, or unknown; installed are "
            f"{', '.join(installed) or 'none'}."
        )
    if chosen.gradient_checkpointing:
        options[_CHECKPOINTING] = True
    steps = chosen.eval_steps if chosen.eval_steps < 1 else int(chosen.eval_steps)
    options |= {
        "output_dir": str(folder),
        "num_train_epochs": chosen.epochs,
        "max_steps": chosen.max_steps or -1,
        "per_device_train_batch_size": chosen.batch_size,
        "warmup_steps": chosen.warmup,
        "lr_scheduler_type": chosen.scheduler,
        "eval_strategy": "steps",
        "eval_steps": steps,
        "save_strategy": "steps",
        "save_steps": steps,
        "save_total_limit": 2,
        "load_best_model_at_end": True,
        "logging_steps": 10,
        "disable_tqdm": True,
        "bf16": _bf16(chosen),
        "use_cpu": not torch.accelerator.is_available(),  # else transformers refuses bf16
        "dataloader_num_workers": chosen.workers,
        "report_to": list(chosen.loggers) or "none",
        "dataset_weights": recipe.weights(),
    }
    try:
        return CrossEncoderTrainingArguments(**options)
    except ValueError as error:
        raise InputError(f"training: {error}") from error


def _bf16(chosen: TrainingSection) -> bool:
    if chosen.bf16 != "auto":
        return chosen.bf16
    if torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported())
    return bool({"avx512_bf16", "amx_bf16"} & processor_flags())


def _first_stage(recipe: Recipe, evaluator: DataEvaluator) -> Outcome | None:
    """Measure the order in which a run has the candidates."""
    if not (_is_task(recipe.evaluation.path) and isinstance(evaluator, RankingEvaluator)):
        return None
    scores = [score for found in evaluator.task.candidates.values() for score in found.values()]
    return evaluator.judge(np.asarray(scores, dtype=np.float32)[:, None])


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
    for name in (FILES["int8"], REPORT):
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
