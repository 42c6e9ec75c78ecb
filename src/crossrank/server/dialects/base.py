"""What every wire format is translated from and to."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, TypeVar

from pydantic import BaseModel, ConfigDict

from crossrank.explanation.explanation import Explanation
from crossrank.server.documents import WrittenPair
from crossrank.server.problems import STATUS, Kind, RequestError
from crossrank.server.reading import AS_MUCH_AS_FITS, Reading

Body = TypeVar("Body", bound=BaseModel)


class Schema(BaseModel):
    """A request as it comes over the wire; fields that are not known are ignored.

    Nothing is converted: a number is no text.
    """

    model_config = ConfigDict(extra="ignore", strict=True)


@dataclass(frozen=True)
class Task:
    """What a request asks for.

    Attributes:
        pairs: What to score.
        model: Which model, by the client's name for it; ``None`` leaves it to the server.
        sort: Best first, or in the order of the pairs.
        top_n: How many to return; ``None`` for all.
        raw: Whether scores are logits.
        several_labels: Whether a model of several labels will do.
        explain: Whether to say which parts of each document make its score.
        reading: What to do with long texts.
    """

    pairs: Sequence[WrittenPair]
    model: str | None = None
    sort: bool = True
    top_n: int | None = None
    raw: bool = False
    several_labels: bool = False
    explain: bool = False
    reading: Reading = AS_MUCH_AS_FITS


@dataclass(frozen=True)
class Scores:
    """What was found.

    Attributes:
        model: The client's name of the model, or the server's where it gave none.
        order: Indices of the pairs to return.
        values: The score of every pair; ``[labels]`` each for a model of several.
        tokens: How many were read.
        truncated: How many were not, for every pair.
        labels: What the model calls its labels.
        seconds: How long it took to find.
        explanations: Of every pair, where asked for.
    """

    model: str
    order: list[int]
    values: list[Any]
    tokens: int
    truncated: list[int]
    labels: list[str]
    seconds: float
    explanations: list[Explanation]


class Dialect(ABC, Generic[Body]):
    """One wire format: its paths, its request, its response, its errors.

    Attributes:
        name: For logs and metrics.
        paths: Where requests go.
        schema: What a request looks like.
        reply: What a response looks like.
        problem: What an error looks like.
        example: A request, for the documentation.
        status: Where statuses differ from ``crossrank.server.problems.STATUS``.
    """

    name: ClassVar[str]
    paths: ClassVar[tuple[str, ...]]
    schema: type[Body]
    reply: ClassVar[type[BaseModel]]
    problem: ClassVar[type[BaseModel]]
    example: ClassVar[dict[str, Any]]
    status: ClassVar[dict[Kind, int]] = {}

    def claims(self, body: dict[str, Any]) -> bool:
        """Say whether a request on a path that several dialects share is in this one."""
        return True

    @abstractmethod
    def read(self, body: Body) -> Task:
        """Understand a request.

        Raises:
            RequestError: It cannot be answered.
        """

    @abstractmethod
    def write(self, body: Body, scores: Scores) -> BaseModel:
        """Write the response, a ``reply``; what is ``None`` in it is left out."""

    @abstractmethod
    def write_error(self, error: RequestError) -> BaseModel:
        """Write an error, a ``problem``."""

    def status_of(self, error: RequestError) -> int:
        """Give the HTTP status of an error."""
        return self.status.get(error.kind, STATUS[error.kind])
