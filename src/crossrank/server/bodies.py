"""Reading what clients send, none of which is trusted."""

import asyncio
import json
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email.message import Message
from typing import Any, NoReturn

import numpy as np
from starlette.requests import Request

from crossrank.server.problems import RequestError

MOST_BODIES = 10
"""So many of the largest bodies may be in memory at a time."""

LARGE = 100_000
"""Bytes of a body from which on it is parsed on a thread, so that others need not wait."""

DEEPEST = 100
"""So many lists and objects may lie in each other."""

CONTAINERS = 100_000
"""Lists and objects that a body may have: in memory they take forty times what they take in it."""

CONTAINERS_A_DOCUMENT = 100
"""It may have more where a request may have more than a thousand documents: so many for each."""

_NO_MARKS = bytes(set(range(256)) - set(b'"[]{}'))


class Bodies:
    """Reads the bodies of requests.

    Args:
        most_bytes: Larger bodies are refused.
        seconds: Bodies that take longer to arrive are refused.
        most_documents: How many documents a request may have.
    """

    def __init__(self, most_bytes: int, seconds: float, most_documents: int) -> None:
        self._most_bytes = most_bytes
        self._seconds = seconds
        self._most_containers = max(CONTAINERS, CONTAINERS_A_DOCUMENT * most_documents)
        self._held = 0

    @asynccontextmanager
    async def read(self, request: Request) -> AsyncIterator[dict[str, Any]]:
        """Read a body, a JSON object; what it has of the common memory it has until the end.

        Raises:
            RequestError: The body is no JSON object in UTF-8, too large, or too slow; or those of
                other requests leave no room for it.
            ClientDisconnect: The client went away.
        """
        _check_type(request.headers.get("content-type", ""))
        body = await self._collect(request)
        size = len(body)
        try:
            if size < LARGE:
                value = self._parse(body)
            else:
                value = await asyncio.to_thread(self._parse, body)
            del body
            yield value
        finally:
            self._held -= size

    def _parse(self, body: bytes) -> dict[str, Any]:
        _check_containers(body, self._most_containers)
        return parse(body)

    async def _collect(self, request: Request) -> bytes:
        """Read a body; of one that is too large, as much again is read and thrown away.

        Most clients look for an answer only when they have sent all.
        """
        most = self._most_bytes
        announced = request.headers.get("content-length", "")
        if announced.isdecimal() and int(announced[:20]) > 2 * most:
            raise _too_large(most)
        body = bytearray()
        size = 0
        try:
            async with asyncio.timeout(self._seconds):
                async for chunk in request.stream():
                    size += len(chunk)
                    if size <= most:
                        self._hold(len(chunk))
                        body += chunk
                    elif size > 2 * most:
                        break
            if size > most:
                raise _too_large(most)
        except BaseException as error:
            self._held -= len(body)
            if isinstance(error, TimeoutError):
                raise _too_slow(self._seconds) from None
            raise
        return bytes(body)

    def _hold(self, size: int) -> None:
        if self._held + size > MOST_BODIES * self._most_bytes:
            raise RequestError(
                "overloaded", "The requests that are being answered fill the memory: try again."
            )
        self._held += size


def parse(body: bytes) -> dict[str, Any]:
    """Parse a JSON object, strictly: no NaN, no number too large to be one, no key twice.

    Raises:
        RequestError: It is none.

    Example:
        >>> parse(b'{"query": "q"}')
        {'query': 'q'}
        >>> parse(b'{"a": 1, "a": 2}')
        Traceback (most recent call last):
        ...
        crossrank.server.problems.RequestError: The body must be a JSON object: the key 'a' ...
    """
    try:
        value = json.loads(
            body.decode("utf-8"),
            object_pairs_hook=_unique,
            parse_constant=_no_constant,
            parse_float=_finite,
        )
    except RecursionError:
        raise RequestError("malformed", "The body is too deeply nested.") from None
    except (ValueError, UnicodeDecodeError) as error:
        raise RequestError("malformed", f"The body must be a JSON object: {error}.") from error
    if not isinstance(value, dict):
        found = type(value).__name__
        raise RequestError("malformed", f"The body must be a JSON object, received {found}.")
    return value


def _check_containers(body: bytes, most: int) -> None:
    """Refuse lists and objects that would fill the memory, before they are made."""
    if body.count(b"[") + body.count(b"{") <= DEEPEST:
        return
    plain = body.replace(rb"\\", b"").replace(rb"\"", b"")  # now any quote begins or ends a text
    letters = np.frombuffer(plain.translate(None, _NO_MARKS), np.uint8)
    outside = np.cumsum(letters == ord('"'), dtype=np.uint8) % 2 == 0
    opened = ((letters == ord("[")) | (letters == ord("{"))) & outside
    closed = ((letters == ord("]")) | (letters == ord("}"))) & outside
    count = int(np.count_nonzero(opened))
    if count > most:
        raise RequestError(
            "too_large", f"A body may have at most {most} lists and objects, received {count}."
        )
    if np.cumsum(opened.view(np.int8) - closed.view(np.int8), dtype=np.int32).max() > DEEPEST:
        raise RequestError("malformed", f"The body is too deeply nested: {DEEPEST} is the most.")


def _too_large(most_bytes: int) -> RequestError:
    return RequestError("too_large", f"A body may have at most {most_bytes} bytes: send less.")


def _too_slow(seconds: float) -> RequestError:
    return RequestError("slow", f"The body must arrive within {seconds:g} seconds, and did not.")


def _check_type(header: str) -> None:
    message = Message()
    message["content-type"] = header
    kind, charset = message.get_content_type(), message.get_content_charset("utf-8")
    if not header or (kind != "application/json" and not kind.endswith("+json")):
        raise RequestError(
            "unsupported_media",
            f"The header Content-Type must be application/json, received {header[:100]!r}.",
        )
    if charset.lower() not in ("utf-8", "utf8", "us-ascii"):
        raise RequestError(
            "unsupported_media", f"The body must be UTF-8, received charset {charset[:40]!r}."
        )


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise ValueError(f"the key {key[:60]!r} is there twice")
            seen.add(key)
    return found


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"the number {text[:20]} is too large")
    return number


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number")
