"""Cohere: ``POST /v2/rerank`` and ``POST /v1/rerank``."""

from typing import Any, ClassVar, Literal

from pydantic import Field

from crossrank.server.dialects.base import Schema, Scores, Task
from crossrank.server.dialects.shared import (
    EXAMPLE,
    RerankReply,
    SharedErrors,
    rerank_reply,
)
from crossrank.server.problems import RequestError
from crossrank.server.reading import Reading

MOST_CHUNKS = 10_000
"""Documents times chunks of each, at most: Cohere's own limit."""


class RelevantSpans(Schema):
    """Whether to return the spans that made a document relevant; only ``disabled`` is supported."""

    mode: Literal["disabled"]


class CohereRerank(Schema):
    """A request of Cohere's second version."""

    query: str
    documents: list[str] = Field(min_length=1)
    model: str | None = None
    top_n: int | None = Field(default=None, ge=1)
    max_tokens_per_doc: int | None = Field(default=None, ge=1, description="Cut documents here.")
    return_documents: bool | None = None
    relevant_spans: RelevantSpans | None = None
    priority: int | None = Field(default=None, description="Ignored: all requests are served fair.")


class CohereRerankV1(Schema):
    """A request of Cohere's first version."""

    query: str
    documents: list[str | dict[str, str]] = Field(min_length=1)
    model: str | None = None
    top_n: int | None = Field(default=None, ge=1)
    rank_fields: list[str] | None = Field(
        default=None,
        min_length=1,
        description="Which fields of documents that are objects to read, in this order.",
    )
    return_documents: bool | None = None
    max_chunks_per_doc: int | None = Field(
        default=None, ge=1, description="Read long documents in chunks; the best one counts."
    )


class Cohere(SharedErrors[CohereRerank]):
    """What Cohere's clients speak, second version."""

    name: ClassVar[str] = "cohere"
    paths: ClassVar[tuple[str, ...]] = ("/v2/rerank",)
    schema = CohereRerank
    reply = RerankReply
    example: ClassVar[dict[str, Any]] = EXAMPLE

    def read(self, body: CohereRerank) -> Task:
        """Understand a request."""
        return Task(
            [(body.query, document) for document in body.documents],
            model=body.model,
            top_n=body.top_n,
            reading=Reading(document_tokens=body.max_tokens_per_doc),
        )

    def write(self, body: CohereRerank, scores: Scores) -> RerankReply:
        """Results by relevance; documents only for those who ask, as Cohere's version has none."""
        return rerank_reply(
            scores, body.documents, return_documents=bool(body.return_documents), version="2"
        )


class CohereV1(SharedErrors[CohereRerankV1]):
    """What Cohere's clients speak, first version, where nobody else could be meant.

    Its other requests are the same as Jina's, and answered alike.
    """

    name: ClassVar[str] = "cohere-v1"
    paths: ClassVar[tuple[str, ...]] = ("/v1/rerank",)
    schema = CohereRerankV1
    reply = RerankReply
    example: ClassVar[dict[str, Any]] = {
        "query": "capital of France",
        "documents": [
            {"title": "Baking", "text": "Bread."},
            {"title": "Paris", "text": "Capital."},
        ],
        "rank_fields": ["title", "text"],
        "return_documents": True,
    }

    def claims(self, body: dict[str, Any]) -> bool:
        """Fields that only this version has."""
        return "rank_fields" in body or "max_chunks_per_doc" in body

    def read(self, body: CohereRerankV1) -> Task:
        """Understand a request."""
        fields = body.rank_fields or ["text"]
        chunks = body.max_chunks_per_doc or 1
        if chunks * len(body.documents) > MOST_CHUNKS:
            raise RequestError(
                "invalid",
                f"Documents times max_chunks_per_doc may be at most {MOST_CHUNKS}, received "
                f"{len(body.documents)} times {chunks}.",
            )
        return Task(
            [
                (body.query, _chosen(document, fields, index))
                for index, document in enumerate(body.documents)
            ],
            model=body.model,
            top_n=body.top_n,
            reading=Reading(chunks=chunks),
        )

    def write(self, body: CohereRerankV1, scores: Scores) -> RerankReply:
        """Results by relevance, with the documents for those who ask."""
        return rerank_reply(scores, body.documents, return_documents=bool(body.return_documents))


def _chosen(document: str | dict[str, str], fields: list[str], index: int) -> str:
    """Give the text of a document: its chosen fields, one a line."""
    if isinstance(document, str):
        return document
    found = [document[name] for name in fields if name in document]
    if not found:
        raise RequestError(
            "invalid",
            f"The document at index {index} must have one of the fields "
            f"{', '.join(map(repr, fields))}: it has none of them.",
        )
    return "\n".join(found)
