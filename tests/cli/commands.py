"""Commands in processes of their own."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any


def start(*arguments: str | Path, **options: Any) -> subprocess.Popen[bytes]:
    """Start a command as users do, in a process of its own."""
    command = [sys.executable, "-m", "crossrank", *map(str, arguments)]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=dict(os.environ), **options
    )


def run(*arguments: str | Path, **options: Any) -> tuple[int, str, str]:
    """Run a command to its end: exit code, stdout, stderr."""
    process = start(*arguments, **options)
    out, err = process.communicate(timeout=100)
    return process.returncode, out.decode(), err.decode()


def wait_for(process: subprocess.Popen[bytes], ready: Callable[[], bool]) -> None:
    """Wait until something is there that a process makes; it must not end before."""
    deadline = time.monotonic() + 100
    while not ready():
        assert process.poll() is None, process.communicate()[1].decode()
        assert time.monotonic() < deadline
        time.sleep(0.002)


def interrupt(
    process: subprocess.Popen[bytes], ready: Callable[[], bool], kind: signal.Signals
) -> str:
    """Send a signal as soon as something is there; returns what the process said on stderr."""
    wait_for(process, ready)
    process.send_signal(kind)
    return process.communicate(timeout=100)[1].decode()
