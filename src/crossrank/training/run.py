"""Running a recipe: data, model, trainer, and what training gained."""

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from transformers import PrinterCallback, TrainingArguments
from transformers.integrations.integration_utils import get_available_reporting_integrations

from crossrank.errors import InputError
from crossrank.evaluation.evaluation_set import EvaluationSet, find_file
from crossrank.evaluation.evaluators import DataEvaluator, Outcome, RankingEvaluator
from crossrank.models.files import processor_flags
from crossrank.training.arguments import CrossEncoderTrainingArguments
from crossrank.training.columns import Examples, recognise
from crossrank.training.data_files import lists_by_query, load_data
from crossrank.training.delivery import Tell, deliver
from crossrank.training.held_out import evaluator_of, hold_out
from crossrank.training.model import LoRA, TrainableModel
from crossrank.training.model_card import Quality, TrainingReport
from crossrank.training.progress import TrainingProgress
from crossrank.training.recipe import Recipe, TrainingSection
from crossrank.training.trainer import CrossEncoderTrainer
from crossrank.training.training_data import TrainingData
from crossrank.training.workplace import Workplace

_CHECKPOINTING = (  # renamed in transformers 5
    "activation_checkpointing"
    if hasattr(TrainingArguments, "activation_checkpointing")
    else "gradient_checkpointing"
)


def run_recipe(
    recipe: Recipe,
    *,
    overwrite: bool = False,
    restart: bool = False,
    tell: Tell = lambda _: None,
) -> TrainingReport | None:
    """Train as a recipe says, and write the model, its int8 file and its card.

    Unfinished runs are kept in a folder beside the output, and continued from their last whole
    checkpoint; the weights at the end are the same.

    Args:
        recipe: What to do.
        overwrite: Replace the model that the output holds.
        restart: Forget an unfinished run.
        tell: Called with a line about each step.

    Returns:
        What came of it; ``None`` in all but the first of several processes.

    Raises:
        InputError: The data cannot be used, or do not fit the recipe.
        TrainingError: Training had to stop; its checkpoints are kept.
    """
    arguments = _arguments(recipe, Workplace.of(recipe).checkpoints)
    process = arguments.process_index
    with ExitStack() as work:
        with arguments.main_process_first(local=False):
            if process:
                place, tell = Workplace.of(recipe, process), lambda _: None
            else:
                opened = Workplace.open(recipe, overwrite=overwrite, restart=restart)
                place = work.enter_context(opened)
        data = _load(recipe, place)
        model = _load_model(recipe)
        _check(recipe, data, model.spec.num_labels)
        data, evaluator, told = _evaluation(recipe, place, data, model.spec.num_labels)
        if recipe.output.max_ndcg_loss is not None and not isinstance(evaluator, RankingEvaluator):
            raise InputError("output.max_ndcg_loss needs an evaluation on rankings; this is none.")
        progress = TrainingProgress(evaluator.primary, tell)
        trainer = CrossEncoderTrainer(
            model, arguments, data, recipe.losses(), evaluator, callbacks=[progress]
        )
        trainer.remove_callback(PrinterCallback)
        quality, seconds = _train(recipe, place, trainer, evaluator, told, tell)
        return None if process else deliver(recipe, place, trainer, quality, seconds, tell)


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


def _load(recipe: Recipe, place: Workplace) -> dict[str, Dataset]:
    data = {}
    for number, (name, entry) in enumerate(recipe.data.items()):
        store = place.rows(f"data-{number}")  # names of datasets may be anything
        data[name] = load_data(entry.path, store=store, columns=entry.columns, depth=entry.depth)
        if entry.by_query:
            joined = place.rows(f"data-{number}-by-query")
            data[name] = lists_by_query(Examples(data[name], name), joined)
    return data


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
    return path is not None and find_file(path, ["queries.jsonl"]) is not None


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
