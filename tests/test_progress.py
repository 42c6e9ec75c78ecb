"""When the bar of long work shows."""

import os
import pty
import subprocess
import sys
import termios

import pytest

from crossrank.progress import progress_bar

WORK = """
import time
from crossrank import progress
progress.SECONDS_BEFORE_SHOWING = 0.2
with progress.progress_bar(10, show={show}) as advance:
    for _ in range(10):
        advance(1)
        time.sleep({pause})
"""


def on_a_terminal(show: bool | None, pause: float) -> str:
    """Run some work with stderr on a pseudo-terminal, and give what appeared there."""
    leader, follower = pty.openpty()
    termios.tcsetwinsize(follower, (24, 80))
    code = WORK.format(show=show, pause=pause)
    subprocess.run([sys.executable, "-c", code], stderr=follower, check=True)
    os.set_blocking(leader, False)
    os.close(follower)
    try:
        shown = os.read(leader, 100_000).decode()
    except (BlockingIOError, OSError):
        shown = ""
    os.close(leader)
    return shown


def test_long_work_shows_on_a_terminal() -> None:
    shown = on_a_terminal(None, pause=0.1)
    assert "10.0/10.0" in shown
    assert "pair" in shown


def test_short_work_does_not() -> None:
    assert on_a_terminal(None, pause=0.0) == ""


def test_off_when_the_caller_says_so() -> None:
    assert on_a_terminal(False, pause=0.1) == ""


def test_nothing_shows_where_there_is_no_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    with progress_bar(3, show=None) as advance:
        advance(3)
    assert capfd.readouterr().err == ""


def test_shown_without_a_terminal_when_asked_for(capfd: pytest.CaptureFixture[str]) -> None:
    with progress_bar(3, show=True, unit="document") as advance:
        advance(3)
    assert "3.00/3.00" in capfd.readouterr().err


def test_a_process_without_stderr(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr", None)
    with progress_bar(10, show=None) as progress:
        progress(10)
