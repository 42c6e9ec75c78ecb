"""What clients may send: every limit, with its status, in the shape of the dialect's errors."""

import json
import logging
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import httpx
import pytest
from tests.server.live import Gate, until
from tests.server.sockets import NEVER, connect, head, read_all

from crossrank.server.dialects import by_path
from crossrank.server.problems import RequestError
from crossrank.server.serving import ServedModel

Small = Callable[..., str]
JSON = {"content-type": "application/json"}
ASK = {"query": "w1 w2", "documents": ["w1", "w2 w3"]}


def post(base: str, body: bytes | Iterator[bytes], path: str = "/v1/rerank") -> httpx.Response:
    return httpx.post(base + path, content=body, headers=JSON, timeout=NEVER)


def reason(response: httpx.Response, status: int) -> str:
    """The message of an error on Jina's path, which others share."""
    assert response.status_code == status, response.text
    content = response.json()
    assert content["message"] == content["detail"] == content["error"]["message"]
    assert content["error"]["code"] == status
    return str(content["message"])


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(8) as pool:
        yield pool


DEEP = 90_000
MALFORMED = {
    "nothing": (b"", "Expecting value"),
    "no JSON": (b"query=w1", "Expecting value"),
    "a list": (b"[1]", "received list"),
    "a text": (b'"w1"', "received str"),
    "cut short": (b'{"query": "w1", "documents": ["w', "Unterminated string"),
    "two objects": (b'{"query": "w1"} {}', "Extra data"),
    "a comment": (b'{"query": "w1" /* mine */}', "delimiter"),
    "NaN": (b'{"query": "w1", "documents": ["w1"], "top_n": NaN}', "NaN is no JSON number"),
    "infinity": (b'{"query": "w1", "documents": ["w1"], "x": -Infinity}', "no JSON number"),
    "a number that is none": (b'{"query": "w1", "x": 1e999}', "1e999 is too large"),
    "an endless number": (b'{"query": "w1", "x": ' + b"9" * 5000 + b"}", "4300 digits"),
    "a key twice": (b'{"query": "w1", "query": "w2"}', "'query' is there twice"),
    "a key twice, deep": (b'{"documents": [{"a": 1, "a": 2}]}', "'a' is there twice"),
    "no UTF-8": (b'{"query": "\xff"}', "can't decode byte 0xff"),
    "UTF-16": ('{"query": "w1"}'.encode("utf-16"), "can't decode byte"),
    "a byte order mark": (b'\xef\xbb\xbf{"query": "w1"}', "BOM"),
    "nested": (b"[" * DEEP, "too deeply nested"),
    "nested in a field": (b'{"query":' * DEEP, "too deeply nested"),
    "nested a little too deeply": (
        b'{"query":' + b"[0," * 100 + b"0" + b"]" * 100 + b"}",
        "nested",
    ),
    "nested and closed": (b'{"query":' + b"[" * DEEP + b"]" * DEEP + b"}", "too deeply nested"),
}


def test_bodies_that_are_no_json_object_get_400(small: Small) -> None:
    base = small()
    for name, (body, expected) in MALFORMED.items():
        assert expected in reason(post(base, body), 400), name


def test_brackets_in_texts_are_texts(small: Small) -> None:
    text = '["\\' + "[" * 200_000 + '\\"{'
    body = {"query": "w1", "documents": [text, "w1"], "x": [[0]] * 200}
    response = post(small(), json.dumps(body).encode())
    assert response.status_code == 200, response.text
    [found] = [e["document"]["text"] for e in response.json()["results"] if e["index"] == 0]
    assert found == text


def test_a_body_may_be_nested_to_a_depth_that_everything_bears(small: Small) -> None:
    base = small()
    for pad in (0, 200_000):  # parsed on a thread
        for depth, status in ((97, 200), (98, 400), (950, 400)):  # in three others
            body = '{"query": "w1", "pad": "%s", "documents": [{"text": "w1", "x": %s}]}'
            nested = body % ("x" * pad, "[" * depth + "]" * depth)
            assert post(base, nested.encode()).status_code == status, (pad, depth)


def test_lists_that_would_fill_the_memory_get_413(small: Small) -> None:
    """The limit does not shrink with that of documents, whose own lists count, too."""
    base = small(max_documents=10)
    documents = [{"text": "w1", "tags": [[]] * 9_997}] * 10
    for extra, status in ((7, 200), (8, 413)):
        body = {"query": "w1", "documents": documents, "x": [[]] * extra}
        assert post(base, json.dumps(body).encode()).status_code == status, extra
    message = reason(post(base, json.dumps(body).encode()), 413)
    assert message.startswith("A body may have at most 100000 lists and objects, received 100001")


