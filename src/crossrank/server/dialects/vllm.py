"""vLLM: ``POST /rerank`` with ``documents``, also under ``/v1`` and ``/v2``, and ``/score``."""

import time
import uuid
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, Discriminator, Field, PositiveInt, RootModel, Tag, model_validator

from crossrank.server.dialects.base import Schema, Scores, Task
from crossrank.server.dialects.documents import Document, Message, read_document
from crossrank.server.dialects.shared import (
    EXAMPLE,
    RerankReply,
    SharedErrors,
    Usage,
    rerank_reply,
)
from crossrank.server.documents import WrittenPair
from crossrank.server.problems import Kind, RequestError
from crossrank.server.reading import Reading

UNSUPPORTED = ("instruction", "chat_template", "chat_template_kwargs", "mm_processor_kwargs")
"""Fields of vLLM that change scores, and that this server does not know."""

STATUSES: dict[Kind, int] = {"invalid": 400, "too_large": 400}


class VLLMOptions(Schema):
    """What all requests of vLLM may say."""

    model: str | None = None
    truncate_prompt_tokens: PositiveInt | Literal[-1] | None = Field(
        default=None, description="Longer pairs are refused where the model would read more."
    )
    truncation_side: Literal["left", "right"] | None = Field(
        default=None, description="With left, texts that do not fit are refused."
    )
    max_tokens_per_query: int = Field(default=0, ge=0, description="Cut queries here; 0: do not.")
    max_tokens_per_doc: int = Field(default=0, ge=0, description="Cut documents here; 0: do not.")
    use_activation: bool | None = Field(default=None, description="If false, scores are logits.")

    @model_validator(mode="before")
    @classmethod
    def _supported(cls, body: Any) -> Any:
        if isinstance(body, dict):
            for name in UNSUPPORTED:
                if body.get(name) is not None:
                    raise ValueError(f"the field {name!r} is not supported: leave it out")
        return body

    def reading(self) -> Reading:
        """Say what to do with long texts."""
        limit = self.truncate_prompt_tokens
        return Reading(
            query_tokens=self.max_tokens_per_query or None,
            document_tokens=self.max_tokens_per_doc or None,
            whole="only the end can be cut off (truncation_side 'right')"
            if self.truncation_side == "left"
            else "",
            most_tokens=limit if limit != -1 else None,
        )


class VLLMRerank(VLLMOptions):
    """A request to rank documents."""

    query: str
    documents: str | Message | Annotated[list[Document], Field(min_length=1)]
    top_n: int = Field(default=0, ge=0, description="0 for all.")
    return_documents: bool | None = Field(default=None, description="By default they are.")

    @property
    def listed(self) -> list[Document]:
        """The documents; a single one may stand without a list."""
        return self.documents if isinstance(self.documents, list) else [self.documents]


class VLLM(SharedErrors[VLLMRerank]):
    """What vLLM's server speaks when it ranks."""

    name: ClassVar[str] = "vllm"
    paths: ClassVar[tuple[str, ...]] = ("/rerank", "/v1/rerank", "/v2/rerank")
    schema = VLLMRerank
    reply = RerankReply
    example: ClassVar[dict[str, Any]] = EXAMPLE | {"top_n": 0}
    status: ClassVar[dict[Kind, int]] = STATUSES

    def claims(self, body: dict[str, Any]) -> bool:
        """Fields that only vLLM has, or its way to ask for all documents."""
        own = ("truncate_prompt_tokens", "truncation_side", "max_tokens_per_query")
        documents = body.get("documents")
        return any(name in body for name in (*own, "use_activation", *UNSUPPORTED)) or (
            body.get("top_n") == 0
            or isinstance(documents, str)
            or (isinstance(documents, dict) and "content" in documents)
        )

    def read(self, body: VLLMRerank) -> Task:
        """Understand a request."""
        return Task(
            [(body.query, read_document(document)) for document in body.listed],
            model=body.model,
            top_n=body.top_n or None,
            raw=body.use_activation is False,
            reading=body.reading(),
        )

    def write(self, body: VLLMRerank, scores: Scores) -> RerankReply:
        """Results by relevance, with the documents unless they are not wanted."""
        return rerank_reply(
            scores, body.listed, return_documents=body.return_documents is not False
        )


