"""Clients that load a server, and what they saw."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx
import numpy as np
from servers import Server

TIMEOUT = 300


@dataclass
class Seen:
    """What clients saw.

    Attributes:
        seconds: Of each answered request.
        refused: Seconds of each refused request.
        statuses: How often each status came.
        documents: How many were ranked.
        wall: How long it all took.
    """

    seconds: list[float] = field(default_factory=list)
    refused: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    documents: int = 0
    wall: float = 0.0

    def figures(self) -> dict[str, Any]:
        """Sum up."""
        shown: dict[str, Any] = {
            "requests": len(self.seconds),
            "documents_per_s": round(self.documents / self.wall, 1),
        }
        if self.seconds:
            p50, p95, p99 = np.quantile(self.seconds, [0.5, 0.95, 0.99])
            shown |= {"p50_s": round(p50, 3), "p95_s": round(p95, 3), "p99_s": round(p99, 3)}
        if self.refused:
            shown["refused"] = len(self.refused)
            shown["refused_p99_s"] = round(float(np.quantile(self.refused, 0.99)), 3)
        return shown


class Clients:
    """Sends requests made of real pairs.

    Args:
        server: Where to.
        query: Of all requests.
        documents: Requests take them in turn, each others.
    """

    def __init__(self, server: Server, query: str, documents: Sequence[str]) -> None:
        self.server = server
        self.query = query
        self.documents = documents
        self._next = 0
        limits = httpx.Limits(max_connections=2000, max_keepalive_connections=200)
        self._http = httpx.AsyncClient(timeout=TIMEOUT, limits=limits, trust_env=False)

    async def __aenter__(self) -> "Clients":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.aclose()

    def take(self, count: int) -> list[str]:
        """Take the next documents."""
        start = self._next
        self._next += count
        return [self.documents[n % len(self.documents)] for n in range(start, start + count)]

    async def send(self, documents: list[str], seen: Seen) -> Any:
        """Send one request."""
        body = {"model": self.server.model, "query": self.query, "documents": documents}
        start = time.perf_counter()
        try:
            response = await self._http.post(self.server.url, json=body)
        except httpx.TransportError:
            seen.statuses[0] += 1
            return None
        spent = time.perf_counter() - start
        seen.statuses[response.status_code] += 1
        if response.status_code != 200:
            seen.refused.append(spent)
            return None
        seen.seconds.append(spent)
        seen.documents += len(documents)
        return response.json()

    async def closed_loop(self, clients: int, size: int, seconds: float) -> Seen:
        """Let each client send its next request when the last one was answered."""
        seen = Seen()
        end = time.perf_counter() + seconds

        async def client() -> None:
            while time.perf_counter() < end:
                await self.send(self.take(size), seen)

        await _timed(seen, lambda: asyncio.gather(*(client() for _ in range(clients))))
        return seen

    async def open_loop(
        self,
        rate: float,
        size: int,
        seconds: float,
        check: Callable[[list[str], Any], None] = lambda *_: None,
    ) -> Seen:
        """Send requests at random times, so many a second, whether answers come or not."""
        seen, chance = Seen(), random.Random(0)
        tasks: list[asyncio.Task[None]] = []

        async def one(documents: list[str]) -> None:
            answer = await self.send(documents, seen)
            if answer is not None:
                check(documents, answer)

        async def all_of_them() -> None:
            end = time.perf_counter() + seconds
            while time.perf_counter() < end:
                tasks.append(asyncio.create_task(one(self.take(size))))
                await asyncio.sleep(chance.expovariate(rate))
            await asyncio.gather(*tasks)

        await _timed(seen, all_of_them)
        return seen


async def _timed(seen: Seen, work: Callable[[], Awaitable[Any]]) -> None:
    start = time.perf_counter()
    await work()
    seen.wall = time.perf_counter() - start
