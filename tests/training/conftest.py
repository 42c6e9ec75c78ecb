"""A tiny model, and data from which it can learn."""

from pathlib import Path
from typing import Any

import pytest

GOOD = ["The stove burns gas.", "Wood burns in the stove.", "It burns charcoal or gas."]
BAD = ["Berlin is well known.", "The weather in Berlin.", "Museums and people."]
QUERIES = ["stove", "gas", "How many burn?", "Does it weigh less?"]


NO_DROPOUT = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}


@pytest.fixture(autouse=True)
def always_one_thread(one_thread: None) -> None:
    """Compute on one thread."""


def _make(folder: Path, **config: Any) -> Path:
    pytest.importorskip("torch", reason="training needs torch")
    pytest.importorskip("transformers", reason="training needs transformers")
    from tests.parity.tiny_models import make_classifier

    return make_classifier(folder, "bert", **config)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random BERT of two layers, one label, without dropout."""
    return _make(tmp_path_factory.mktemp("tiny") / "bert", **NO_DROPOUT)


@pytest.fixture(scope="session")
def tiny_with_dropout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, with the dropout that BERT usually has."""
    return _make(tmp_path_factory.mktemp("tiny-dropout") / "bert")


@pytest.fixture(scope="session")
def triples() -> Any:
    """Each query with a good and a bad document, in every combination."""
    datasets = pytest.importorskip("datasets", reason="training needs datasets")
    rows = [
        {"query": query, "positive": good, "negative": bad}
        for query in QUERIES
        for good in GOOD
        for bad in BAD
    ]
    return datasets.Dataset.from_list(rows)
