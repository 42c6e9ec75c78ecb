"""A small model: three layers that learn the token states of the default model's six.

    python recipes/default_model/small.py --steps 1500
    crossrank compare FOLDER default build/default_model/small-int8

Run ``make default-model`` first: it leaves the teacher and the texts in ``build/default_model``.
"""

import argparse
import random
from pathlib import Path

from datasets import Dataset
from lists import hard_lists, sampled
from make import BUILD, stage

from crossrank.quantization import export
from crossrank.training.distill import train_student
from crossrank.training.model import TrainableModel
from crossrank.training.row_files import Rows, write_rows
from crossrank.training.student import keep_layers

PASSAGES = 45_000
CALIBRATED = 600  # pairs, for int8
LAYERS = (0, 4, 5)
"""What it begins as: without training, the best three (``benchmarks/distillation.py --choose``)."""


def main() -> None:
    """Write the texts, train, and export int8; what is there is used again."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--steps", type=int, default=-1, help="by default one epoch")
    options.add_argument("--work", type=Path, default=BUILD, help="folder of pairs.jsonl, trained")
    options.add_argument("--passages", type=int, default=PASSAGES, help="to choose pairs from")
    chosen = options.parse_args()
    work, teacher = chosen.work, chosen.work / "trained"
    texts, model = work / "texts.arrow", work / "small"
    stage(texts, lambda path: write_texts(work / "pairs.jsonl", path, chosen.passages))
    stage(model, lambda path: make_small(teacher, texts, path, chosen.steps))
    stage(work / "small-int8", lambda path: quantise(model, texts, path))


def quantise(model: Path, texts: Path, folder: Path) -> None:
    """Export int8, calibrated on the first texts."""
    rows = Dataset.from_file(str(texts)).select(range(CALIBRATED))
    pairs = list(zip(rows["query"], rows["document"], strict=True))
    export(model, folder, "int8", pairs=pairs, rounds=1)


def write_texts(pairs: Path, target: Path, passages: int) -> None:
    """Write each query with its passage, a hard one and a random one, a pair a row, mixed.

    Args:
        pairs: What ``corpus.collect`` wrote.
        target: An Arrow file.
        passages: How many passages there are to choose from.
    """
    chance = random.Random(1)
    chosen = [
        (query, document)
        for _, found in sampled(pairs, passages, chance)
        for query, documents in hard_lists(found, chance)
        for document in dict.fromkeys((documents[0], documents[1], documents[-1]))
    ]
    chance.shuffle(chosen)

    def rows() -> Rows:
        for number, (query, document) in enumerate(chosen, 1):
            yield f"pair {number}", {"query": query, "document": document, "label": 0.0}

    write_rows(rows(), target, "pairs")


def make_small(teacher: Path, texts: Path, folder: Path, steps: int = -1) -> None:
    """Train it; an interrupted run goes on.

    Args:
        teacher: The trained model of six layers.
        texts: What ``write_texts`` wrote.
        folder: The folder to write.
        steps: How many; one epoch by default.
    """
    start = folder.with_name("small-start")
    model = TrainableModel.load(teacher)
    keep_layers(model, LAYERS)
    model.save(start, "sigmoid")
    arguments = {
        "learning_rate": 1e-3,
        "adam_beta2": 0.98,
        "per_device_train_batch_size": 48,
        "num_train_epochs": 1,
        "max_steps": steps,
        "save_steps": 100,
        "save_total_limit": 1,
        "bf16": True,
    }
    rows = Dataset.from_file(str(texts))
    checkpoints = folder.with_name("small-run")
    train_student(start, rows, "states", checkpoints, folder, arguments, teacher=teacher)


if __name__ == "__main__":
    main()
