"""Middleware around everything: ids, log, metrics, traces, and the answer when all else fails."""

import asyncio
import time
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from crossrank.server.dialects import DIALECTS, by_path
from crossrank.server.dialects.base import Dialect
from crossrank.server.dialects.jina import Jina
from crossrank.server.handler import refusal
from crossrank.server.logs import log_failure, log_request
from crossrank.server.metrics import Metrics
from crossrank.server.problems import RequestError
from crossrank.server.record import Record
from crossrank.server.tracing import Tracer

REQUEST_ID = "x-request-id"

QUIET = frozenset({"/health", "/ready", "/metrics"})
"""Paths that are asked for all the time; they are logged only when something is wrong."""


class Observer:
    """Watches requests.

    Args:
        app: What answers them.
        metrics: Counts those that ask for scores.
        tracer: Sends their spans.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics, tracer: Tracer | None) -> None:
        self._app = app
        self._counted = by_path().keys()
        self._metrics = metrics
        self._tracer = tracer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        record = Record.of(scope)
        scope.setdefault("state", {})["record"] = record
        if record.path in self._counted:
            self._metrics.begin()

        async def noting(message: Message) -> None:
            if message["type"] == "http.response.start":
                record.status = message["status"]
                identity = (REQUEST_ID.encode(), record.id.encode())
                message["headers"] = [*message.get("headers", []), identity]
            await send(message)

        async def refuse(problem: RequestError) -> None:
            response = refusal(_dialect(record), problem, record)
            if not record.status:
                await response(scope, receive, noting)

        try:
            await self._app(scope, receive, noting)
        except asyncio.CancelledError:  # by uvicorn, which stops and has waited long enough
            await refuse(RequestError("stopping", "The server stops and could not answer in time."))
        except Exception as error:  # noqa: BLE001  whatever it is, the server goes on
            log_failure(record, error)
            message = f"The server could not answer: its log says why, under {record.id}."
            await refuse(RequestError("failed", message))
        finally:
            record.ended = time.perf_counter()
            self._told(record)

    def _told(self, record: Record) -> None:
        if record.path in self._counted:
            self._metrics.end(record)
            if self._tracer is not None:
                self._tracer.send(record)
        if record.path not in QUIET or record.status >= 400:
            log_request(record)


def dialect_of(path: str) -> Dialect[Any]:
    """Give the dialect in which to refuse what no dialect has claimed."""
    return by_path().get(path, [Jina()])[-1]


def _dialect(record: Record) -> Dialect[Any]:
    claimed = [dialect for dialect in DIALECTS if dialect.name == record.dialect]
    return claimed[0] if claimed else dialect_of(record.path)
