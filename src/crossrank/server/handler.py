"""The one handler behind all dialects."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from crossrank.errors import InputError, QueryTooLongError
from crossrank.ranking import sort_documents
from crossrank.server.auth import ApiKeys
from crossrank.server.bodies import Bodies
from crossrank.server.dialects import choose
from crossrank.server.dialects.base import Dialect, Scores, Task
from crossrank.server.explaining import explain
from crossrank.server.problems import ENDS_CONNECTION, RETRY_AFTER, RequestError, first_fault
from crossrank.server.record import Record
from crossrank.server.serving import ServedModels
from crossrank.server.settings import Settings

Result = TypeVar("Result")

CLIENT_GONE = 499
"""Status in the log for a client that did not wait; nobody receives it."""


class Handler:
    """Answers requests.

    Args:
        settings: Limits.
        models: What scores.
        keys: Who may ask; ``None`` lets anybody.
    """

    def __init__(self, settings: Settings, models: ServedModels, keys: ApiKeys | None) -> None:
        self.settings = settings
        self.models = models
        self.keys = keys
        self.bodies = Bodies(
            settings.max_body_bytes, settings.body_timeout_s, settings.max_documents
        )
        self.active = 0

    def endpoint(self, dialects: list[Dialect[Any]]) -> Callable[[Request], Awaitable[Response]]:
        """Make the endpoint of a path that these dialects share."""

        async def endpoint(request: Request) -> Response:
            record: Record = request.state.record
            dialect = dialects[-1]
            try:
                record.dialect = dialect.name
                self._admit(request)
                self.active += 1
                try:
                    async with (
                        asyncio.timeout(self.settings.timeout_s),
                        self.bodies.read(request) as body,
                    ):
                        dialect = choose(dialects, body)
                        record.dialect = dialect.name
                        content = await _while_connected(
                            request, self._answer(dialect, body, record)
                        )
                finally:
                    self.active -= 1
            except ClientDisconnect:
                return Response(status_code=CLIENT_GONE)
            except TimeoutError:
                seconds = self.settings.timeout_s
                late = RequestError("timeout", f"No answer was found in {seconds:g} seconds.")
                return refusal(dialect, late, record)
            except (RequestError, InputError) as error:
                return refusal(dialect, _as_problem(error), record)
            return json_response(content)

        return endpoint

    def listing(
        self, dialect: Dialect[Any], answer: Callable[[], BaseModel]
    ) -> Callable[[Request], Awaitable[Response]]:
        """Make an endpoint that takes nothing but a key."""

        async def endpoint(request: Request) -> Response:
            try:
                self.check_key(request)
                return json_response(answer().model_dump())
            except RequestError as error:
                return refusal(dialect, error, request.state.record)

        return endpoint

    def check_key(self, request: Request) -> None:
        """Let a request in, or not.

        Raises:
            RequestError: A valid key is required.
        """
        if self.keys is not None:
            self.keys.check(request.headers.get("authorization", ""))

    def _admit(self, request: Request) -> None:
        self.check_key(request)
        if self.active >= self.settings.max_requests:
            raise RequestError(
                "overloaded",
                f"{self.active} requests are being answered, and that is the most: try again.",
            )

    async def _answer(self, dialect: Dialect[Any], body: dict[str, Any], record: Record) -> Any:
        self._check_lists(body)
        try:
            parsed = dialect.schema.model_validate(body)
        except ValidationError as error:
            place, fault = first_fault(error)
            message = f"{place}: {fault['msg']}." if place else f"{fault['msg']}."
            raise RequestError("invalid", message) from error
        task = dialect.read(parsed)
        reply = dialect.write(parsed, await self._score(task, record))
        return reply.model_dump(exclude_none=True)

    def _check_lists(self, body: dict[str, Any]) -> None:
        """Refuse too many documents before time is spent on each of them."""
        count = max((len(value) for value in body.values() if isinstance(value, list)), default=0)
        most = self.settings.max_documents
        if count > most:
            raise RequestError(
                "too_large", f"At most {most} documents are allowed in a request, received {count}."
            )

    async def _score(self, task: Task, record: Record) -> Scores:
        served = self.models.find(task.model)
        record.model = served.name
        if self.settings.log_texts:
            record.query = task.pairs[0][0]
        if served.model.num_labels != 1 and not task.several_labels:
            raise RequestError(
                "invalid",
                f"{served.name} has {served.model.num_labels} labels and cannot rank: a model with "
                "one is required.",
            )
        began = time.perf_counter()
        answer = await served.score(
            task.pairs, raw=task.raw, reading=task.reading, stages=record.stages
        )
        record.documents = len(task.pairs)
        record.tokens, record.cached = answer.tokens, answer.cached
        record.truncated = sum(map(bool, answer.truncated))
        explained = [
            await explain(served, (query, document))
            for query, document in task.pairs
            if task.explain and isinstance(document, str)
        ]
        order = list(range(len(task.pairs)))
        if task.sort:
            order = sort_documents(answer.logits[:, 0], task.top_n).tolist()
        return Scores(
            model=task.model or served.name,
            order=order,
            values=answer.scores.tolist(),
            tokens=answer.tokens,
            truncated=answer.truncated,
            labels=served.labels,
            seconds=time.perf_counter() - began,
            explanations=explained,
        )


def json_response(
    content: Any, status: int = 200, headers: dict[str, str] | None = None
) -> Response:
    """Write JSON in ASCII: what a client sent may hold surrogates, which UTF-8 cannot."""
    return Response(
        json.dumps(content, separators=(",", ":")).encode("ascii"),
        status,
        headers,
        media_type="application/json",
    )


def refusal(dialect: Dialect[Any], error: RequestError, record: Record) -> Response:
    """Write an error in a dialect's shape, and note its kind."""
    record.problem = error.kind
    wait = RETRY_AFTER.get(error.kind)
    headers = {"retry-after": str(wait)} if wait else {}
    if error.kind in ENDS_CONNECTION:
        headers["connection"] = "close"
    if error.kind == "unauthorized":
        headers["www-authenticate"] = "Bearer"
    problem = dialect.write_error(error).model_dump()
    return json_response(problem, dialect.status_of(error), headers)


def _as_problem(error: RequestError | InputError) -> RequestError:
    if isinstance(error, RequestError):
        return error
    if isinstance(error, QueryTooLongError):
        return RequestError(
            "too_large",
            f"The query has {error.tokens} tokens, and the model, which keeps queries whole, reads "
            f"at most {error.most}: shorten it.",
        )
    return RequestError("invalid", str(error))


async def _while_connected(request: Request, work: Awaitable[Result]) -> Result:
    """Wait for an answer, and give up when the client does.

    Raises:
        ClientDisconnect: It did.
    """
    answer = asyncio.ensure_future(work)
    gone = asyncio.ensure_future(_disconnected(request))
    try:
        await asyncio.wait({answer, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not answer.done():
            raise ClientDisconnect
        return await answer
    finally:
        answer.cancel()
        gone.cancel()


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
