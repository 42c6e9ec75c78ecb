"""text-embeddings-inference: ``POST /rerank`` with ``texts``."""

from typing import Any, ClassVar, Literal

from pydantic import Field

from crossrank.server.dialects.base import Dialect, Schema, Scores, Task
from crossrank.server.problems import Kind, RequestError

ERROR_TYPES: dict[Kind, str] = {
    "malformed": "Validation",
    "invalid": "Tokenizer",
    "too_large": "Validation",
    "overloaded": "Overloaded",
    "stopping": "Unhealthy",
    "failed": "Backend",
}


class TEIRerank(Schema):
    """A request of text-embeddings-inference."""

    query: str
    texts: list[str] = Field(min_length=1)
    raw_scores: bool = False
    return_text: bool = False
    truncate: bool | None = None
    truncation_direction: Literal["left", "right", "Left", "Right"] | None = None


class TEI(Dialect[TEIRerank]):
    """What ``text-embeddings-inference`` speaks."""

    name: ClassVar[str] = "tei"
    paths: ClassVar[tuple[str, ...]] = ("/rerank",)
    schema = TEIRerank
    example: ClassVar[dict[str, Any]] = {
        "query": "capital of France",
        "texts": ["Bread is baked.", "Paris is the capital of France."],
    }
    status: ClassVar[dict[Kind, int]] = {"failed": 424}

    def claims(self, body: dict[str, Any]) -> bool:
        """``texts`` are TEI's."""
        return "texts" in body

    def read(self, body: TEIRerank) -> Task:
        """Understand a request."""
        return Task(
            [(body.query, text) for text in body.texts],
            return_documents=body.return_text,
            raw=body.raw_scores,
        )

    def write(self, body: TEIRerank, scores: Scores) -> Any:
        """A plain list, best first."""
        return [
            {"index": index, "score": scores.values[index]}
            | ({"text": scores.documents[index]} if body.return_text else {})
            for index in scores.order
        ]

    def write_error(self, error: RequestError) -> Any:
        """``error`` and its type."""
        return {"error": str(error), "error_type": ERROR_TYPES.get(error.kind, "Validation")}
