"""Connections on which nothing is asked: uvicorn would keep them as long as bytes trickle in."""

import asyncio
from functools import partial
from typing import Any

from uvicorn.protocols.http.auto import AutoHTTPProtocol

IDLE_SECONDS = 10.0
"""So long a connection may take to bring the headers of its first or next request; twice that
after an answer."""


class Connection(AutoHTTPProtocol):  # type: ignore[misc, valid-type]  # whichever is installed
    """A connection that is closed when no request comes."""

    def connection_made(self, transport: Any) -> None:
        """Begin to watch."""
        super().connection_made(transport)
        self._watch(busy=True)

    def connection_lost(self, error: Exception | None) -> None:
        """Watch no more."""
        self._alarm.cancel()
        super().connection_lost(error)

    def _watch(self, *, busy: bool, last: object = None) -> None:
        """Close the connection if it was idle the last time, too, and nothing was asked since."""
        idle = self.cycle is None or self.cycle.response_complete
        if idle and not busy and self.cycle is last:
            self.transport.close()
            return
        again = partial(self._watch, busy=not idle, last=self.cycle)
        self._alarm: asyncio.TimerHandle = self.loop.call_later(IDLE_SECONDS, again)
