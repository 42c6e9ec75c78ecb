"""What Cohere, Jina and vLLM have in common: they meet on the same paths.

Their requests cannot always be told apart, so their responses and errors carry the fields of all.
"""

import uuid
from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, Field

from crossrank.server.dialects.base import Body, Dialect, Scores
from crossrank.server.dialects.documents import Document, as_object
from crossrank.server.problems import STATUS, RequestError

SEARCH_UNIT = 100
"""Documents that Cohere bills as one search."""

EXAMPLE: dict[str, Any] = {
    "model": "default",
    "query": "capital of France",
    "documents": ["Bread is baked.", "Paris is the capital of France."],
    "top_n": 1,
}


class Usage(BaseModel):
    """Tokens that the model read."""

    prompt_tokens: int
    total_tokens: int

    @classmethod
    def of(cls, scores: Scores) -> "Usage":
        """Count what a request used."""
        return cls(prompt_tokens=scores.tokens, total_tokens=scores.tokens)


class ApiVersion(BaseModel):
    """The version of Cohere's API that is spoken."""

    version: str


class BilledUnits(BaseModel):
    """What Cohere would bill; nothing is billed here."""

    search_units: int


class Tokens(BaseModel):
    """Tokens as Cohere counts them."""

    input_tokens: int
    output_tokens: int = 0


class Meta(BaseModel):
    """What Cohere says of a request."""

    api_version: ApiVersion
    billed_units: BilledUnits
    tokens: Tokens
    warnings: list[str] | None = None


class Ranked(BaseModel):
    """A document's place in a ranking."""

    index: int = Field(description="Position in the request.")
    relevance_score: float
    document: dict[str, Any] | None = None


class RerankReply(BaseModel):
    """A ranking, best first, with the fields of Cohere, Jina and vLLM."""

    id: str
    model: str
    results: list[Ranked]
    usage: Usage
    meta: Meta


class ErrorDetail(BaseModel):
    """An error as vLLM and infinity write it."""

    message: str
    type: str
    param: str | None = None
    code: int


class SharedProblem(BaseModel):
    """An error: ``message`` for Cohere's clients, ``detail`` for Jina's, ``error`` for vLLM's."""

    message: str
    detail: str
    error: ErrorDetail


class SharedErrors(Dialect[Body]):
    """A dialect whose errors have the fields of all, as a path may be another's, too."""

    problem = SharedProblem

    def write_error(self, error: RequestError) -> SharedProblem:
        """The fields of all."""
        detail = error_detail(error, self.status_of(error))
        return SharedProblem(message=str(error), detail=str(error), error=detail)


def rerank_reply(
    scores: Scores,
    documents: Sequence[Document | dict[str, str]],
    *,
    return_documents: bool,
    version: str = "1",
) -> RerankReply:
    """Write a ranking with the fields of all."""
    return RerankReply(
        id=str(uuid.uuid4()),
        model=scores.model,
        results=[
            Ranked(
                index=index,
                relevance_score=scores.values[index],
                document=as_object(documents[index]) if return_documents else None,
            )
            for index in scores.order
        ],
        usage=Usage.of(scores),
        meta=Meta(
            api_version=ApiVersion(version=version),
            billed_units=BilledUnits(search_units=-(-len(documents) // SEARCH_UNIT)),
            tokens=Tokens(input_tokens=scores.tokens),
            warnings=_warnings(scores),
        ),
    )


def error_detail(error: RequestError, status: int) -> ErrorDetail:
    """Write an error as vLLM does; its type is named after the status, as in OpenAI's errors."""
    return ErrorDetail(message=str(error), type=_TYPES.get(status, "BadRequestError"), code=status)


_TYPES = {
    STATUS["unauthorized"]: "AuthenticationError",
    STATUS["model_not_found"]: "NotFoundError",
    STATUS["overloaded"]: "RateLimitError",
    STATUS["failed"]: "InternalServerError",
    STATUS["stopping"]: "ServiceUnavailableError",
    STATUS["timeout"]: "APITimeoutError",
}


def _warnings(scores: Scores) -> list[str] | None:
    cut = sum(map(bool, scores.truncated))
    if not cut:
        return None
    return [f"{cut} of {len(scores.truncated)} documents were not read to their end: too long."]
