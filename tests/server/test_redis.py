"""The score cache in Redis: shared, bounded, and never in the way."""

import logging
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import numpy as np
import pytest
from tests.server.live import until

from crossrank.cache import ScoreCache, pair_key
from crossrank.errors import InputError
from crossrank.server import redis_cache
from crossrank.server.redis_cache import RedisCache, is_redis

redis = pytest.importorskip("redis", reason="the package redis is not installed")

Small = Callable[..., str]
PAIRS = [("query", "document"), ("query", "another"), ("\ud800", "\x00")]
LOGITS = np.float32([[1.5], [-2.25], [0.0]])


@contextmanager
def redis_server(folder: Path, port: int = 0) -> Iterator[tuple[str, "subprocess.Popen[bytes]"]]:
    """Run a Redis on a port of this machine; gives its URL and its process."""
    program = shutil.which("redis-server")
    if program is None:
        pytest.skip("redis-server is not installed")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", port))
        port = probe.getsockname()[1]
    options = ["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", str(folder)]
    process = subprocess.Popen([program, "--port", str(port), *options], stdout=subprocess.DEVNULL)
    url = f"redis://127.0.0.1:{port}/0"
    try:
        with redis.Redis.from_url(url) as client:
            until(lambda: _answers(client))
        yield url, process
    finally:
        process.kill()
        process.wait()


