"""What can be wrong with a request: one kind of problem, one status.

Each dialect writes problems in its own shape; what they mean is the same everywhere.
"""

from typing import Literal, get_args

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from crossrank.errors import CrossRankError

Kind = Literal[
    "malformed",
    "empty",
    "invalid",
    "unauthorized",
    "model_not_found",
    "not_found",
    "method_not_allowed",
    "misdirected",
    "slow",
    "too_large",
    "unsupported_media",
    "overloaded",
    "timeout",
    "stopping",
    "failed",
]

STATUS: dict[Kind, int] = {
    "malformed": 400,
    "empty": 400,
    "invalid": 422,
    "unauthorized": 401,
    "model_not_found": 404,
    "not_found": 404,
    "method_not_allowed": 405,
    "misdirected": 421,
    "slow": 408,
    "too_large": 413,
    "unsupported_media": 415,
    "overloaded": 429,
    "timeout": 504,
    "stopping": 503,
    "failed": 500,
}
"""The HTTP status of each kind, unless a dialect has another."""

RETRY_AFTER: dict[Kind, int] = {"overloaded": 1, "stopping": 5}
"""Seconds after which a client may try again."""

ENDS_CONNECTION: frozenset[Kind] = frozenset({"slow", "too_large"})
"""After these what is left of a body may still be on its way: the connection is closed."""

assert STATUS.keys() == set(get_args(Kind))


class RequestError(CrossRankError):
    """A request that cannot be answered as asked.

    Args:
        kind: Decides the status.
        message: For the client: what was required, what was received, what to do.

    Example:
        >>> RequestError("too_large", "At most 10 documents are allowed, received 11.").status
        413
    """

    def __init__(self, kind: Kind, message: str) -> None:
        super().__init__(message)
        self.kind = kind

    @property
    def status(self) -> int:
        """The HTTP status."""
        return STATUS[self.kind]


def first_fault(error: ValidationError) -> tuple[str, ErrorDetails]:
    """Give the first thing that a schema found wrong: the field, and what is wrong with it."""
    fault = error.errors(include_url=False, include_context=False)[0]
    fault["msg"] = fault["msg"].removeprefix("Value error, ")  # pydantic puts it before our words
    return ".".join(map(str, fault["loc"]))[:200], fault
