"""Our own: ``POST /playground/rank``, for the page at ``/``.

It says what no other wire format does: how much of a document was not read, which parts of it made
its score, and how long all took.
"""

from typing import Any, ClassVar

from pydantic import BaseModel, Field

from crossrank.server.dialects.base import Dialect, Schema, Scores, Task
from crossrank.server.dialects.shared import EXAMPLE
from crossrank.server.problems import RequestError

MOST_EXPLAINED = 3
"""Documents that a request may have explained: each costs as much as ranking dozens."""


class PlaygroundRank(Schema):
    """A request of the page."""

    query: str
    documents: list[str] = Field(min_length=1)
    model: str | None = None
    explain: bool = Field(default=False, description="Find the spans that raise scores most.")


class RelevantSpan(BaseModel):
    """A part of a document that raises its score."""

    start: int = Field(description="Its first character, counted in Unicode code points.")
    end: int = Field(description="The character after its last.")
    attribution: float = Field(description="What the model's logit loses without it.")


class PlaygroundRanked(BaseModel):
    """A document's place in the ranking."""

    index: int = Field(description="Position in the request.")
    score: float
    truncated_tokens: int = Field(description="Tokens of query and document that were not read.")
    spans: list[RelevantSpan] | None = Field(default=None, description="Where asked for.")
    read: int | None = Field(
        default=None, description="Characters of the document that were read, where asked for."
    )


class PlaygroundReply(BaseModel):
    """A ranking, best first."""

    model: str
    results: list[PlaygroundRanked]
    tokens: int = Field(description="Tokens that were read.")
    seconds: float = Field(description="From the request to this reply, in the server.")


class PlaygroundProblem(BaseModel):
    """An error."""

    detail: str


class Playground(Dialect[PlaygroundRank]):
    """What the page speaks."""

    name: ClassVar[str] = "playground"
    paths: ClassVar[tuple[str, ...]] = ("/playground/rank",)
    schema = PlaygroundRank
    reply = PlaygroundReply
    problem = PlaygroundProblem
    example: ClassVar[dict[str, Any]] = {
        "model": EXAMPLE["model"],
        "query": EXAMPLE["query"],
        "documents": EXAMPLE["documents"],
    }

    def read(self, body: PlaygroundRank) -> Task:
        """Understand a request."""
        count = len(body.documents)
        if body.explain and count > MOST_EXPLAINED:
            raise RequestError(
                "invalid",
                f"At most {MOST_EXPLAINED} documents can be explained at a time, received {count}.",
            )
        return Task(
            [(body.query, document) for document in body.documents],
            model=body.model,
            explain=body.explain,
        )

    def write(self, body: PlaygroundRank, scores: Scores) -> PlaygroundReply:
        """Everything that is known."""
        return PlaygroundReply(
            model=scores.model,
            results=[_ranked(index, scores) for index in scores.order],
            tokens=scores.tokens,
            seconds=scores.seconds,
        )

    def write_error(self, error: RequestError) -> PlaygroundProblem:
        """What is wrong."""
        return PlaygroundProblem(detail=str(error))


def _ranked(index: int, scores: Scores) -> PlaygroundRanked:
    ranked = PlaygroundRanked(
        index=index, score=scores.values[index], truncated_tokens=scores.truncated[index]
    )
    if scores.explanations:
        explanation = scores.explanations[index]
        ranked.read = explanation.read
        ranked.spans = [
            RelevantSpan(start=span.start, end=span.end, attribution=span.attribution)
            for span in explanation.relevant_spans()
        ]
    return ranked