def _answers(client: "redis.Redis") -> bool:
    try:
        return bool(client.ping())
    except redis.ConnectionError:
        return False


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with redis_server(tmp_path_factory.mktemp("redis")) as (url, _):
        yield url


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy machine a healthy Redis may need longer."""
    monkeypatch.setattr(redis_cache, "WAIT_SECONDS", 2.0)


@contextmanager
def cache_at(url: str) -> Iterator[RedisCache]:
    cache = RedisCache(url)
    try:
        yield cache
    finally:
        cache.close()


def known(found: list[np.ndarray | None]) -> list[float | None]:
    return [None if row is None else float(row[0]) for row in found]


def test_what_one_server_puts_another_gets(url: str, tmp_path: Path) -> None:
    with cache_at(url) as writer:
        assert known(writer.get(b"model", PAIRS)) == [None, None, None]
        writer.put(b"model", PAIRS, LOGITS)
    with cache_at(url) as reader:
        found = reader.get(b"model", [*PAIRS, ("query", "unknown")])
        assert known(reader.get(b"other", PAIRS)) == [None, None, None]
        assert reader.get(b"model", []) == []
    assert known(found) == [1.5, -2.25, 0.0, None]
    assert all(row.dtype == np.float32 for row in found if row is not None)
    # The file of ScoreCache answers alike.
    file = ScoreCache(tmp_path / "scores.sqlite")
    file.put(b"model", PAIRS, LOGITS)
    assert known(file.get(b"model", PAIRS)) == known(found)[:3]
    file.close()


def test_keys_are_those_of_the_file_and_values_expire(url: str) -> None:
    with cache_at(url) as cache:
        cache.put(b"keys", PAIRS[:1], np.float32([[1.0, 2.0]]))
    with redis.Redis.from_url(url) as client:
        key = b"crossrank:1:" + pair_key(b"keys", PAIRS[0])
        assert client.get(key) == np.float32([1.0, 2.0]).tobytes()
        assert 29 * 24 * 3600 < client.ttl(key) <= 30 * 24 * 3600


@pytest.mark.parametrize(
    "value",
    [b"", b"abc", b"\x00" * 5, b"\x00" * 8192, np.float32([np.nan]).tobytes(), b"\xff" * 4],
)
def test_values_that_are_none_of_ours_are_not_known(url: str, value: bytes) -> None:
    with redis.Redis.from_url(url) as client:
        client.set(b"crossrank:1:" + pair_key(b"odd", PAIRS[0]), value)
    with cache_at(url) as cache:
        assert known(cache.get(b"odd", PAIRS[:1])) == [None]


def test_a_key_of_another_type_breaks_nothing(url: str) -> None:
    with redis.Redis.from_url(url) as client:
        client.rpush(b"crossrank:1:" + pair_key(b"list", PAIRS[0]), "x")
    with cache_at(url) as cache:
        cache.put(b"list", PAIRS[1:2], LOGITS[1:2])
        until(lambda: known(cache.get(b"list", PAIRS[:2])) == [None, -2.25])


def test_logits_of_the_wrong_width_are_computed_anew(small: Small, url: str) -> None:
    body = {"query": "w1", "documents": ["w1 w2", "w3"]}
    plain = httpx.post(f"{small()}/v1/rerank", json=body).json()["results"]
    base = small(cache=url)
    assert httpx.post(f"{base}/v1/rerank", json=body).json()["results"] == plain
    with redis.Redis.from_url(url) as client:
        until(lambda: len(client.keys("crossrank:1:*")) >= 2)
        for key in client.keys("crossrank:1:*"):
            client.set(key, np.float32([1, 2, 3]).tobytes())
    assert httpx.post(f"{base}/v1/rerank", json=body).json()["results"] == plain


def test_two_servers_share_their_scores(small: Small, url: str) -> None:
    with redis.Redis.from_url(url) as client:
        client.flushall()
        body = {"query": "w5", "documents": ["w5 w6", "w7"]}
        first, second = small(cache=url), small(cache=url)
        answers = [httpx.post(f"{first}/v1/rerank", json=body).json()["results"]]
        until(lambda: len(client.keys("crossrank:1:*")) == 2)
    answers.append(httpx.post(f"{second}/v1/rerank", json=body).json()["results"])
    assert answers[0] == answers[1]
    hits = 'crossrank_cache_hits_total{model="default"}'
    assert f"{hits} 0.0" in httpx.get(f"{first}/metrics").text
    assert f"{hits} 2.0" in httpx.get(f"{second}/metrics").text


def seconds_to_get(cache: RedisCache) -> float:
    began = time.monotonic()
    assert known(cache.get(b"model", PAIRS)) == [None, None, None]
    return time.monotonic() - began


def test_redis_may_die_and_come_back_in_the_middle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(redis_cache, "PAUSE_SECONDS", (0.2, 0.2))
    caplog.set_level(logging.WARNING, "crossrank.server")
    with redis_server(tmp_path) as (url, process), cache_at(url) as cache:
        port = int(url.rpartition(":")[2].partition("/")[0])
        cache.put(b"model", PAIRS, LOGITS)
        until(lambda: known(cache.get(b"model", PAIRS))[0] == 1.5)
        process.send_signal(signal.SIGKILL)
        process.wait()
        slowest = max(seconds_to_get(cache) for _ in range(200))
        assert slowest < 1
        cache.put(b"model", PAIRS, LOGITS)
        with redis_server(tmp_path, port):

            def again() -> bool:
                cache.put(b"model", PAIRS, LOGITS)
                return known(cache.get(b"model", PAIRS))[0] == 1.5

            until(again)
    messages = [line.message for line in caplog.records]
    assert messages[0].startswith("The score cache in Redis does not answer, and is left out")
    assert messages[-1] == "The score cache in Redis answers again."
    assert len(messages) == 2


def test_a_redis_that_hangs_is_waited_for_once_and_not_for_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_cache, "WAIT_SECONDS", 0.2)
    monkeypatch.setattr(redis_cache, "SOCKET_SECONDS", 0.5)
    with redis_server(tmp_path) as (url, process), cache_at(url) as cache:
        process.send_signal(signal.SIGSTOP)
        waits = [seconds_to_get(cache) for _ in range(100)]
        assert 0.2 <= waits[0] < 2
        assert sum(waits[1:]) < 0.2  # it is left alone now
        began = time.monotonic()
        for _ in range(1000):
            cache.put(b"model", PAIRS, LOGITS)
        assert time.monotonic() - began < 1
        process.send_signal(signal.SIGCONT)


def test_texts_are_not_digested_for_a_redis_that_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_cache, "PAUSE_SECONDS", (60.0, 60.0))
    with redis_server(tmp_path) as (url, process), cache_at(url) as cache:
        process.kill()
        process.wait()
        assert known(cache.get(b"model", PAIRS)) == [None, None, None]
        digested: list[int] = []
        monkeypatch.setattr("crossrank.cache.blake2b", lambda **_: digested.append(1))
        assert known(cache.get(b"model", PAIRS)) == [None, None, None]
        cache.put(b"model", PAIRS, LOGITS)
    assert not digested


def test_a_server_answers_while_redis_is_absent(small: Small, tmp_path: Path) -> None:
    with redis_server(tmp_path) as (url, process):
        process.kill()
        process.wait()
        base = small(cache=url)
        for _ in range(3):
            body = {"query": "w1", "documents": ["w1", "w2"]}
            assert httpx.post(f"{base}/v1/rerank", json=body).status_code == 200


def test_a_closed_cache_is_empty_and_ignores(url: str) -> None:
    cache = RedisCache(url)
    cache.close()
    for _ in range(100):  # more calls than may wait at a time
        cache.put(b"model", PAIRS, LOGITS)
        assert cache.get(b"model", PAIRS) == [None, None, None]


def test_only_urls_are_redis() -> None:
    assert [is_redis(f"{scheme}host") for scheme in ("redis://", "rediss://", "unix://")] == [
        True,
        True,
        True,
    ]
    assert not is_redis("redis")
    assert not is_redis("./redis:/scores.sqlite")
    with pytest.raises(InputError, match="redis://host:port/database"):
        RedisCache("redis://host:port/0")
