"""Connections whose clients cannot hold memory or the server's time, whatever they do.

HTTP is read by h11, as its heads have a limit, and it leaves alone who offers another protocol.
"""

import asyncio
from functools import partial
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

IDLE_SECONDS = 10.0
"""So long a connection may take to bring the headers of its first or next request; twice that
after an answer."""

READ_BYTES = 16_384
"""What is read of a connection before others have their turn: a body in chunks of one byte takes
long to read."""


class Requests(h11.Connection):
    """Reads requests as RFC 9112 has it where h11 does not."""

    def receive_data(self, data: bytes) -> None:
        """Take what came; empty lines before a request mean nothing (section 2.2)."""
        if self.their_state is h11.IDLE and not self.trailing_data[0]:
            kept = data.lstrip(b"\r\n")
            if data and not kept:
                return  # nothing at all would mean that the client has gone
            data = kept
        super().receive_data(data)

    def next_event(self) -> Any:
        """Give what came, a request with the path alone for its target."""
        event = super().next_event()
        if not isinstance(event, h11.Request):
            return event
        names = {name for name, _ in event.headers}
        if {b"content-length", b"transfer-encoding"} <= names:
            # A proxy may go by the other one, and see two requests where this is one (6.1).
            raise h11.RemoteProtocolError("a body must have one length")
        return _with_path_alone(event)


def _with_path_alone(request: h11.Request) -> h11.Request:
    """Take scheme and host off a target; that host counts, whatever ``Host`` says (3.2.2)."""
    scheme, _, rest = request.target.partition(b"://")
    if scheme.lower() not in (b"http", b"https"):
        return request
    host, slash, path = rest.partition(b"/")
    others = [(name, value) for name, value in request.headers if name != b"host"]
    return h11.Request(
        method=request.method,
        target=b"/" + path if slash else b"/",
        headers=[(b"host", host), *others],
        http_version=request.http_version,
    )


class Connection(H11Protocol, asyncio.BufferedProtocol):
    """A connection that is closed when no request comes, and cut off when no answer is read."""

    def connection_made(self, transport: Any) -> None:
        """Begin to watch."""
        self._read = bytearray(READ_BYTES)
        self.conn = Requests(h11.SERVER)
        super().connection_made(transport)
        self._watch(busy=True)

    def connection_lost(self, error: Exception | None) -> None:
        """Watch no more."""
        self._alarm.cancel()
        super().connection_lost(error)

    def get_buffer(self, _: int) -> bytearray:
        """Say where to put what is read."""
        return self._read

    def buffer_updated(self, size: int) -> None:
        """Take what was read."""
        self.data_received(bytes(self._read[:size]))

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no HTTP; behind an answer there is nothing to refuse."""
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            super().send_400_response(msg)
        else:
            self.transport.close()

    def _should_upgrade(self) -> bool:
        """Go on in HTTP/1.1, as anybody may who is offered another protocol."""
        return False

    def _watch(self, *, busy: bool, last: object = None, unread: int = 0) -> None:
        """Close the connection if it was idle the last time, too, and nothing was asked since.

        The same if nothing of the answers was read since; the next time it is cut off.
        """
        waiting = self.transport.get_write_buffer_size()
        stuck = 0 < unread <= waiting
        if stuck and self.transport.is_closing():
            self.transport.abort()
            return
        idle = self.cycle is None or self.cycle.response_complete
        if stuck or (idle and not busy and self.cycle is last):
            self.transport.close()
        again = partial(self._watch, busy=not idle, last=self.cycle, unread=waiting)
        self._alarm: asyncio.TimerHandle = self.loop.call_later(IDLE_SECONDS, again)
