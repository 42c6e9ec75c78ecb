"""Texts that every framework reranks, and the order that the model itself gives them."""

import os

import pytest

from crossrank import CrossEncoder

os.environ.setdefault("HAYSTACK_TELEMETRY_ENABLED", "False")  # nothing leaves the machine in tests

QUERY = "What is the capital of France?"
TEXTS = [
    "Bread is baked in an oven.",
    "Lyon is a city in France.",
    "Paris is the capital of France.",
    "A capital letter begins a sentence.",
]


@pytest.fixture(scope="session")
def model() -> CrossEncoder:
    return CrossEncoder()


@pytest.fixture(scope="session")
def ranking(model: CrossEncoder) -> list[tuple[int, float]]:
    """Index and score, best first."""
    return [(entry["corpus_id"], entry["score"]) for entry in model.rank(QUERY, TEXTS)]
