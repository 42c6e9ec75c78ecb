"""Voyage: ``POST /v1/rerank``, and ``/voyage/v1/rerank`` for clients that send no ``top_k``."""

from typing import Any, ClassVar, Literal

from pydantic import BaseModel, Field

from crossrank.server.dialects.base import Schema, Scores, Task
from crossrank.server.dialects.shared import SharedErrors
from crossrank.server.problems import Kind
from crossrank.server.reading import AS_MUCH_AS_FITS, Reading


class VoyageRerank(Schema):
    """A request of Voyage."""

    query: str
    documents: list[str] = Field(min_length=1)
    model: str | None = None
    top_k: int | None = Field(default=None, ge=1)
    return_documents: bool = False
    truncation: bool = Field(default=True, description="If false, too long texts are refused.")


class VoyageRanked(BaseModel):
    """A document's place in a ranking."""

    index: int
    relevance_score: float
    document: str | None = None


class VoyageUsage(BaseModel):
    """Tokens that the model read."""

    total_tokens: int


class VoyageReply(BaseModel):
    """A ranking, best first."""

    object: Literal["list"] = "list"
    data: list[VoyageRanked]
    model: str
    usage: VoyageUsage


class Voyage(SharedErrors[VoyageRerank]):
    """What Voyage's clients speak; of an error they read ``detail``."""

    name: ClassVar[str] = "voyage"
    paths: ClassVar[tuple[str, ...]] = ("/v1/rerank", "/voyage/v1/rerank")
    schema = VoyageRerank
    reply = VoyageReply
    example: ClassVar[dict[str, Any]] = {
        "model": "default",
        "query": "capital of France",
        "documents": ["Bread is baked.", "Paris is the capital of France."],
        "top_k": 1,
        "truncation": True,
    }
    status: ClassVar[dict[Kind, int]] = {"invalid": 400, "too_large": 400, "model_not_found": 400}

    def claims(self, body: dict[str, Any]) -> bool:
        """Fields that only Voyage has."""
        return "top_k" in body or "truncation" in body

    def read(self, body: VoyageRerank) -> Task:
        """Understand a request."""
        return Task(
            [(body.query, document) for document in body.documents],
            model=body.model,
            top_n=body.top_k,
            reading=AS_MUCH_AS_FITS if body.truncation else Reading(whole="truncation is false"),
        )

    def write(self, body: VoyageRerank, scores: Scores) -> VoyageReply:
        """Results by relevance, with the documents for those who ask."""
        return VoyageReply(
            data=[
                VoyageRanked(
                    index=index,
                    relevance_score=scores.values[index],
                    document=body.documents[index] if body.return_documents else None,
                )
                for index in scores.order
            ],
            model=scores.model,
            usage=VoyageUsage(total_tokens=scores.tokens),
        )
