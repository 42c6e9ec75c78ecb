"""Connections: what is no HTTP, who asks for nothing, who reads nothing."""

import json
import logging
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import httpx
import pytest
from tests.server.live import until
from tests.server.sockets import NEVER, connect, head, read_all, read_answer

from crossrank.server import connections
from crossrank.server.auth import hash_key

Small = Callable[..., str]
ASK = json.dumps({"query": "w1", "documents": ["w1"]}).encode()

UNFINISHED = b"POST /v1/rerank HTTP/1.1\r\nX: "


@pytest.mark.parametrize(
    ("sent", "more"),
    [
        (b"", b""),
        (UNFINISHED, b"x"),
        (b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n" + UNFINISHED, b"x"),
    ],
    ids=["silent", "headers without end", "the same after an answer"],
)
def test_connections_on_which_no_request_comes_are_closed(
    small: Small, sent: bytes, more: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "IDLE_SECONDS", 0.2)
    with connect(small()) as connection:
        began = time.monotonic()
        connection.sendall(sent)
        connection.settimeout(0.05)
        with suppress(ConnectionError):  # closed while sending
            while time.monotonic() - began < NEVER:
                connection.sendall(more)
                with suppress(TimeoutError):
                    if not connection.recv(65536):
                        break
    assert 0.15 < time.monotonic() - began < 5


@pytest.mark.parametrize(
    "sent",
    [
        b"\x00\x01\x02\x03" * 100,
        b"GET /health HTTP/nine\r\n\r\n",
        b"GET /health HTTP/1.1\r\n\r\n",
        b"POST /v1/rerank HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST /v1/rerank HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n{}",
        b"POST /v1/rerank HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"POST /v1/rerank HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"GET /" + b"a" * 200_000 + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        b"GET /none HTTP/1.1\r\nHost: [\r\nConnection: close\r\n\r\n",
    ],
)
def test_no_http_at_all_gets_an_error_of_the_client(small: Small, sent: bytes) -> None:
    base = small()
    with connect(base) as connection:
        connection.sendall(sent)
        answer = b""
        with suppress(OSError):  # closed before all was read
            connection.shutdown(socket.SHUT_WR)
            answer = read_all(connection)
    assert not answer or answer.startswith(b"HTTP/1.1 4"), answer[:200]
    assert httpx.get(f"{base}/health").status_code == 200


def test_a_head_without_end_is_cut_off(small: Small) -> None:
    """What the server does not take stays in the buffers between both: a few megabytes."""
    endless = UNFINISHED + b"x" * 50_000_000
    with connect(small()) as connection, pytest.raises(ConnectionError):
        connection.sendall(endless)


@pytest.mark.parametrize("together", [True, False])
def test_who_offers_another_protocol_is_answered_in_this_one(
    small: Small, together: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """Java's HttpClient and ``curl --http2`` do so with every first request."""
    offer = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAEAAEAA\r\n"
    asked = head(len(ASK)).replace(b"Host:", offer + b"Host:")
    with connect(small()) as connection:
        for sent in [asked + ASK] if together else [asked, ASK]:
            connection.sendall(sent)
            time.sleep(0.05)
        assert read_answer(connection).startswith(b"HTTP/1.1 200 ")
        connection.sendall(head(len(ASK)) + ASK)
        assert read_answer(connection).startswith(b"HTTP/1.1 200 ")
    assert caplog.records == []


def test_requests_sent_at_once_are_answered_in_order(small: Small) -> None:
    asked = [
        head(len(ASK)).replace(b"Host:", b"X-Request-ID: %d\r\nHost:" % number) + ASK
        for number in range(20)
    ]
    with connect(small()) as connection:
        connection.sendall(b"".join(asked) + b"GET /health HTTP/1.0\r\n\r\n")
        answers = read_all(connection).split(b"HTTP/1.1 200 OK\r\n")[1:]
    ids = [answer.partition(b"x-request-id: ")[2].partition(b"\r\n")[0] for answer in answers]
    assert ids[:-1] == [b"%d" % number for number in range(20)]
    assert answers[-1].endswith(b'{"status":"ok"}')


def test_what_is_no_http_behind_an_answer_closes_the_connection(
    small: Small, tmp_path: Any, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "keys").write_text(hash_key("mine"))
    chunked = head(0).replace(b"Content-Length: 0", b"Transfer-Encoding: chunked")
    with connect(small(api_keys=tmp_path / "keys")) as connection:
        connection.sendall(chunked)
        assert read_answer(connection).startswith(b"HTTP/1.1 401 ")
        connection.sendall(b"no length of a chunk\r\n")
        with suppress(ConnectionResetError):
            assert read_all(connection) == b""
    assert [line for line in caplog.records if line.levelno >= logging.ERROR] == []


LARGE = json.dumps({"query": "w1", "documents": ["w1 " + "\N{SNOWMAN}" * 1_500_000]}).encode()
"""Its answer has nine megabytes, more than there is room for between server and client."""


def ask_for_much(base: str, buffer: int) -> socket.socket:
    connection = connect(base)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
    connection.sendall(head(len(LARGE)) + LARGE)
    return connection


@pytest.fixture
def lost(monkeypatch: pytest.MonkeyPatch) -> list[connections.Connection]:
    """The connections that are gone."""
    monkeypatch.setattr(connections, "IDLE_SECONDS", 0.3)
    found: list[connections.Connection] = []
    lose = connections.Connection.connection_lost

    def losing(connection: connections.Connection, error: Exception | None) -> None:
        found.append(connection)
        lose(connection, error)

    monkeypatch.setattr(connections.Connection, "connection_lost", losing)
    return found


@pytest.mark.parametrize("asked_more", [False, True], ids=["once", "with another request"])
def test_an_answer_that_nobody_reads_is_thrown_away(
    small: Small, lost: list[connections.Connection], asked_more: bool
) -> None:
    with ask_for_much(small(), 4096) as connection:
        if asked_more:  # its answer waits for room
            connection.sendall(head(len(ASK)) + ASK)
        until(lambda: lost)


def test_an_answer_that_is_read_slowly_comes_whole(
    small: Small, lost: list[connections.Connection]
) -> None:
    answer = b""
    with ask_for_much(small(), 100_000) as connection:
        while chunk := connection.recv(100_000):
            answer += chunk
            time.sleep(0.01)
    assert answer.count(b"\\u2603") == 1_500_000


def test_a_body_of_two_lengths_ends_the_connection(small: Small) -> None:
    """Whoever stands before the server may have seen one request where it sees two."""
    ask = head(500).removesuffix(b"\r\n") + b"Transfer-Encoding: chunked\r\n\r\n"
    body = b"%x\r\n%s\r\n0\r\n\r\n" % (len(ASK), ASK)
    with connect(small()) as connection:
        connection.sendall(ask + body + b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
        answers = read_all(connection)
    assert answers.startswith(b"HTTP/1.1 400 ")
    assert answers.count(b"HTTP/1.1 ") == 1


@pytest.mark.parametrize(
    ("target", "status"),
    [
        (b"http://localhost/health", b"200"),
        (b"HTTP://127.0.0.1:1/health?x=1", b"200"),
        (b"http://localhost", b"200"),
        (b"http://localhost/none", b"404"),
        (b"http://evil.example/health", b"421"),
    ],
)
def test_a_target_may_be_an_address(small: Small, target: bytes, status: bytes) -> None:
    """As those send it who take the server for a proxy; it counts instead of ``Host``."""
    with connect(small()) as connection:
        connection.sendall(b"GET %s HTTP/1.1\r\nHost: localhost\r\n" % target)
        connection.sendall(b"Connection: close\r\n\r\n")
        assert read_all(connection).startswith(b"HTTP/1.1 " + status)


def test_empty_lines_before_a_request_are_passed_over(small: Small) -> None:
    ask = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with connect(small()) as connection:
        for _ in range(2):
            connection.sendall(b"\r\n")
            connection.sendall(b"\r\n" + ask)
            assert read_answer(connection).startswith(b"HTTP/1.1 200 ")
