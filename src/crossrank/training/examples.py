"""One query with its documents: what every training dataset is read as."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Example:
    """A query, its documents and what is known about them.

    Attributes:
        query: The query.
        documents: At least one: strings, or images or recordings (``crossrank.multimodal``).
        labels: A label a document: a grade, 0 or 1, a class, or a similarity.
        teacher_scores: A teacher's logit a document, where the data has them.
        dataset: Which dataset it comes from, where several are trained on at once.
    """

    query: str
    documents: tuple[Any, ...]
    labels: tuple[float, ...]
    teacher_scores: tuple[float, ...] | None = None
    dataset: int = 0
