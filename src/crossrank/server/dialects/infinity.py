"""infinity: ``POST /infinity/rerank``, and ``/rerank`` for clients that send ``raw_scores``."""

import time
import uuid
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, Field

from crossrank.server.dialects.base import Dialect, Schema, Scores, Task
from crossrank.server.dialects.shared import ErrorDetail, Usage, error_detail
from crossrank.server.problems import Kind, RequestError

NO_MODEL = "default/not-specified"
"""What its client sends when nobody named a model."""


class InfinityRerank(Schema):
    """A request of infinity."""

    query: str
    documents: list[str] = Field(min_length=1)
    model: str | None = None
    top_n: int | None = Field(default=None, ge=1)
    raw_scores: bool = False
    return_documents: bool = False


class InfinityRanked(BaseModel):
    """A document's place in a ranking."""

    index: int
    relevance_score: float
    document: str | None = None


class InfinityReply(BaseModel):
    """A ranking, best first."""

    object: Literal["rerank"] = "rerank"
    id: str
    created: int
    model: str
    results: list[InfinityRanked]
    usage: Usage


class Fault(BaseModel):
    """What is wrong with a request, as infinity's client expects it of a status 422."""

    loc: list[str]
    msg: str
    type: str


class InfinityProblem(BaseModel):
    """An error."""

    detail: list[Fault]
    error: ErrorDetail


class Infinity(Dialect[InfinityRerank]):
    """What infinity's clients speak."""

    name: ClassVar[str] = "infinity"
    paths: ClassVar[tuple[str, ...]] = ("/rerank", "/infinity/rerank")
    schema = InfinityRerank
    reply = InfinityReply
    problem = InfinityProblem
    example: ClassVar[dict[str, Any]] = {
        "model": "default",
        "query": "capital of France",
        "documents": ["Bread is baked.", "Paris is the capital of France."],
        "raw_scores": False,
        "return_documents": True,
    }
    status: ClassVar[dict[Kind, int]] = {"model_not_found": 400}

    def claims(self, body: dict[str, Any]) -> bool:
        """Logits of ``documents`` are infinity's; those of ``texts`` are TEI's."""
        return "raw_scores" in body and "texts" not in body

    def read(self, body: InfinityRerank) -> Task:
        """Understand a request."""
        return Task(
            [(body.query, document) for document in body.documents],
            model=body.model if body.model != NO_MODEL else None,
            top_n=body.top_n,
            raw=body.raw_scores,
        )

    def write(self, body: InfinityRerank, scores: Scores) -> InfinityReply:
        """Results by relevance; a document is a plain text."""
        return InfinityReply(
            id=f"infinity-{uuid.uuid4()}",
            created=int(time.time()),
            model=scores.model,
            results=[
                InfinityRanked(
                    index=index,
                    relevance_score=scores.values[index],
                    document=body.documents[index] if body.return_documents else None,
                )
                for index in scores.order
            ],
            usage=Usage.of(scores),
        )

    def write_error(self, error: RequestError) -> InfinityProblem:
        """``detail`` as a list, and ``error``."""
        return InfinityProblem(
            detail=[Fault(loc=["body"], msg=str(error), type=error.kind)],
            error=error_detail(error, self.status_of(error)),
        )
