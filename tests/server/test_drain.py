"""Told to stop, a server answers first what it has taken; a worker that dies comes back."""

import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.server.commands import NEVER, Command, serving
from tests.server.live import until

ASK = {"query": "w1", "documents": ["w1", "w2"]}


def pids_of_workers(command: Command) -> set[int]:
    """The processes that answer: children of the command that serve."""
    children = Path(f"/proc/{command.process.pid}/task/{command.process.pid}/children").read_text()
    return {int(pid) for pid in children.split() if b"spawn_main" in command_line(int(pid))}


def command_line(pid: int) -> bytes:
    """What a process was started with; nothing if it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""


def test_what_was_taken_is_answered_before_the_end() -> None:
    document = "the capital of france is a city on the river seine " * 12
    body = {
        "query": "capital of france",
        "texts": [f"{number} {document}" for number in range(8)],
    }
    client = httpx.Client(timeout=NEVER)
    with serving() as command, ThreadPoolExecutor(20) as threads, client:
        command.until_ready()
        url = command.url

        def ask(_: int) -> Any:
            return client.post(f"{url}/rerank", json=body)

        asked = [threads.submit(ask, number) for number in range(20)]
        taken = "crossrank_requests_in_flight 20.0"
        while taken not in httpx.get(f"{url}/metrics").text.splitlines():
            assert not all(answer.done() for answer in asked), "all was answered too fast"
        began = time.monotonic()
        code = command.stop()
        seconds = time.monotonic() - began
        answers = [answer.result() for answer in asked]
        assert [answer.status_code for answer in answers] == [200] * 20
        assert all(answer.json() == answers[0].json() for answer in answers)
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"{url}/health")
        assert seconds < 30
    messages = [line["message"] for line in command.log]
    assert messages.count("answered") == 20
    assert (code, messages[-1], command.rest) == (0, "stopped", [])


def test_ctrl_c_stops_too_and_says_so(constant: str) -> None:
    with serving("--backend", "constant", "--model", constant) as command:
        command.until_ready()
        assert httpx.post(f"{command.url}/v1/rerank", json=ASK).status_code == 200
        assert command.stop(signal.SIGINT) == 130
    assert command.rest == ["Interrupted."]


def test_a_worker_that_is_killed_comes_back(constant: str) -> None:
    with serving("--workers", "2", "--backend", "constant", "--model", constant) as command:
        command.until_ready()
        url = command.url
        deadline = time.monotonic() + NEVER
        while len(before := pids_of_workers(command)) < 2:
            assert time.monotonic() < deadline
        victim = min(before)
        os.kill(victim, signal.SIGKILL)
        while len(after := pids_of_workers(command) - {victim}) < 2:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert len(after & before) == 1
        # The new one answers on its own.
        survivor = (after & before).pop()
        os.kill(survivor, signal.SIGSTOP)
        try:
            answer = None
            while answer is None:
                assert time.monotonic() < deadline
                try:
                    answer = httpx.post(f"{url}/v1/rerank", json=ASK, timeout=1)
                except httpx.TransportError:
                    continue
        finally:
            os.kill(survivor, signal.SIGCONT)
        assert answer.status_code == 200
        text = httpx.get(f"{url}/metrics", timeout=NEVER).text
        assert 'crossrank_documents_total{model="constant"} ' in text
        assert command.stop() == 0
    assert command.rest == []


def test_workers_do_not_outlive_a_supervisor_that_is_killed(constant: str) -> None:
    with serving("--workers", "2", "--backend", "constant", "--model", constant) as command:
        command.until_ready()
        until(lambda: len(pids_of_workers(command)) == 2)
        workers = pids_of_workers(command)
        command.process.kill()
        assert command.wait() == -signal.SIGKILL
        until(lambda: not any(map(command_line, workers)))
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"{command.url}/health")
    assert command.rest == []
