"""A cache of logits on disk, shared by threads and processes.

One SQLite table in WAL mode holds it all, and its row ids are the clock: a new or renewed entry
takes the highest id, so the entries to forget are those whose id lies more than ``max_entries``
below it. No counting, no column of access times, no write for a read of a recent entry.
"""

import itertools
import os
import sqlite3
import threading
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path
from typing import Protocol

import numpy as np

from crossrank.errors import CacheError, InputError
from crossrank.types import Floats, Pair

APPLICATION_ID = int.from_bytes(b"CRs1")  # in the file's header: a crossrank score cache, format 1
BUSY_SECONDS = 10.0  # how long to wait for another process's write
MOST_RENEWALS = 4096  # renewals that may wait in memory for the next write

_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_GARBLED = (TypeError, UnicodeDecodeError)  # what damage to the table's definition leads to
_BUSY = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}


def pair_key(namespace: bytes, pair: Pair) -> bytes:
    """Digest a namespace and a pair; the lengths keep the border between the parts.

    Example:
        >>> pair_key(b"", ("ab", "c")) == pair_key(b"", ("a", "bc"))
        False
    """
    digest = blake2b(digest_size=16)
    for part in (namespace, *(text.encode("utf-8", "surrogatepass") for text in pair)):
        digest.update(len(part).to_bytes(8, "little"))
        digest.update(part)
    return digest.digest()


def entries(namespace: bytes, pairs: Sequence[Pair], logits: Floats) -> list[tuple[bytes, bytes]]:
    """Write down what a cache keeps: the key of each pair, and its logits, ``[pairs, labels]``."""
    return [
        (pair_key(namespace, pair), row.tobytes())
        for pair, row in zip(pairs, logits.astype("<f4"), strict=True)
    ]


def read_logits(value: bytes) -> Floats:
    """Read logits ``[labels]`` as ``entries`` wrote them."""
    return np.frombuffer(value, "<f4").astype(np.float32)


class Cache(Protocol):
    """What remembers logits; ``ScoreCache`` says what its methods mean."""

    def get(self, namespace: bytes, pairs: Sequence[Pair]) -> list[Floats | None]:
        """Look pairs up."""

    def put(self, namespace: bytes, pairs: Sequence[Pair], logits: Floats) -> None:
        """Remember the logits of pairs."""

    def close(self) -> None:
        """Write what is pending; afterwards the cache is empty and ignores."""


