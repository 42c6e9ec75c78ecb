"""Distils the default model into two and three layers, and compares all of them.

    python benchmarks/distillation.py --teacher FOLDER --pairs PAIRS.jsonl

``--teacher`` is the default model in fp32 and ``--pairs`` the texts it learned from, as
``recipes/default_model`` leaves them: ``build/default_model/trained`` and
``build/default_model/pairs.jsonl``. Each query gets hard negatives and documents drawn at random;
the teacher's int8 file scores them all; each student begins as some of the teacher's layers and
learns the scores. All are compared in int8 (``students.py``). ``--choose`` tries every
choice of layers that keeps the last one, without training.
"""

import argparse
import itertools
import json
import random
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from data import data_folder
from settings import pin
from students import MEASURE, table

from crossrank.evaluation.evaluation_set import EvaluationSet
from crossrank.evaluation.evaluators import RankingEvaluator
from crossrank.quantization import export
from crossrank.training.columns import Examples
from crossrank.training.distill import open_teacher, train_student
from crossrank.training.mini_batches import Scorer, plan
from crossrank.training.model import TrainableModel
from crossrank.training.negatives import mine_negatives
from crossrank.training.row_files import write_rows
from crossrank.training.selection import Selection
from crossrank.training.soft_labels import soft_labels
from crossrank.training.student import keep_layers
from crossrank.types import Floats, Pair

STUDENTS = {2: (3, 5), 3: (0, 4, 5)}
"""Layers by number of layers, as ``--choose`` found them best."""


def main() -> None:
    """Run the stages; what is made stays in ``--work`` and is used again."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--teacher", type=Path, required=True, help="model folder in fp32")
    parser.add_argument("--pairs", type=Path, required=True, help="JSONL of query and positive")
    parser.add_argument("--work", type=Path, default=Path("build/distillation"))
    parser.add_argument("--queries", type=int, default=3000)
    parser.add_argument(
        "--steps", type=int, default=-1, help="steps a student; by default one epoch"
    )
    parser.add_argument("--loss", default="margin_mse")
    parser.add_argument("--learning-rate", type=float, default=3e-4)
    parser.add_argument("--bf16", action="store_true", help="train in bf16")
    parser.add_argument("--choose", action="store_true", help="try all choices of layers")
    chosen = parser.parse_args()
    pin()
    chosen.work.mkdir(parents=True, exist_ok=True)
    if chosen.choose:
        task = EvaluationSet.read(data_folder() / "trec-dl/dl21", depth=20)
        for count in STUDENTS:
            say(f"{count} layers, untrained, dl21@20", choose(chosen.teacher, count, task)[:6])
        return
    examples = lists(chosen.pairs, chosen.queries, chosen.work)
    pairs = calibration(examples)
    taught = teach(reduced(chosen.teacher, chosen.work / "int8-6", pairs), examples, chosen.work)
    models = {6: chosen.teacher}
    for count, layers in STUDENTS.items():
        models[count] = chosen.work / f"student-{count}"
        distil(chosen, layers, taught, models[count])
    folders = [
        reduced(folder, chosen.work / f"int8-{count}", pairs) for count, folder in models.items()
    ]
    say("results", table(folders))


def say(title: str, value: Any) -> None:
    """Print as JSON."""
    print(title, json.dumps(value, indent=1), flush=True)


def choose(teacher: Path, count: int, task: EvaluationSet) -> list[tuple[float, tuple[int, ...]]]:
    """Measure every choice of layers that keeps the last one, best first; no training."""
    evaluator = RankingEvaluator(task, [MEASURE])
    total = TrainableModel.load(teacher).spec.config["num_hidden_layers"]
    found = []
    for lower in itertools.combinations(range(total - 1), count - 1):
        model = TrainableModel.load(teacher)
        layers = keep_layers(model, (*lower, total - 1))
        outcome = evaluator.outcome(lambda pairs, model=model: predict(model, pairs))
        found.append((round(outcome.values[MEASURE], 4), layers))
    return sorted(found, reverse=True)


@torch.inference_mode()
def predict(model: TrainableModel, pairs: list[Pair]) -> Floats:
    """Compute logits ``[pairs, 1]`` with a model in memory."""
    scorer = Scorer(model.module.eval(), model.spec, torch.device("cpu"))
    encoded = model.tokenizer.encode(pairs)
    logits = np.empty((len(pairs), 1), dtype=np.float32)
    for rows in plan([len(pair.ids) for pair in encoded], 4096):
        logits[rows] = scorer([encoded[row] for row in rows]).numpy()
    return logits


def lists(file: Path, count: int, work: Path) -> Examples:
    """Give queries three hard negatives and two documents at random."""
    chance = random.Random(0)
    with file.open(encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    # Short definitions are most of the pairs, and teach little about documents.
    rows = [row for row in rows if len(row["positive"]) > 150]
    chance.shuffle(rows)
    documents = [row["positive"] for row in rows[: 10 * count]]
    pairs = [(row["query"], row["positive"]) for row in rows[:count]]
    rules = Selection(num_negatives=3, range_max=30, sampling="random")
    mined = mine_negatives(pairs, documents, folder=work / "index", selection=rules)
    made = (
        {
            "query": entry.query,
            "documents": [entry.positive, *entry.negatives, *chance.sample(documents, 2)],
            "labels": [1.0] + [0.0] * (len(entry.negatives) + 2),
        }
        for entry in mined
    )
    numbered = ((f"row {number}", row) for number, row in enumerate(made, 1))
    return Examples(write_rows(numbered, work / "lists.arrow", "lists"), "lists")


def teach(teacher: Path, examples: Examples, work: Path) -> Any:
    """Let the teacher score all documents; scores from an earlier call are used again."""
    model = open_teacher(teacher, "cross-encoder", work / "scores.sqlite")
    taught = soft_labels(examples, model, work / "taught.arrow")
    model.close()
    return taught


def distil(chosen: Any, layers: tuple[int, ...], taught: Any, out: Path) -> None:
    """Train a student, unless it is there."""
    if out.exists():
        return
    model = TrainableModel.load(chosen.teacher)
    keep_layers(model, layers)
    start = out.with_name(f"{out.name}-start")
    model.save(start, "sigmoid")
    arguments = {
        "learning_rate": chosen.learning_rate,
        "per_device_train_batch_size": 16,
        "num_train_epochs": 1,
        "max_steps": chosen.steps,
        "freeze_layers": 0,  # the embeddings, which are the teacher's
        "save_steps": 100,
        "save_total_limit": 1,
        "bf16": chosen.bf16,
    }
    train_student(start, taught, chosen.loss, out.with_name(f"{out.name}-run"), out, arguments)


def calibration(examples: Examples) -> list[Pair]:
    """Take a hit and a miss of 300 queries for int8."""
    last = (examples[row] for row in range(len(examples) - 300, len(examples)))
    return [(example.query, text) for example in last for text in example.documents[:2]]


def reduced(model: Path, out: Path, pairs: list[Pair]) -> Path:
    """Export in int8, unless that is there."""
    if not out.exists():
        export(model, out, "int8", pairs=pairs, rounds=1)
    return out


if __name__ == "__main__":
    sys.exit(main())
