"""A real server on a free port of this machine, for tests."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn

from crossrank.server.app import create_app
from crossrank.server.connections import Connection
from crossrank.server.settings import Settings

PATIENCE = 60
"""Seconds after which what does not happen fails the test."""


def until(condition: Callable[[], object]) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


class Gate:
    """Batches wait in front of it while it is closed; it is open at first.

    Attributes:
        open: Whether batches may pass.
        arrived: Released whenever one arrives.
    """

    def __init__(self, forward: Callable[..., Any]) -> None:
        self.open = threading.Event()
        self.open.set()
        self.arrived = threading.Semaphore(0)

        def gated(*arguments: Any) -> Any:
            self.arrived.release()
            assert self.open.wait(PATIENCE)
            return forward(*arguments)

        self.forward = gated

    def close(self) -> None:
        """Hold back all batches from here on."""
        self.open.clear()
        while self.arrived.acquire(blocking=False):
            pass

    def wait_for_batch(self) -> None:
        """Wait until a batch has arrived."""
        assert self.arrived.acquire(timeout=PATIENCE)


@contextmanager
def live_server(settings: Settings | None = None, *, drain: int | None = None) -> Iterator[str]:
    """Serve on a thread; yields the base URL. At the end requests have ``drain`` seconds."""
    app = create_app(settings or Settings())
    server = uvicorn.Server(
        uvicorn.Config(
            app,
            host="127.0.0.1",
            port=0,
            log_level="warning",
            ws="none",
            http=Connection,
            timeout_graceful_shutdown=drain,
        )
    )
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        until(lambda: server.started or not thread.is_alive())
        assert server.started, "the server ended at once"
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join()
