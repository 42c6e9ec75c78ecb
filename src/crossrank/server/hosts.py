"""Names under which a server is asked for that is open to this machine alone.

A browser lets any page ask the server that the page came from. Whoever owns a name can give it the
address 127.0.0.1 after the page was loaded, and the page reads what this server answers: only the
name in the request tells.
"""

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from crossrank.server.auth import is_loopback
from crossrank.server.handler import refusal
from crossrank.server.observing import dialect_of
from crossrank.server.problems import RequestError


class ThisMachine:
    """Middleware that refuses requests which ask for another host."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] == "http":
            host = Headers(scope=scope).get("host", "")
            if host and not is_loopback(_without_port(host)):  # browsers always send it
                problem = RequestError(
                    "misdirected",
                    f"This server answers this machine alone, and was asked for as {host[:100]!r}: "
                    "ask for localhost, or start it with --api-keys or --anonymous.",
                )
                refused = refusal(dialect_of(scope["path"]), problem, scope["state"]["record"])
                await refused(scope, receive, send)
                return
        await self._app(scope, receive, send)


def _without_port(host: str) -> str:
    """Give the name or address in a header.

    Example:
        >>> [_without_port(host) for host in ("localhost", "127.0.0.1:8000", "[::1]:8000", "[::1]")]
        ['localhost', '127.0.0.1', '::1', '::1']
    """
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0]
