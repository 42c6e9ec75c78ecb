"""What is known of a request: for the log, the metrics and the traces."""

import re
import time
import uuid
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from starlette.datastructures import Headers

Stages = dict[str, tuple[float, float]]
"""When each stage of an answer began and ended, by ``time.perf_counter``."""

_SANE_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")


@dataclass
class Record:
    """A request, told while it is answered.

    Attributes:
        id: From the header X-Request-ID, or a new one.
        method: GET, POST ...
        path: What was asked for.
        client: Who asked: its address.
        parent: The header traceparent, of a client that traces.
        began: When, by ``time.perf_counter``.
        ended: When it was answered.
        status: HTTP status; 0 as long as there is none.
        dialect: Name of the wire format.
        model: The server's name of the model.
        documents: How many were scored.
        tokens: How many were read.
        cached: Documents whose score was remembered.
        truncated: Documents that were not read to their end.
        query: The query, where settings want texts in the log.
        problem: What kind of problem made it fail.
        stages: When each stage began and ended.
    """

    id: str
    method: str
    path: str
    client: str = ""
    parent: str = ""
    began: float = field(default_factory=time.perf_counter)
    ended: float = 0.0
    status: int = 0
    dialect: str = ""
    model: str = ""
    documents: int = 0
    tokens: int = 0
    cached: int = 0
    truncated: int = 0
    query: str = ""
    problem: str = ""
    stages: Stages = field(default_factory=dict)

    @classmethod
    def of(cls, scope: MutableMapping[str, Any]) -> "Record":
        """Begin the record of an HTTP request, given as ASGI's scope."""
        headers = Headers(scope=scope)
        address = scope.get("client")
        return cls(
            id=_sane(headers.get("x-request-id", "")) or uuid.uuid4().hex,
            method=scope["method"],
            path=scope["path"],
            client=address[0] if address else "",
            parent=headers.get("traceparent", ""),
        )

    @property
    def seconds(self) -> float:
        """How long the answer took."""
        return self.ended - self.began


@contextmanager
def stage(stages: Stages, name: str) -> Iterator[None]:
    """Note when a stage begins and ends, also when it fails.

    Example:
        >>> stages: Stages = {}
        >>> with stage(stages, "tokenize"):
        ...     pass
        >>> [(name, began <= ended) for name, (began, ended) in stages.items()]
        [('tokenize', True)]
    """
    began = time.perf_counter()
    try:
        yield
    finally:
        stages[name] = (began, time.perf_counter())


def _sane(text: str) -> str:
    """Give a client's id, if it can be written anywhere."""
    return text if _SANE_ID.fullmatch(text) else ""
