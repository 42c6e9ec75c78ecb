"""A real server on a free port of this machine, for tests."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn

from crossrank.server.app import create_app
from crossrank.server.settings import Settings

PATIENCE = 60
"""Seconds after which a server that did not start fails the test."""


@contextmanager
def live_server(settings: Settings | None = None) -> Iterator[str]:
    """Serve on a thread; yields the base URL."""
    app = create_app(settings or Settings())
    server = uvicorn.Server(
        uvicorn.Config(app, host="127.0.0.1", port=0, log_level="warning", ws="none")
    )
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        until = time.monotonic() + PATIENCE
        while not server.started:
            assert thread.is_alive(), "the server ended at once"
            assert time.monotonic() < until, "the server did not start"
            time.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join()
