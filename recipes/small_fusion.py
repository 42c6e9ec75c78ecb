"""What the recipes of small fusion models share: lists to learn from, training, and measuring."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from datasets import Dataset, Features, List, Value
from numpy.typing import NDArray
from transformers import BertConfig

from crossrank import CrossEncoder
from crossrank.evaluation.measures import measure
from crossrank.models.source import DEFAULT, EMBEDDED
from crossrank.training.arguments import CrossEncoderTrainingArguments
from crossrank.training.model import TrainableModel
from crossrank.training.trainer import CrossEncoderTrainer

POSITIVES, NEGATIVES = 2, 6
"""Documents in a list of training."""

TOKENIZER = EMBEDDED[DEFAULT] / "tokenizer.json"
"""The embedded model's: it knows every English word."""

Classes = NDArray[np.integer[Any]]


def text_encoder() -> BertConfig:
    """One layer is enough for a few words."""
    return BertConfig(
        hidden_size=64,
        num_hidden_layers=1,
        num_attention_heads=4,
        intermediate_size=128,
        max_position_embeddings=32,
        initializer_range=0.1,
    )


def lists(
    queries: Mapping[int, Sequence[str]],
    files: Sequence[bytes] | Sequence[Path],
    classes: Classes,
    feature: Any,
    count: int,
) -> Dataset:
    """Make lists to learn from.

    Args:
        queries: What the documents of a class are asked for with.
        files: The documents.
        classes: Their classes, ``[documents]``.
        feature: ``datasets.Image()`` or ``datasets.Audio(decode=False)``.
        count: How many lists: a query with documents of its class and of others.
    """
    chance = np.random.default_rng(0)
    inside = {label: np.flatnonzero(classes == label) for label in queries}
    outside = {label: np.flatnonzero(classes != label) for label in queries}
    labels = [1.0] * POSITIVES + [0.0] * NEGATIVES
    rows = []
    for number in range(count):
        label = number % len(queries)
        chosen = [
            *chance.choice(inside[label], POSITIVES, replace=False),
            *chance.choice(outside[label], NEGATIVES, replace=False),
        ]
        documents = [_cell(files[place]) for place in chosen]
        query = str(chance.choice(queries[label]))
        rows.append({"query": query, "documents": documents, "labels": labels})
    features = {
        "query": Value("string"),
        "documents": List(feature),
        "labels": List(Value("float32")),
    }
    return Dataset.from_list(rows).cast(Features(features))


def _cell(file: bytes | Path) -> dict[str, Any]:
    """An undecoded document as the library ``datasets`` has it."""
    if isinstance(file, Path):
        return {"bytes": None, "path": str(file)}
    return {"bytes": file, "path": None}


def train(start: Path, rows: Dataset, folder: Path, *, rate: float, epochs: float) -> Path:
    """Train a model and give the folder it is saved in."""
    arguments = CrossEncoderTrainingArguments(
        output_dir=str(folder / "checkpoints"),
        num_train_epochs=epochs,
        per_device_train_batch_size=4,
        learning_rate=rate,
        save_strategy="no",
        logging_steps=500,
        disable_tqdm=True,
    )
    model = TrainableModel.load(start)
    trainer = CrossEncoderTrainer(model, arguments, rows, "binary_cross_entropy")
    trainer.train()
    trainer.save_model(str(folder / "model"))
    return folder / "model"


def average_precision(
    model: CrossEncoder,
    queries: Mapping[int, Sequence[str]],
    documents: Sequence[Any],
    classes: Classes,
    draws: int,
) -> dict[str, float]:
    """Rank 100 documents, as many of each class, for the first query of each class.

    Returns:
        The mean average precision over several draws of documents, by query.
    """
    chance = np.random.default_rng(1)
    found: dict[str, list[float]] = {}
    for _ in range(draws):
        chosen = np.concatenate(
            [
                chance.choice(np.flatnonzero(classes == label), 100 // len(queries), replace=False)
                for label in queries
            ]
        )
        chance.shuffle(chosen)
        for label, (query, *_) in queries.items():
            ranking = model.rank(query, [documents[place] for place in chosen])
            run = {query: {str(entry["corpus_id"]): entry["score"] for entry in ranking}}
            relevant = np.flatnonzero(classes[chosen] == label)
            qrels = {query: {str(place): 1 for place in relevant}}
            found.setdefault(query, []).append(measure(run, qrels, ["AP"])["AP"])
    return {query: float(np.mean(values)) for query, values in found.items()}
