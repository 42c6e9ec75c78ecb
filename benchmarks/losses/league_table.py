"""Trains one small model with every loss, on the same data and budget, and ranks the losses.

The model is that of ``student.py``; the data are questions with sentences (``league_data.py``);
the teacher of the distillation losses is crossrank's embedded model. Every run has one thread, and
two runs go on side by side; ``--resume`` takes up where a stopped command was.

    python benchmarks/losses/league_table.py
"""

import argparse
import functools
import json
import shutil
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from league_data import Question, test_set, training_lists
from report import Row, Values, per_query, publish
from student import make_student
from variants import CONTRASTIVE, DISTILLATION, LISTWISE, PAIRWISE, POINTWISE, Variant

from crossrank import CrossEncoder
from crossrank.evaluation.evaluation_set import EvaluationSet
from crossrank.losses import make_loss
from crossrank.training.arguments import CrossEncoderTrainingArguments
from crossrank.training.model import TrainableModel
from crossrank.training.trainer import CrossEncoderTrainer
from crossrank.types import Pair

BUILD = Path(__file__).resolve().parents[2] / "build" / "losses"
STUDENT, DATA, FINISHED = BUILD / "student", BUILD / "data", BUILD / "finished.jsonl"
VARIANTS = [*POINTWISE, *PAIRWISE, *LISTWISE, *CONTRASTIVE, *DISTILLATION]
UNTRAINED, TEACHER, REFERENCE = "before training", "the teacher", "binary_cross_entropy"

SEEDS, WORKERS = [0, 1, 2], 2
LAYERS, JOIN_LAYER, MAX_LENGTH = 2, 1, 128
LISTS, BATCH, EPOCHS, LEARNING_RATE = 160, 8, 1, 4e-4
FROZEN_LAYERS = 0  # the embeddings alone

Task = tuple[Variant, int]
"""A loss and a seed."""


def main() -> None:
    """Train with every loss, and report."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--resume", action="store_true", help="keep the runs that are finished")
    if not options.parse_args().resume:
        shutil.rmtree(BUILD, ignore_errors=True)
    test = test_set()
    if not FINISHED.exists():
        prepare()
    teacher, student = CrossEncoder(), CrossEncoder(STUDENT, backend="torch")
    rows = [
        Row(TEACHER, [measured(logits_of(teacher, test.pairs()), test)], 0),
        Row(UNTRAINED, [measured(logits_of(student, test.pairs()), test)], 0),
    ]
    found = dict(runs([(variant, seed) for variant in VARIANTS for seed in SEEDS]))
    for variant in VARIANTS:
        seeds = [found[str(variant), seed] for seed in SEEDS]
        seconds = sum(run["seconds"] for run in seeds)
        rows.append(Row(str(variant), [run["values"] for run in seeds], seconds))
    setting = {
        "layers": LAYERS,
        "join_layer": JOIN_LAYER,
        "lists": LISTS,
        "batch": BATCH,
        "epochs": EPOCHS,
        "learning_rate": LEARNING_RATE,
        "seeds": SEEDS,
        "test_queries": len(test.queries),
        "test_pairs": len(test.documents),
    }
    publish("league_table", setting, rows, REFERENCE)


def prepare() -> None:
    """Write the training data and the model that all start from."""
    lists = training_lists(LISTS)
    pairs = [(question.text, text) for question in lists for text in question.documents]
    make_student(STUDENT, LAYERS, JOIN_LAYER, pairs, [y for q in lists for y in q.labels])
    dataset(lists, logits_of(CrossEncoder(), pairs)).save_to_disk(DATA)
    FINISHED.touch()


def dataset(lists: Sequence[Question], teacher_scores: Sequence[float]) -> Dataset:
    """Lay the lists out as rows for the trainer."""
    remaining = iter(teacher_scores)
    return Dataset.from_dict(
        {
            "query": [question.text for question in lists],
            "documents": [question.documents for question in lists],
            "labels": [list(map(float, question.labels)) for question in lists],
            "teacher_scores": [[next(remaining) for _ in question.labels] for question in lists],
        }
    )


def runs(tasks: Sequence[Task]) -> Iterator[tuple[tuple[str, int], dict[str, Any]]]:
    """Yield each task's result, those of an earlier command first."""
    with FINISHED.open(encoding="utf-8") as lines:
        finished = {(run["loss"], run["seed"]): run for run in map(json.loads, lines)}
    yield from finished.items()
    left = [task for task in tasks if (str(task[0]), task[1]) not in finished]
    setup = functools.partial(torch.set_num_threads, 1)
    with (
        ProcessPoolExecutor(WORKERS, get_context("spawn"), initializer=setup) as pool,
        FINISHED.open("a", encoding="utf-8") as file,
    ):
        for run in pool.map(finish, left):
            print(json.dumps(run), file=file, flush=True)
            mean = sum(run["values"].values()) / len(run["values"])
            print(f"{run['loss']}, seed {run['seed']}: {mean:.4f}, {run['seconds']:.0f} s")
            yield (run["loss"], run["seed"]), run


def finish(task: Task) -> dict[str, Any]:
    """Train once and measure; the seed decides the order of the lists and the dropout."""
    variant, seed = task
    start = time.process_time()
    args = CrossEncoderTrainingArguments(
        output_dir=str(BUILD / "run"),
        num_train_epochs=EPOCHS,
        per_device_train_batch_size=BATCH,
        learning_rate=LEARNING_RATE,
        freeze_layers=FROZEN_LAYERS,
        seed=seed,
        bf16=True,
        use_cpu=True,
        save_strategy="no",
        logging_strategy="no",
        disable_tqdm=True,
    )
    model = TrainableModel.load(STUDENT, max_length=MAX_LENGTH, seed=seed)
    loss = make_loss(variant.loss, **variant.options)
    trainer = CrossEncoderTrainer(model, args, Dataset.load_from_disk(DATA), loss)
    trainer.train()
    test = test_set()
    values = measured(trainer.predict_pairs(test.pairs())[:, 0].tolist(), test)
    seconds = time.process_time() - start
    return {"loss": str(variant), "seed": seed, "seconds": seconds, "values": values}


def logits_of(model: CrossEncoder, pairs: Sequence[Pair]) -> list[float]:
    """Score pairs as they are ranked."""
    return model.predict(pairs, activation_fn="identity").tolist()


def measured(logits: list[float], test: EvaluationSet) -> Values:
    """Measure a ranking of the test queries."""
    return per_query(test.run(logits), test.qrels)


if __name__ == "__main__":
    main()
