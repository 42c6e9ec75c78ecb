"""Told to stop, a server answers first what it has taken; a worker that dies comes back."""

import json
import logging
import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.server.commands import NEVER, Command, serving
from tests.server.live import Gate, live_server, until
from tests.server.sockets import connect, head
from uvicorn.config import STARTUP_FAILURE

from crossrank.errors import MissingDependencyError
from crossrank.server import run
from crossrank.server.dialects import by_path
from crossrank.server.settings import Settings

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


@pytest.mark.parametrize(("path", "field"), [("/v1/rerank", "documents"), ("/rerank", "texts")])
def test_what_is_not_answered_in_time_is_refused_as_the_client_expects(
    constant: str, gate: Gate, caplog: pytest.LogCaptureFixture, path: str, field: str
) -> None:
    caplog.set_level(logging.INFO)
    body = {"query": "w1", field: ["w1"]}
    settings = Settings(models={"default": constant}, backend="constant")
    with ThreadPoolExecutor(1) as threads, live_server(settings, drain=1) as base:
        gate.close()
        asked = threads.submit(httpx.post, base + path, json=body, timeout=NEVER)
        asked.add_done_callback(lambda _: gate.open.set())
        gate.wait_for_batch()
    answer = asked.result()
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "5"
    dialect = next(d for d in by_path()[path] if d.claims(body))
    dialect.problem.model_validate(answer.json())
    assert "The server stops and could not answer in time." in answer.text
    [line] = [line.fields for line in caplog.records if line.message == "answered"]
    assert (line["status"], line["problem"], line["dialect"]) == (503, "stopping", dialect.name)
    assert [line for line in caplog.records if line.exc_info] == []


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


def test_workers_that_stop_leave_nobody_to_connect_to(constant: str) -> None:
    body = json.dumps(ASK).encode()
    flags = ("--workers", "2", "--body-timeout-s", "30")
    with serving(*flags, "--backend", "constant", "--model", constant) as command:
        assert httpx.get(f"{command.url}/ready", timeout=1).status_code == 200  # as it said
        with connect(command.url) as taken:
            taken.sendall(head(len(body)) + body[:-1])
            in_flight = "crossrank_requests_in_flight 1.0"
            until(lambda: in_flight in httpx.get(f"{command.url}/metrics").text)
            command.process.send_signal(signal.SIGTERM)

            def refused() -> bool:
                try:
                    connect(command.url).close()
                except ConnectionRefusedError:
                    return True
                return False

            until(refused)
            assert command.process.poll() is None
            taken.sendall(body[-1:])
            assert taken.recv(65536).startswith(b"HTTP/1.1 200 ")
        assert command.wait() == 0
    assert command.rest == []


def test_a_worker_that_cannot_make_its_application_says_so_and_is_not_started_anew(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_: Settings) -> None:
        raise MissingDependencyError("It needs another package.")

    monkeypatch.setattr(run, "create_app", fail)
    monkeypatch.setenv(run.VARIABLE, Settings(workers=2).model_dump_json())
    try:
        with pytest.raises(SystemExit) as end:
            run.app_of_environment()
    finally:
        logging.captureWarnings(False)
    assert end.value.code == STARTUP_FAILURE
    expected = "MissingDependencyError: It needs another package."
    assert [line.getMessage() for line in caplog.records] == [expected]
    assert caplog.records[0].exc_info is None
