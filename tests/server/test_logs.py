"""The log and the traces: what is told of a request, and that its texts are not."""

import json
import logging
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.server.live import live_server, until

from crossrank.server import app as application
from crossrank.server.logs import JsonFormatter, PlainFormatter, logging_config
from crossrank.server.settings import Settings

Small = Callable[..., str]
ASK = {"query": "w1 secret", "documents": ["w1", "hidden " * 20]}


def answered(caplog: pytest.LogCaptureFixture, count: int = 1) -> list[dict[str, Any]]:
    """The lines of so many requests, as they are written: just after the answers."""
    until(lambda: [line.message for line in caplog.records].count("answered") >= count)
    lines = [json.loads(JsonFormatter().format(line)) for line in caplog.records]
    return [line for line in lines if line["message"] == "answered"]


def test_a_request_leaves_one_line_without_its_texts(
    small: Small, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "crossrank.server")
    base = small()
    httpx.post(f"{base}/v1/rerank?key=private", json=ASK, headers={"x-request-id": "mine"})
    [line] = answered(caplog)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line.pop("time"))
    seconds = {key: line.pop(key) for key in list(line) if key.endswith("seconds")}
    assert line == {
        "level": "info",
        "message": "answered",
        "request_id": "mine",
        "client": "127.0.0.1",
        "method": "POST",
        "path": "/v1/rerank",
        "status": 200,
        "dialect": "jina",
        "model": "default",
        "documents": 2,
        "tokens": 22,
        "truncated": 1,
    }
    stages = {"tokenize_seconds", "compute_seconds", "finish_seconds"}
    assert seconds.keys() == stages | {"seconds"}
    assert 0 < sum(seconds[name] for name in stages) <= seconds["seconds"]
    text = "".join(JsonFormatter().format(line) for line in caplog.records)
    assert not re.search("secret|hidden|private", text)


def test_refusals_say_what_kind_of_problem_and_nothing_that_was_sent(
    small: Small, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "crossrank.server")
    base = small()
    post = httpx.post
    post(f"{base}/v1/rerank", json={**ASK, "model": "secret"})
    post(f"{base}/rerank", json={"query": {"secret": 1}, "texts": ["hidden"]})
    post(f"{base}/v1/rerank", content=b'{"secret": 1, "secret": 2}')
    post(f"{base}/v1/rerank", content=b'{"secret": ', headers={"content-type": "application/json"})
    told = [(line["dialect"], line["status"], line["problem"]) for line in answered(caplog, 4)]
    assert told == [
        ("jina", 404, "model_not_found"),
        ("tei", 422, "invalid"),
        ("jina", 415, "unsupported_media"),
        ("jina", 400, "malformed"),
    ]
    text = "".join(JsonFormatter().format(line) for line in caplog.records)
    assert not re.search("secret|hidden", text)


def test_queries_are_logged_where_asked_for(small: Small, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "crossrank.server")
    base = small(log_texts=True)
    httpx.post(f"{base}/v1/rerank", content=b'{"query": "a\\ud800\\nb", "documents": ["hidden"]}',
               headers={"content-type": "application/json"})  # fmt: skip
    [line] = answered(caplog)
    assert line["query"] == "a\ud800\nb"
    assert "hidden" not in str(line)