class ScoreCache:
    """Logits of pairs that were scored before.

    Scoring never fails because of the cache. A damaged file is renamed to ``<name>.corrupt`` and a
    new one begun, with a warning; a file that cannot be written any more (disk full, locked,
    read-only) turns the cache off, with a warning.

    Args:
        path: The file; it and its folder are made when absent.
        max_entries: Most entries to keep. The least recently used go first; an entry survives at
            least ``max_entries / 2`` writes after its last use.

    Raises:
        CacheError: The path is a folder, cannot be written, or holds another program's database.
        InputError: ``max_entries`` is below 1.

    Example:
        >>> import tempfile
        >>> folder = tempfile.TemporaryDirectory()
        >>> cache = ScoreCache(Path(folder.name) / "scores.sqlite")
        >>> cache.put(b"model", [("query", "document")], np.array([[1.5]], np.float32))
        >>> cache.get(b"model", [("query", "document"), ("query", "another")])
        [array([1.5], dtype=float32), None]
        >>> cache.close(); folder.cleanup()
    """

    def __init__(self, path: str | Path, *, max_entries: int = 5_000_000) -> None:
        if max_entries < 1:
            raise InputError(f"max_entries must be at least 1, received {max_entries!r}")
        # An absolute path also keeps SQLite from reading a meaning into names such as ":memory:".
        self._path = Path(path).absolute()
        self._max_entries = max_entries
        self._renewals: set[int] = set()
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        _check_writable(self._path)
        with self._surviving_failure():
            self._open()

    def get(self, namespace: bytes, pairs: Sequence[Pair]) -> list[Floats | None]:
        """Look pairs up.

        Args:
            namespace: Digest of everything but the texts that can change a score.
            pairs: Queries and documents.

        Returns:
            For each pair its logits ``[labels]``, or None when it is not in the cache.
        """
        keys = [pair_key(namespace, pair) for pair in pairs]
        found: list[Floats | None] = [None] * len(pairs)
        with self._lock, self._surviving_failure():
            connection = self._connected()
            if connection is None:
                return found
            with _transaction(connection, "DEFERRED"):
                old = _highest_id(connection) - self._max_entries // 2
                for position, key in enumerate(keys):
                    # What damage has made of a row counts as not known.
                    row = connection.execute(
                        "SELECT id, logits FROM scores WHERE key = ? "
                        "AND typeof(logits) = 'blob' AND length(logits) % 4 = 0",
                        (key,),
                    ).fetchone()
                    if row is not None:
                        found[position] = read_logits(row[1])
                        if row[0] <= old:
                            self._renewals.add(row[0])
            if len(self._renewals) >= MOST_RENEWALS:
                self._write(connection, [])
        return found

    def put(self, namespace: bytes, pairs: Sequence[Pair], logits: Floats) -> None:
        """Remember the logits of pairs.

        Args:
            namespace: Digest of everything but the texts that can change a score.
            pairs: Queries and documents.
            logits: What the model answered, ``[pairs, labels]``.

        Raises:
            InputError: There is not one row of logits for each pair.
        """
        if logits.ndim != 2 or len(logits) != len(pairs):
            raise InputError(
                f"logits must have the shape [{len(pairs)}, labels], received {list(logits.shape)}"
            )
        rows = entries(namespace, pairs, logits)
        with self._lock, self._surviving_failure():
            connection = self._connected()
            if connection is not None and rows:
                self._write(connection, rows)

    def close(self) -> None:
        """Write what is pending and close the file; afterwards the cache is empty and ignores."""
        with self._lock, self._surviving_failure():
            connection = self._connected()
            if connection is not None and self._renewals:
                self._write(connection, [])
        with self._lock:
            self._disconnect()

    def _write(self, connection: sqlite3.Connection, rows: list[tuple[bytes, bytes]]) -> None:
        renewals = [(row_id,) for row_id in sorted(self._renewals)]
        with _transaction(connection, "IMMEDIATE"):
            connection.executemany(
                "UPDATE scores SET id = (SELECT max(id) FROM scores) + 1 WHERE id = ?", renewals
            )
            connection.executemany("REPLACE INTO scores (key, logits) VALUES (?, ?)", rows)
            connection.execute(
                "DELETE FROM scores WHERE id <= ?", (_highest_id(connection) - self._max_entries,)
            )
        self._renewals.clear()

    def _connected(self) -> sqlite3.Connection | None:
        """The connection, or None when the cache is off; SQLite's may not cross a fork."""
        if self._connection is not None and self._process != os.getpid():
            # Closing the parent's connection here would drop the parent's locks: let it be.
            _PARENTS_CONNECTIONS.append(self._connection)
            self._connection = None
            self._open()
        return self._connection

    def _open(self) -> None:
        self._process = os.getpid()
        self._inode = self._path.stat().st_ino
        self._renewals.clear()
        connection = sqlite3.connect(
            self._path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
        )
        try:
            _prepare(connection, self._path)
        except BaseException:
            connection.close()
            raise
        self._connection = connection

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection = None

    @contextmanager
    def _surviving_failure(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError, *_GARBLED) as error:
            if _code(error) in _DAMAGED or isinstance(error, _GARBLED):
                self._rebuild(error)
            else:
                self._turn_off(error)

    def _rebuild(self, damage: Exception) -> None:
        self._disconnect()
        try:
            # Another process may have replaced the file since it was opened here.
            if self._path.stat().st_ino == self._inode:
                aside = _set_aside(self._path)
                self._path.touch()
                warnings.warn(
                    f"The score cache {self._path} is damaged ({damage}). It was renamed to "
                    f"{aside.name}, and a new one begun; scores are computed again.",
                    stacklevel=5,
                )
            self._open()
        except (sqlite3.Error, OSError) as error:
            self._turn_off(error)

    def _turn_off(self, error: Exception) -> None:
        self._disconnect()
        warnings.warn(
            f"The score cache {self._path} cannot be used ({error}) and is off from here on. "
            "Scoring goes on without it.",
            stacklevel=5,
        )


_PARENTS_CONNECTIONS: list[sqlite3.Connection] = []


def _check_writable(path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.open("ab").close()
    except (OSError, ValueError) as error:
        raise CacheError(
            f"The score cache must be a file that can be written, and {path} cannot: {error}. "
            "Choose another path."
        ) from error


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    """Check that the database is ours, and make its table when it is new."""
    with _transaction(connection, "DEFERRED"):  # or another process's table seems a stranger's
        (application,) = connection.execute("PRAGMA application_id").fetchone()
        (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if application != APPLICATION_ID and (application != 0 or tables != 0):
        raise CacheError(
            f"The score cache must be a file of its own, and {path} is a database that something "
            "else made. Choose another path."
        )
    _enter_wal_mode(connection)
    connection.execute("PRAGMA synchronous = NORMAL")
    with _transaction(connection, "IMMEDIATE"):
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(
            "CREATE TABLE IF NOT EXISTS scores "
            "(id INTEGER PRIMARY KEY, key BLOB NOT NULL UNIQUE, logits BLOB NOT NULL)"
        )


def _enter_wal_mode(connection: sqlite3.Connection) -> None:
    """Switch to WAL; SQLite does not wait by itself when two processes do so at once."""
    deadline = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if _code(error) not in _BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            return


@contextmanager
def _transaction(connection: sqlite3.Connection, kind: str) -> Iterator[None]:
    connection.execute(f"BEGIN {kind}")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _highest_id(connection: sqlite3.Connection) -> int:
    (highest,) = connection.execute("SELECT max(id) FROM scores").fetchone()
    return highest or 0


def _code(error: Exception) -> int:
    """SQLite's primary result code."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def _set_aside(path: Path) -> Path:
    """Rename a damaged database and its write-ahead log, which must not join the new one."""
    for number in itertools.count(1):
        aside = path.with_name(f"{path.name}.corrupt" + (f"-{number}" if number > 1 else ""))
        if not aside.exists():
            break
    path.rename(aside)
    for suffix in ("-wal", "-shm"):
        companion = path.with_name(path.name + suffix)
        if companion.exists():
            companion.rename(aside.with_name(aside.name + suffix))
    return aside
