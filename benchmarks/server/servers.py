"""The servers under load: crossrank and infinity, with the same weights, each a process group."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from settings import BUILD, ROOT, memory_mb

INFINITY = ROOT / ".venv-infinity" / "bin" / "infinity_emb"
"""Installed by ``make load``; its pins clash with the development environment's."""

START_SECONDS = 120


@dataclass(frozen=True)
class Server:
    """A server that answers.

    Attributes:
        name: In the results.
        url: Where requests to rerank go.
        model: What requests call the model.
        process: The one that was started; it leads a process group.
    """

    name: str
    url: str
    model: str
    process: subprocess.Popen[bytes]

    def memory_mb(self) -> float:
        """Resident memory of all its processes, in MB."""
        return sum(memory_mb("VmRSS", pid) for pid in self.pids())

    def pids(self) -> list[int]:
        """Its processes."""
        group = str(self.process.pid)
        listed = subprocess.run(["ps", "-eo", "pid,pgid"], capture_output=True, text=True).stdout
        rows = [line.split() for line in listed.splitlines()[1:]]
        return [int(pid) for pid, pgid in rows if pgid == group]


@contextmanager
def crossrank(model: Path | str, *options: str, name: str) -> Iterator[Server]:
    """Run ``crossrank serve``."""
    port = _free_port()
    command = [sys.executable, "-m", "crossrank", "serve", "--model", f"bench={model}"]
    with _running([*command, "--port", str(port), *options], port, "/ready") as process:
        yield Server(name, f"http://127.0.0.1:{port}/infinity/rerank", "bench", process)


@contextmanager
def infinity(model: Path) -> Iterator[Server]:
    """Run infinity on torch, which is its fastest engine on a CPU for a folder of safetensors."""
    port = _free_port()
    command = [str(INFINITY), "v2", "--model-id", str(model), "--port", str(port)]
    options = ["--host", "127.0.0.1", "--engine", "torch", "--device", "cpu"]
    command += [*options, "--no-bettertransformer", "--served-model-name", "bench"]
    with _running(command, port, "/health") as process:
        yield Server("infinity", f"http://127.0.0.1:{port}/rerank", "bench", process)


@contextmanager
def _running(command: list[str], port: int, probe: str) -> Iterator[subprocess.Popen[bytes]]:
    environment = os.environ | {"DO_NOT_TRACK": "1", "HF_HUB_OFFLINE": "1"}
    (BUILD / "logs").mkdir(parents=True, exist_ok=True)
    log = (BUILD / "logs" / f"server-{port}.log").open("wb")
    process = subprocess.Popen(
        command, stdout=log, stderr=log, env=environment, start_new_session=True
    )
    try:
        _wait_for(f"http://127.0.0.1:{port}{probe}", process, Path(log.name))
        yield process
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        log.close()


def _wait_for(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            if process.poll() is not None:
                break
            time.sleep(0.2)
    sys.exit(f"The server did not start: {log.read_text(encoding='utf-8')[-2000:]}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
