"""What tests ask servers, and how they compare the answers."""

from collections.abc import Sequence
from typing import Any

import httpx
import numpy as np

from crossrank import CrossEncoder

QUERY = "what is the capital of france"
DOCUMENTS = [
    "Bread is baked from flour, water and yeast.",
    "Paris is the capital and largest city of France.",
    "Berlin is the capital of Germany.",
    "",
    "The Seine flows through Paris, the capital of France.",
]
LONG = "Rivers flow to the sea. " * 200
ASK = {"query": QUERY, "documents": DOCUMENTS}
ASK_TEI = {"query": QUERY, "texts": DOCUMENTS}


def ask(base: str, path: str, body: dict[str, Any], status: int = 200) -> Any:
    response = httpx.post(base + path, json=body, timeout=60)
    assert response.status_code == status, response.text
    return response.json()


def same(found: list[tuple[int, float]], expected: list[tuple[int, float]]) -> bool:
    """The same order, and the same scores but for the last digits of the arithmetic."""
    return [i for i, _ in found] == [i for i, _ in expected] and np.allclose(
        [s for _, s in found], [s for _, s in expected], rtol=0, atol=1e-6
    )


def expected(
    model: CrossEncoder, query: str = QUERY, documents: Sequence[str] = DOCUMENTS
) -> list[tuple[int, float]]:
    """Index and score of the library's own ranking, best first."""
    return [(entry["corpus_id"], entry["score"]) for entry in model.rank(query, documents)]


def ranked(answer: Any) -> list[tuple[int, float]]:
    """Index and score in the order of any dialect's answer."""
    entries = answer if isinstance(answer, list) else answer.get("results") or answer["data"]
    return [(entry["index"], entry.get("relevance_score", entry.get("score"))) for entry in entries]