@pytest.mark.parametrize(
    ("path", "status", "body"),
    [
        ("/v2/rerank", 413, {"documents": ["w1"]}),
        ("/voyage/v1/rerank", 400, {"documents": ["w1"], "truncation": True}),
        ("/rerank", 413, {"texts": ["w1"], "truncate": True}),
        ("/rerank", 413, {"texts": ["w1"], "truncate": False}),
    ],
)
def test_a_query_that_is_kept_whole_may_be_too_long(
    small: Small, path: str, status: int, body: dict[str, Any]
) -> None:
    asked = json.dumps({"query": "w1 " * 20, **body}).encode()
    if status != 413 or body.get("truncate", True):
        assert post(small(), asked, path).status_code == 200
    response = post(small(truncation="only_document"), asked, path)
    assert response.status_code == status, response.text
    assert "The query has 20 tokens" in response.text
    assert "reads at most 12: shorten it" in response.text


WRONG: dict[str, dict[str, Any]] = {
    "query: Field required": {"documents": ["w1"]},
    "query: Input should be a valid string": {"query": 1, "documents": ["w1"]},
    "documents: Field required": {"query": "w1"},
    "documents: Input should be a valid list": {"query": "w1", "documents": {"a": "w1"}},
    "documents: List should have at least 1 item": {"query": "w1", "documents": []},
    "documents.1.str: Input should be": {"query": "w1", "documents": ["w1", None]},
    "documents.0.str: Input should be": {"query": "w1", "documents": [{"title": "w1"}]},
    "top_n: Input should be greater than": {**ASK, "top_n": -5},
    "top_n: Input should be a valid integer": {**ASK, "top_n": 1.5},
    "model: Input should be a valid string": {**ASK, "model": ["default"]},
}


def test_fields_of_the_wrong_type_get_422(small: Small) -> None:
    base = small()
    for expected, body in WRONG.items():
        assert reason(post(base, json.dumps(body).encode()), 422).startswith(expected)
    for top_n in ("1", True, -1, {}, [1]):
        wrong = json.dumps({**ASK, "top_n": top_n}).encode()
        assert reason(post(base, wrong), 422).startswith("top_n: ")


def test_numbers_of_any_size_do(small: Small) -> None:
    response = post(small(), json.dumps({**ASK, "top_n": 10**400}).encode())
    assert [entry["index"] for entry in response.json()["results"]] == [0, 1]


@pytest.mark.parametrize("path", by_path())
def test_every_path_refuses_in_the_shape_of_its_last_dialect(path: str, server: str) -> None:
    dialect = by_path()[path][-1]
    response = post(server, b"{", path)
    error = RequestError("malformed", "")
    assert response.status_code == dialect.status_of(error)
    expected = dialect.write_error(error).model_dump()
    assert response.json().keys() == expected.keys()
    assert "must be a JSON object" in response.text


def test_the_type_must_be_json_in_utf_8(small: Small) -> None:
    base = small()
    body = json.dumps(ASK).encode()
    for kind, expected in {
        "": "received ''",
        "text/plain": "'text/plain'",
        "application/x-www-form-urlencoded": "must be application/json",
        "multipart/form-data; boundary=x": "must be application/json",
        "application/json; charset=utf-16": "charset 'utf-16'",
    }.items():
        headers = {"content-type": kind} if kind else {}
        response = httpx.post(f"{base}/v1/rerank", content=body, headers=headers)
        assert expected in reason(response, 415)
    for kind in ("application/json; charset=UTF-8", "APPLICATION/JSON", "application/x+json"):
        response = httpx.post(f"{base}/v1/rerank", content=body, headers={"content-type": kind})
        assert response.status_code == 200


def test_any_text_is_scored_and_comes_back_as_it_was(server: str) -> None:
    documents = ["\ud800", "a \udfff b", "\x00", "nul \x00 inside", "\U0001f680", "", " ", "￾"]
    body = {"query": "\udc00 \x00", "documents": documents, "return_documents": True}
    response = post(server, json.dumps(body).encode())
    assert response.status_code == 200, response.text
    results = sorted(response.json()["results"], key=lambda entry: entry["index"])
    assert [entry["document"]["text"] for entry in results] == documents
    assert all(0 <= entry["relevance_score"] <= 1 for entry in results)
    assert response.content.isascii()