def test_probes_are_logged_only_when_something_is_wrong(
    small: Small, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    from crossrank.server.auth import hash_key

    caplog.set_level(logging.INFO, "crossrank.server")
    (tmp_path / "keys").write_text(hash_key("mine"))
    base = small(api_keys=tmp_path / "keys")
    for path in ("/health", "/ready", "/metrics"):
        httpx.get(base + path)
    httpx.get(f"{base}/a%0Ab%ff" + "x" * 500)
    found = answered(caplog, 2)
    lines = [(line["path"][:5], line["status"], line["problem"]) for line in found]
    assert lines == [("/metr", 401, "unauthorized"), ("/a\nb\ufffd", 404, "not_found")]
    assert all("\n" not in JsonFormatter().format(line) for line in caplog.records)
    assert max(len(line["path"]) for line in found) == 200


def test_an_exception_is_one_line_too() -> None:
    try:
        raise ValueError("several\nlines")
    except ValueError as error:
        record = logging.LogRecord(
            "x", logging.ERROR, "", 0, "failed", None, (type(error), error, error.__traceback__)
        )
    line = JsonFormatter().format(record)
    assert "\n" not in line
    assert json.loads(line)["exception"].endswith("ValueError: several\nlines")


def test_terminals_get_lines_for_people(monkeypatch: pytest.MonkeyPatch) -> None:
    assert logging_config()["formatters"]["lines"]["()"].endswith("JsonFormatter")
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    assert logging_config()["formatters"]["lines"]["()"].endswith("PlainFormatter")


def test_what_clients_send_begins_no_line_on_a_terminal_and_does_not_steer_it() -> None:
    fields = {"path": "/x\n23:59:59 info: answered\x1b[2J\x07", "query": "caf\xe9 \ud800\x85"}
    try:
        raise ValueError("several\nlines\x1b[31m")
    except ValueError as error:
        caught = error
    record = logging.LogRecord(
        "x", logging.INFO, "", 0, "a\rb", None, (ValueError, caught, caught.__traceback__)
    )
    record.fields = fields
    line, *traceback = PlainFormatter().format(record).split("\n")
    assert line.partition(" ")[2] == (
        r"info: a\rb path=/x\n23:59:59 info: answered\x1b[2J\x07 query=café \ud800\x85"
    )
    assert traceback[0] == "Traceback (most recent call last):"
    assert traceback[-2:] == ["ValueError: several", r"lines\x1b[31m"]


def test_other_loggers_write_json_too_where_something_is_wrong() -> None:
    code = (
        "import logging, logging.config\n"
        "from crossrank.server.logs import logging_config\n"
        "logging.config.dictConfig(logging_config())\n"
        "logging.getLogger('asyncio').error('lost')\n"
        "logging.getLogger('asyncio').info('chatter')\n"
        "logging.getLogger('crossrank.x').info('ours')\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    lines = [json.loads(line) for line in ended.stderr.splitlines()]
    assert [(line["level"], line["message"]) for line in lines] == [
        ("error", "lost"),
        ("info", "ours"),
    ]


def test_traces_have_a_span_for_each_request_and_each_of_its_stages(
    constant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = pytest.importorskip(
        "opentelemetry.sdk.trace.export.in_memory_span_exporter",
        reason="opentelemetry-sdk is not installed",
    )
    exporter = memory.InMemorySpanExporter()
    monkeypatch.setattr(application, "otlp_exporter", lambda: exporter)
    trace, parent = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
    settings = Settings(models={"default": constant}, backend="constant", tracing=True)
    with live_server(settings) as base:
        headers = {"traceparent": f"00-{trace}-{parent}-01", "x-request-id": "mine"}
        httpx.post(f"{base}/v1/rerank", json=ASK, headers=headers)
        httpx.post(f"{base}/v1/rerank", json={}, headers={"traceparent": "nonsense"})
        httpx.get(f"{base}/health")
    spans = exporter.get_finished_spans()
    assert [span.name for span in spans] == [
        "tokenize",
        "compute",
        "finish",
        "POST /v1/rerank",
        "POST /v1/rerank",
    ]
    request = spans[3]
    assert format(request.context.trace_id, "032x") == trace
    assert format(request.parent.span_id, "016x") == parent
    assert dict(request.attributes) == {
        "http.request.method": "POST",
        "http.response.status_code": 200,
        "url.path": "/v1/rerank",
        "crossrank.request_id": "mine",
        "crossrank.dialect": "jina",
        "crossrank.model": "default",
        "crossrank.documents": 2,
        "crossrank.tokens": 22,
        "crossrank.cached": 0,
        "crossrank.truncated": 1,
    }
    moments = [request.start_time]
    for stage in spans[:3]:
        assert stage.parent.span_id == request.context.span_id
        moments += [stage.start_time, stage.end_time]
    moments.append(request.end_time)
    assert moments == sorted(moments)
    assert spans[4].attributes["http.response.status_code"] == 422
    assert spans[4].parent is None
