"""A small model: three layers that learn the token states of the default model's six.

    CROSSRANK_DATA=FOLDER python recipes/default_model/small.py --two-layers
    python benchmarks/students.py build/default_model/int8 build/default_model/small*-int8

With ``--two-layers`` it makes a model of two layers out of that one, too: ``small-two-int8``.
Run ``make default-model`` first: it leaves the teacher and its texts in ``build/default_model``.
"""

import argparse
import json
import random
from collections import Counter
from collections.abc import Iterable
from functools import partial
from pathlib import Path

import torch
from datasets import Dataset
from lists import sampled, trios
from make import BUILD, add_settings, embed, parsed, stage
from passages import Pair
from prose import LICENCES, lessons, prose

from crossrank.quantization import export
from crossrank.training.distill import train_student
from crossrank.training.model import TrainableModel
from crossrank.training.row_files import Rows, write_rows
from crossrank.training.student import keep_layers

PASSAGES = 45_000
"""Of ``pairs.jsonl``, to choose pairs from."""
CALIBRATED = 600  # pairs, for int8
LAYERS = (0, 4, 5)
"""What it begins as: without training, the best three (``benchmarks/distillation.py --choose``)."""
STAGES = (
    ("small-first", "manuals", 1_500),
    ("small-second", "texts", 2_500),
    ("small", "lessons", 1_000),
)
"""Models that come one out of the other: name, what it reads, steps."""
GPU = torch.cuda.is_available()
BATCH = 512 if GPU else 48
"""Pairs a step. An H100 reads 512 in a fifth of a second, two cores 48 in one and a half."""
TWO_LAYERS = (0, 2)
"""Of the small model."""
TWO_STEPS = 340


def main() -> None:
    """Write the texts, train, and export int8; what is there is used again."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--work", type=Path, default=BUILD, help="folder of pairs.jsonl, trained")
    options.add_argument("--passages", type=int, default=PASSAGES, help="to choose pairs from")
    options.add_argument("--steps", type=int, help="of every stage; for a try")
    options.add_argument("--two-layers", action="store_true", help="one of two layers, too")
    options.add_argument("--embed", action="store_true", help="put it where the library reads it")
    chosen = parsed(options)
    work, teacher = chosen.work, chosen.work / "trained"
    texts = {
        "manuals": lambda: manual_pairs(work, chosen.passages),
        "texts": lambda: all_pairs(work, chosen.data, chosen.passages),
        "lessons": lambda: counted(lessons(BUILD, random.Random(4)), work / "lessons.json"),
    }
    model = work / "small-start"
    stage(model, lambda path: cut(teacher, LAYERS, path))
    for name, read, steps in STAGES:
        file = work / f"{read}.arrow"
        stage(file, lambda path, pairs=texts[read]: write_texts(pairs(), path))
        learnt = partial(learn, model, teacher, file, steps=chosen.steps or steps)
        model = work / name
        stage(model, learnt)
    stage(work / "small-int8", lambda path: quantise(model, file, path))
    if chosen.two_layers:
        start, two = work / "small-two-start", work / "small-two"
        stage(start, lambda path: cut(model, TWO_LAYERS, path))
        stage(two, partial(learn, start, teacher, file, steps=chosen.steps or TWO_STEPS))
        stage(work / "small-two-int8", lambda path: quantise(two, file, path))
    if chosen.embed:
        embed(work / "small-int8", "small")


def manual_pairs(work: Path, passages: int) -> list[Pair]:
    """Pair the queries of ``pairs.jsonl`` with passages."""
    chance = random.Random(1)
    sources = sampled(work / "pairs.jsonl", passages, chance)
    return [pair for _, found in sources for pair in trios(found, chance)]


def all_pairs(work: Path, data: Path, passages: int) -> list[Pair]:
    """Add prose about the world to them."""
    told = counted(prose(data, BUILD, random.Random(2)), work / "prose.json")
    return [*manual_pairs(work, passages), *told]


def counted(pairs: Iterable[tuple[str, Pair]], table: Path) -> list[Pair]:
    """Take pairs without their sources, and write how many there are of each."""
    sources, found = zip(*pairs, strict=True)
    counts = {
        name: {"licence": LICENCES[name], "pairs": count}
        for name, count in Counter(sources).items()
    }
    table.write_text(json.dumps(counts, indent=2) + "\n")
    return list(found)


def write_texts(pairs: list[Pair], target: Path) -> None:
    """Write an Arrow file, a pair a row, in any order."""
    random.Random(3).shuffle(pairs)

    def rows() -> Rows:
        for number, (query, document) in enumerate(pairs, 1):
            yield f"pair {number}", {"query": query, "document": document, "label": 0.0}

    write_rows(rows(), target, "pairs")


def cut(whole: Path, layers: tuple[int, ...], folder: Path) -> None:
    """Take the other layers out."""
    model = TrainableModel.load(whole)
    keep_layers(model, layers)
    model.save(folder, "sigmoid")


def learn(
    start: Path, teacher: Path, texts: Path, folder: Path, steps: int, rate: float = 1e-3
) -> None:
    """Learn the teacher's states; an interrupted run goes on.

    Args:
        start: The model that learns.
        teacher: The trained model of six layers.
        texts: What ``write_texts`` wrote.
        folder: The folder to write.
        steps: How many.
        rate: The learning rate at its highest.
    """
    arguments = {
        "learning_rate": rate,
        "adam_beta2": 0.98,
        "per_device_train_batch_size": BATCH,
        "dataloader_num_workers": 4 if GPU else 0,
        "max_steps": steps,
        "save_steps": 100,
        "save_total_limit": 1,
        "bf16": True,
    }
    rows = Dataset.from_file(str(texts))
    checkpoints = folder.with_name(f"{folder.name}-run")
    train_student(start, rows, "states", checkpoints, folder, arguments, teacher=teacher)


def quantise(model: Path, texts: Path, folder: Path) -> None:
    """Export int8, calibrated on the first texts."""
    rows = Dataset.from_file(str(texts)).select(range(CALIBRATED))
    pairs = list(zip(rows["query"], rows["document"], strict=True))
    export(model, folder, "int8", pairs=pairs, rounds=1)
    add_settings(folder, "small")


if __name__ == "__main__":
    main()