def test_more_documents_than_allowed_get_413(small: Small) -> None:
    base = small(max_documents=3)
    allowed, too_many = ({"query": "w1", "documents": ["w1"] * count} for count in (3, 4))
    assert post(base, json.dumps(allowed).encode()).status_code == 200
    message = reason(post(base, json.dumps(too_many).encode()), 413)
    assert message == "At most 3 documents are allowed in a request, received 4."
    tei = httpx.post(f"{base}/rerank", json={"query": "w1", "texts": ["w1"] * 4})
    assert (tei.status_code, tei.json()["error"]) == (413, message)


def test_bodies_that_are_too_large_get_413(small: Small) -> None:
    base = small(max_body_bytes=1000)
    fits = json.dumps(ASK).encode().ljust(1000)
    assert post(base, fits).status_code == 200
    for body in (fits + b" ", iter([fits, b" "])):  # announced, in chunks
        response = post(base, body)
        assert reason(response, 413) == "A body may have at most 1000 bytes: send less."
        assert response.headers["connection"] == "close"


def test_a_huge_body_is_refused_before_it_is_sent(small: Small) -> None:
    with connect(small(max_body_bytes=1000)) as connection:
        connection.sendall(head(10**12))
        assert read_all(connection).startswith(b"HTTP/1.1 413 ")


def test_an_endless_body_is_cut_off(small: Small) -> None:
    sent = 0

    def endless() -> Iterator[bytes]:
        nonlocal sent
        while sent < 50_000_000:
            sent += 1000
            yield b" " * 1000

    try:
        response = post(small(max_body_bytes=1000), endless())
    except httpx.TransportError:
        pass  # the connection was closed while the client was sending
    else:
        reason(response, 413)
    assert sent < 50_000_000


def test_a_trickling_body_gets_408_and_the_connection_is_closed(small: Small) -> None:
    with connect(small(body_timeout_s=0.3)) as connection:
        began = time.monotonic()
        connection.sendall(head(1000) + b"{")
        stop = threading.Event()

        def trickle() -> None:
            while not stop.wait(0.05):
                try:
                    connection.send(b" ")
                except OSError:
                    return

        thread = threading.Thread(target=trickle)
        thread.start()
        try:
            answer = b""
            while b"0.3 seconds" not in answer:
                answer += connection.recv(65536)
            thread.join(NEVER)  # a send fails: the server has closed the connection
            assert not thread.is_alive()
        finally:
            stop.set()
            thread.join()
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert 0.3 <= time.monotonic() - began < 5


def test_bodies_together_must_not_fill_the_memory(small: Small) -> None:
    """Ten of the largest may be there at a time, and no byte more."""
    base = small(max_body_bytes=1000)
    body = json.dumps(ASK).encode().ljust(1000)
    with ExitStack() as stack:
        connections = [stack.enter_context(connect(base)) for _ in range(10)]
        for connection in connections:
            connection.sendall(head(1000) + body[:-1])
        until(lambda: "crossrank_requests_in_flight 10.0" in httpx.get(f"{base}/metrics").text)
        refused = post(base, body)
        assert "fill the memory" in reason(refused, 429)
        assert refused.headers["retry-after"] == "1"
        for connection in connections:
            connection.sendall(body[-1:])
            assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")
    assert post(base, body).status_code == 200


def waiting_pairs(base: str) -> float:
    text = httpx.get(f"{base}/metrics").text
    [line] = [line for line in text.splitlines() if line.startswith("crossrank_queue_pairs{")]
    return float(line.split()[1])


def ask_later(threads: ThreadPoolExecutor, base: str, count: int = 1) -> "Future[httpx.Response]":
    body = {"query": "w1", "documents": [f"w{number}" for number in range(count)]}
    return threads.submit(post, base, json.dumps(body).encode())


def test_requests_beyond_the_most_at_a_time_get_429(
    small: Small, gate: Gate, threads: ThreadPoolExecutor
) -> None:
    base = small(max_requests=1)
    gate.close()
    first = ask_later(threads, base)
    gate.wait_for_batch()
    second = post(base, json.dumps(ASK).encode())
    assert "1 requests are being answered" in reason(second, 429)
    assert second.headers["retry-after"] == "1"
    gate.open.set()
    assert first.result().status_code == 200
    assert post(base, json.dumps(ASK).encode()).status_code == 200


