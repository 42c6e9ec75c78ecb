"""``crossrank serve`` in a process of its own, for tests."""

import json
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from tests.cli.commands import start
from tests.server.live import until

NEVER = 60
"""Seconds after which a server that hangs fails the test."""


class Command:
    """A server, started as users do.

    Attributes:
        process: Its process.
        log: The lines of its log, as they come.
        rest: Other lines on stderr.
    """

    def __init__(self, *arguments: str | Path) -> None:
        self.process = start("serve", "--port", "0", *arguments, text=True)
        self.log: list[dict[str, Any]] = []
        self.rest: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def url(self) -> str:
        """Where it listens; waits until it does."""
        while True:
            for line in self.log:
                if line["message"] == "listening":
                    return str(line["url"])
            assert self.process.poll() is None, self.rest
            time.sleep(0.01)

    def stop(self, kind: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal, and give the exit code."""
        self.process.send_signal(kind)
        return self.wait()

    def wait(self) -> int:
        """Wait for the end, and give the exit code."""
        code = self.process.wait(NEVER)
        self._reader.join(NEVER)
        assert not self._reader.is_alive(), "a process that it started goes on"
        return code

    def until_ready(self) -> None:
        """Wait until it answers."""
        until(self._ready)

    def _ready(self) -> bool:
        try:
            return httpx.get(f"{self.url}/ready").status_code == 200
        except httpx.TransportError:
            return False

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            if line.startswith("{"):
                self.log.append(json.loads(line))
            else:
                self.rest.append(line.rstrip("\n"))


@contextmanager
def serving(*arguments: str | Path) -> Iterator[Command]:
    """Run a server; it is killed if the test leaves it running."""
    command = Command(*arguments)
    try:
        yield command
    finally:
        if command.process.poll() is None:
            command.process.kill()
        command.wait()
        for stream in (command.process.stdout, command.process.stderr):
            assert stream is not None
            stream.close()
