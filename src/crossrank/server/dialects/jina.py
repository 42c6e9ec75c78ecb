"""Jina: ``POST /v1/rerank``."""

from typing import Any, ClassVar

from pydantic import Field

from crossrank.server.dialects.base import Dialect, Schema, Scores, Task
from crossrank.server.dialects.shared import (
    EXAMPLE,
    Document,
    RerankReply,
    SharedProblem,
    rerank_reply,
    shared_problem,
    text_of,
)
from crossrank.server.problems import RequestError


class JinaRerank(Schema):
    """A request of Jina, and of all who send no field of their own to this path."""

    query: str
    documents: list[Document] = Field(min_length=1)
    model: str | None = None
    top_n: int | None = Field(default=None, ge=1)
    return_documents: bool | None = Field(default=None, description="By default they are.")


class Jina(Dialect[JinaRerank]):
    """What Jina's clients speak; Cohere's first version and vLLM can be met here, too."""

    name: ClassVar[str] = "jina"
    paths: ClassVar[tuple[str, ...]] = ("/v1/rerank",)
    schema = JinaRerank
    reply = RerankReply
    problem = SharedProblem
    example: ClassVar[dict[str, Any]] = EXAMPLE

    def read(self, body: JinaRerank) -> Task:
        """Understand a request."""
        return Task(
            [(body.query, text_of(document)) for document in body.documents],
            model=body.model,
            top_n=body.top_n,
        )

    def write(self, body: JinaRerank, scores: Scores) -> RerankReply:
        """Results by relevance, with the documents unless they are not wanted."""
        return rerank_reply(
            scores, body.documents, return_documents=body.return_documents is not False
        )

    def write_error(self, error: RequestError) -> SharedProblem:
        """The fields of all."""
        return shared_problem(error, self.status_of(error))
