"""A score cache that several servers share, in Redis.

Nothing waits for it longer than a moment, and nothing fails because of it: what Redis does not
answer in time counts as unknown, what it does not take in time is forgotten, and while it does not
answer at all it is asked only now and then.
"""

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

import numpy as np

from crossrank.cache import entries, pair_key, read_logits
from crossrank.errors import InputError
from crossrank.optional import require
from crossrank.server.logs import LOGGER
from crossrank.types import Floats, Pair

Result = TypeVar("Result")

SCHEMES = ("redis://", "rediss://", "unix://")

WAIT_SECONDS = 0.05
"""How long a request waits for what Redis knows."""

SOCKET_SECONDS = 1.0
"""After which a connection on which nothing comes is given up; nobody waits for that."""

PAUSE_SECONDS = (1.0, 30.0)
"""How long Redis is left alone when it failed; twice as long each time, up to the second."""

MOST_WAITING = 64
"""Calls that may wait for Redis."""

KEPT_SECONDS = 30 * 24 * 3600
"""After which Redis forgets a score."""

MOST_LABELS = 1024
"""Longer values are none of ours."""

PREFIX = b"crossrank:1:"


def is_redis(cache: str) -> bool:
    """Say whether a setting names Redis, and no file.

    Example:
        >>> is_redis("redis://cache:6379/0"), is_redis("scores.sqlite")
        (True, False)
    """
    return cache.startswith(SCHEMES)


class RedisCache:
    """Logits of pairs that some server scored before; used like ``crossrank.cache.ScoreCache``.

    Args:
        url: ``redis://[user:password@]host[:port][/database]``; ``rediss://`` for TLS,
            ``unix://path`` for a socket.

    Raises:
        InputError: The URL cannot be read.
        MissingDependencyError: The package redis is not installed.
    """

    def __init__(self, url: str) -> None:
        redis = require("redis", extra="redis")
        retry, backoff = require("redis.retry", extra="redis"), redis.backoff
        try:
            self._client = redis.Redis.from_url(
                url,
                socket_timeout=SOCKET_SECONDS,
                socket_connect_timeout=SOCKET_SECONDS,
                retry=retry.Retry(backoff.NoBackoff(), 0),
            )
        except ValueError as error:
            raise InputError(
                f"The score cache must be redis://host:port/database: {error}."
            ) from error
        self._threads = ThreadPoolExecutor(2, thread_name_prefix="crossrank-redis")
        self._room = threading.BoundedSemaphore(MOST_WAITING)
        self._breaker = _Breaker()

    def get(self, namespace: bytes, pairs: Sequence[Pair]) -> list[Floats | None]:
        """Look pairs up; what Redis does not answer in time is not known.

        Args:
            namespace: Digest of everything but the texts that can change a score.
            pairs: Queries and documents.

        Returns:
            For each pair its logits ``[labels]``, or None.
        """
        unknown: list[Floats | None] = [None] * len(pairs)
        if not pairs or not self._breaker.closed():
            return unknown
        # Here, and not where the call runs: this time is none of Redis's.
        keys = [PREFIX + pair_key(namespace, pair) for pair in pairs]
        call = self._call(lambda: self._client.mget(keys))
        if call is not None:
            try:
                return [_logits(value) for value in call.result(WAIT_SECONDS)]
            except Exception as error:  # noqa: BLE001  whatever it is, scoring goes on
                call.cancel()
                self._breaker.failed(error)
        return unknown

    def put(self, namespace: bytes, pairs: Sequence[Pair], logits: Floats) -> None:
        """Remember the logits of pairs, without waiting for it.

        Args:
            namespace: Digest of everything but the texts that can change a score.
            pairs: Queries and documents.
            logits: What the model answered, ``[pairs, labels]``.
        """
        if not self._breaker.closed():
            return
        rows = entries(namespace, pairs, logits)  # here: a call that waits must not hold the texts

        def write() -> None:
            with self._client.pipeline(transaction=False) as pipeline:
                for key, value in rows:
                    pipeline.set(PREFIX + key, value, ex=KEPT_SECONDS)
                pipeline.execute()

        self._call(write)

    def close(self) -> None:
        """Write what is pending and close the connections."""
        self._threads.shutdown()
        self._client.close()

    def _call(self, function: Callable[[], Result]) -> "Future[Result] | None":
        """Run a call on a thread, unless Redis is left alone or too many calls wait for it."""
        if not self._breaker.closed() or not self._room.acquire(blocking=False):
            return None
        try:
            call = self._threads.submit(function)
        except RuntimeError:  # closed: from now on it knows nothing
            self._room.release()
            return None
        call.add_done_callback(self._ended)
        return call

    def _ended(self, call: "Future[Any]") -> None:
        self._room.release()
        error = None if call.cancelled() else call.exception()
        if error is not None:
            self._breaker.failed(error)
        elif not call.cancelled():
            self._breaker.worked()


class _Breaker:
    """Says whether Redis may be asked: not for some time after it failed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pause = PAUSE_SECONDS[0]
        self._until = 0.0
        self._open = False

    def closed(self) -> bool:
        with self._lock:
            return time.monotonic() >= self._until

    def failed(self, error: BaseException) -> None:
        with self._lock:
            if time.monotonic() < self._until:
                return  # known already
            first, self._open = not self._open, True
            self._until = time.monotonic() + self._pause
            self._pause = min(2 * self._pause, PAUSE_SECONDS[1])
        if first:
            reason = str(error) or type(error).__name__
            LOGGER.warning("The score cache in Redis does not answer, and is left out: %s", reason)

    def worked(self) -> None:
        with self._lock:
            if time.monotonic() < self._until:
                return  # too late: somebody has given up waiting
            again, self._open = self._open, False
            self._pause = PAUSE_SECONDS[0]
        if again:
            LOGGER.warning("The score cache in Redis answers again.")


def _logits(value: bytes | None) -> Floats | None:
    """Read a value, if it is one of ours: others may write to Redis too."""
    if value is None or not value or len(value) % 4 or len(value) > 4 * MOST_LABELS:
        return None
    logits = read_logits(value)
    return logits if np.isfinite(logits).all() else None
