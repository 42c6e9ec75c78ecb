"""Jina: ``POST /v1/rerank``."""

from typing import Any, ClassVar

from pydantic import Field

from crossrank.server.dialects.base import Schema, Scores, Task
from crossrank.server.dialects.documents import Document, read_document
from crossrank.server.dialects.shared import EXAMPLE, RerankReply, SharedErrors, rerank_reply


class JinaRerank(Schema):
    """A request of Jina, and of all who send no field of their own to this path."""

    query: str
    documents: list[Document] = Field(min_length=1)
    model: str | None = None
    top_n: int | None = Field(default=None, ge=1)
    return_documents: bool | None = Field(default=None, description="By default they are.")


class Jina(SharedErrors[JinaRerank]):
    """What Jina's clients speak; Cohere's first version and vLLM can be met here, too."""

    name: ClassVar[str] = "jina"
    paths: ClassVar[tuple[str, ...]] = ("/v1/rerank",)
    schema = JinaRerank
    reply = RerankReply
    example: ClassVar[dict[str, Any]] = EXAMPLE

    def read(self, body: JinaRerank) -> Task:
        """Understand a request."""
        return Task(
            [(body.query, read_document(document)) for document in body.documents],
            model=body.model,
            top_n=body.top_n,
        )

    def write(self, body: JinaRerank, scores: Scores) -> RerankReply:
        """Results by relevance, with the documents unless they are not wanted."""
        return rerank_reply(
            scores, body.documents, return_documents=body.return_documents is not False
        )