Texts = str | Annotated[list[str], Field(min_length=1)]
"""One text or several."""

Documents = str | Message | Annotated[list[str | Message], Field(min_length=1)]
"""One document or several."""


class ScoreTexts(VLLMOptions):
    """Texts to compare: one with each of the others, or each with its own."""

    text_1: Texts
    text_2: Documents

    def sides(self) -> tuple[Texts, Documents]:
        """Queries and documents."""
        return self.text_1, self.text_2


class ScoreDocuments(VLLMOptions):
    """The same under other names."""

    queries: Texts
    documents: Documents

    def sides(self) -> tuple[Texts, Documents]:
        """Queries and documents."""
        return self.queries, self.documents


class ScoreItems(VLLMOptions):
    """The same under other names."""

    queries: Texts
    items: Documents

    def sides(self) -> tuple[Texts, Documents]:
        """Queries and documents."""
        return self.queries, self.items


class ScoreData(VLLMOptions):
    """The same under other names."""

    data_1: Texts
    data_2: Documents

    def sides(self) -> tuple[Texts, Documents]:
        """Queries and documents."""
        return self.data_1, self.data_2


def _names(body: Any) -> str:
    """Say which names a request uses."""
    if not isinstance(body, dict) or "queries" not in body:
        return "data" if isinstance(body, dict) and "data_1" in body else "texts"
    return "items" if "items" in body else "documents"


class VLLMScore(
    RootModel[
        Annotated[
            Annotated[ScoreTexts, Tag("texts")]
            | Annotated[ScoreDocuments, Tag("documents")]
            | Annotated[ScoreItems, Tag("items")]
            | Annotated[ScoreData, Tag("data")],
            Discriminator(_names),
        ]
    ]
):
    """A request to score pairs."""

    def pairs(self) -> list[WrittenPair]:
        """Pair one query with every document, or each with its own.

        Raises:
            RequestError: There are several queries, and not as many documents.
        """
        queries, documents = self.root.sides()
        first = queries if isinstance(queries, list) else [queries]
        second = documents if isinstance(documents, list) else [documents]
        if len(first) == 1:
            first = first * len(second)
        if len(first) != len(second):
            raise RequestError(
                "invalid",
                f"One text or as many as on the other side are required, received {len(first)} "
                f"and {len(second)}.",
            )
        return list(zip(first, map(read_document, second), strict=True))


class Score(BaseModel):
    """The score of one pair."""

    index: int
    object: Literal["score"] = "score"
    score: float


class ScoreReply(BaseModel):
    """Scores in the order of the pairs."""

    id: str
    object: Literal["list"] = "list"
    created: int
    model: str
    data: list[Score]
    usage: Usage


class VLLMScoring(SharedErrors[VLLMScore]):
    """What vLLM's server speaks when it scores pairs."""

    name: ClassVar[str] = "vllm-score"
    paths: ClassVar[tuple[str, ...]] = ("/score", "/v1/score")
    schema = VLLMScore
    reply = ScoreReply
    example: ClassVar[dict[str, Any]] = {
        "model": "default",
        "text_1": "capital of France",
        "text_2": ["Bread is baked.", "Paris is the capital of France."],
    }
    status: ClassVar[dict[Kind, int]] = STATUSES

    def read(self, body: VLLMScore) -> Task:
        """Understand a request."""
        options = body.root
        return Task(
            body.pairs(),
            model=options.model,
            sort=False,
            raw=options.use_activation is False,
            reading=options.reading(),
        )

    def write(self, body: VLLMScore, scores: Scores) -> ScoreReply:
        """A score for each pair."""
        return ScoreReply(
            id=f"score-{uuid.uuid4()}",
            created=int(time.time()),
            model=scores.model,
            data=[Score(index=index, score=scores.values[index]) for index in scores.order],
            usage=Usage.of(scores),
        )