def test_pairs_beyond_the_length_of_the_queue_get_429(
    small: Small, gate: Gate, threads: ThreadPoolExecutor
) -> None:
    base = small(max_queue=5)
    gate.close()
    first = ask_later(threads, base)
    gate.wait_for_batch()
    second = ask_later(threads, base, 4)
    until(lambda: waiting_pairs(base) == 4)
    third = post(base, json.dumps(ASK).encode())
    assert reason(third, 429).startswith("4 pairs wait already, and at most 5 may")
    assert third.headers["retry-after"] == "1"
    gate.open.set()
    assert [len(later.result().json()["results"]) for later in (first, second)] == [1, 4]


def test_answers_that_take_too_long_get_504_and_leave_the_queue(
    small: Small, gate: Gate, threads: ThreadPoolExecutor
) -> None:
    base = small(timeout_s=0.3)
    gate.close()
    first = ask_later(threads, base)
    gate.wait_for_batch()
    second = ask_later(threads, base, 40)
    until(lambda: waiting_pairs(base) == 40)
    for later in (first, second):
        assert reason(later.result(), 504) == "No answer was found in 0.3 seconds."
    assert waiting_pairs(base) == 0


def test_pairs_of_a_client_that_went_away_leave_the_queue(
    small: Small, gate: Gate, threads: ThreadPoolExecutor, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "crossrank.server")
    base = small()
    gate.close()
    first = ask_later(threads, base)
    gate.wait_for_batch()
    body = json.dumps({"query": "w1", "documents": [f"w{n}" for n in range(40)]}).encode()
    with connect(base) as connection:
        connection.sendall(head(len(body)) + body)
        until(lambda: waiting_pairs(base) == 40)
    until(lambda: waiting_pairs(base) == 0)
    gate.open.set()
    assert first.result().status_code == 200
    statuses = [line.fields["status"] for line in caplog.records if hasattr(line, "fields")]
    assert statuses.count(499) == 1


@pytest.mark.parametrize(
    ("path", "field", "status"),
    [("/v1/rerank", "documents", 500), ("/rerank", "texts", 424), ("/v1/score", "text_2", 500)],
)
def test_an_error_of_the_server_tells_the_client_nothing_and_the_log_all(
    path: str,
    field: str,
    status: int,
    small: Small,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    base = small()

    async def fail(*_: object, **__: object) -> None:
        raise RuntimeError("a secret")

    monkeypatch.setattr(ServedModel, "score", fail)
    body = {"query": "w1", "text_1": "w1", field: ["w1"]}
    response = httpx.post(base + path, json=body, headers={"x-request-id": "mine"})
    assert response.status_code == status
    assert "its log says why, under mine" in response.text
    assert "secret" not in response.text
    assert "Traceback" not in response.text
    dialect = next(d for d in by_path()[path] if d.claims(body))
    dialect.problem.model_validate(response.json())
    [line] = [line for line in caplog.records if line.levelname == "ERROR"]
    assert line.fields == {"request_id": "mine"}
    assert str(line.exc_info[1]) == "a secret"
    assert httpx.get(f"{base}/health").status_code == 200


def test_an_unknown_model_gets_404(small: Small) -> None:
    body = json.dumps({**ASK, "model": "gpt\ud800"}).encode()
    message = reason(post(small(), body), 404)
    assert message == "This server has no model 'gpt\\ud800'. It has: 'default'."


def test_unknown_paths_get_404_and_wrong_methods_405(small: Small) -> None:
    base = small()
    for path in ("/nothing", "/v1/rerank/", "//v1/rerank", "/v1/rerank%00", "/%ff", "/docs"):
        assert "There is nothing at" in reason(httpx.get(base + path), 404)
    response = httpx.get(f"{base}/v1/rerank")
    assert reason(response, 405) == "/v1/rerank takes POST, not GET."
    assert response.headers["allow"] == "POST"
    tei = httpx.request("DELETE", f"{base}/predict")
    assert (tei.status_code, tei.json().keys()) == (405, {"error", "error_type"})
    for method in ("PUT", "PATCH", "OPTIONS", "TRACE", "QUERY"):
        assert httpx.request(method, f"{base}/v1/rerank").status_code == 405
    assert httpx.head(f"{base}/v1/rerank").status_code == 405
    assert httpx.head(f"{base}/nothing").status_code == 404
    for path in ("/health", "/ready"):
        response = httpx.head(base + path)
        assert (response.status_code, response.content) == (200, b"")
    assert httpx.post(f"{base}/health").status_code == 405
