"""Cohere: ``POST /v2/rerank``."""

import uuid
from typing import Any, ClassVar

from pydantic import Field

from crossrank.server.dialects.base import Dialect, Schema, Scores, Task
from crossrank.server.problems import RequestError


class CohereRerank(Schema):
    """A request of Cohere's second version."""

    query: str
    documents: list[str] = Field(min_length=1)
    model: str | None = None
    top_n: int | None = Field(default=None, ge=1)
    max_tokens_per_doc: int | None = Field(default=None, ge=1)
    priority: int | None = None


class Cohere(Dialect[CohereRerank]):
    """What Cohere's clients speak."""

    name: ClassVar[str] = "cohere"
    paths: ClassVar[tuple[str, ...]] = ("/v2/rerank",)
    schema = CohereRerank
    example: ClassVar[dict[str, Any]] = {
        "model": "default",
        "query": "capital of France",
        "documents": ["Bread is baked.", "Paris is the capital of France."],
        "top_n": 1,
    }

    def read(self, body: CohereRerank) -> Task:
        """Understand a request."""
        pairs = [(body.query, document) for document in body.documents]
        return Task(pairs, model=body.model, top_n=body.top_n)

    def write(self, body: CohereRerank, scores: Scores) -> Any:
        """Results by relevance, and what was billed: one search."""
        return {
            "id": str(uuid.uuid4()),
            "results": [
                {"index": index, "relevance_score": scores.values[index]} for index in scores.order
            ],
            "meta": {"api_version": {"version": "2"}, "billed_units": {"search_units": 1}},
        }

    def write_error(self, error: RequestError) -> Any:
        """A message."""
        return {"message": str(error)}
