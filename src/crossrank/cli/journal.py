"""A file that grows by whole chunks, and survives Ctrl-C, kill -9 and a full disk.

Beside ``OUT`` lie ``OUT.partial``, the chunks so far, and ``OUT.progress``, a small JSON file that
is replaced after each chunk: what the job is, how many rows are done, and how many bytes of
``OUT.partial`` they take. A chunk is on disk before it is counted, so whatever a killed process
leaves behind that count is half a chunk, and is cut off by the next one.
"""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import typer

from crossrank.cli.reporting import INTERRUPTED, describe, say
from crossrank.errors import InputError
from crossrank.models.locks import open_alone
from crossrank.text_files import write_whole


class Journal:
    """The unfinished output of a job.

    Args:
        out: The file that the job makes. Its neighbours ``.partial`` and ``.progress`` are used.
        job: What the job is, as values of JSON: one that differs anywhere cannot be continued.
        restart: Forget what an earlier process has done.

    Attributes:
        rows: How many rows are done.
        partial: The file with the chunks so far.

    Raises:
        InputError: What is there belongs to another job, and the message names the differences; or
            another process is at work on it.

    Example:
        >>> import tempfile
        >>> out = Path(tempfile.mkdtemp()) / "out.txt"
        >>> with Journal(out, {"input": "a"}) as journal:
        ...     journal.append(b"one chunk", rows=3)
        >>> with Journal(out, {"input": "a"}) as journal:
        ...     journal.rows
        3
    """

    def __init__(self, out: Path, job: dict[str, Any], *, restart: bool = False) -> None:
        self.partial = out.with_name(f"{out.name}.partial")
        self._progress = out.with_name(f"{out.name}.progress")
        self._job = job
        self._file = open_alone(self.partial)
        try:
            if restart:
                self._progress.unlink(missing_ok=True)
            self.rows, size = self._recall()
        except BaseException:
            self._file.close()
            raise
        self._file.truncate(size)

    def append(self, chunk: bytes, *, rows: int) -> None:
        """Add a chunk; it is on disk when this returns.

        Raises:
            OSError: The disk is full, or failed; what was there before stays.
        """
        self._file.write(chunk)
        self._file.flush()
        os.fsync(self._file.fileno())
        self.rows += rows
        state = {"job": self._job, "rows": self.rows, "bytes": self._file.tell()}
        write_whole(self._progress, json.dumps(state))

    def forget(self) -> None:
        """Remove the files; the job is done."""
        self._file.close()
        self.partial.unlink(missing_ok=True)
        self._progress.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # After a failed write the buffer cannot be flushed; what counts was flushed before.
        with suppress(OSError):
            self._file.close()

    def _recall(self) -> tuple[int, int]:
        """What an earlier process has done: rows and bytes."""
        try:
            state = json.loads(self._progress.read_text(encoding="utf-8"))
            job, rows, size = state["job"], int(state["rows"]), int(state["bytes"])
            found = self.partial.stat().st_size
        except FileNotFoundError:
            return 0, 0
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"{self._progress} must say what {self.partial} holds, and is damaged. "
                "Use --restart to begin anew."
            ) from error
        if found < size:
            raise InputError(
                f"{self.partial} must have at least {size} bytes, and has {found}: it was changed "
                "by something else. Use --restart to begin anew."
            )
        if differences := _differences(job, self._job):
            raise InputError(
                f"{self.partial} was begun by another job; {differences}. Use the same input and "
                "options to continue it, or --restart to begin anew."
            )
        return rows, size if rows else 0


@contextmanager
def resumable(journal: Journal) -> Iterator[None]:
    """Say after Ctrl-C, or when the disk fails, what is safe and how to go on.

    Raises:
        typer.Exit: With 130 after Ctrl-C, 1 after an ``OSError``.
    """
    try:
        yield
    except KeyboardInterrupt as error:
        say(f"Interrupted after {journal.rows} rows: the same command continues from there.")
        raise typer.Exit(INTERRUPTED) from error
    except OSError as error:
        say(
            f"Error: {describe(error)}. {journal.rows} rows are safe in {journal.partial}: "
            "the same command continues from there.",
            "red",
        )
        raise typer.Exit(1) from error


_NUMBERS_SAY_NOTHING = {
    "model": "another model",
    "input size": "the input has changed",
    "input modified": "the input has changed",
}


def _differences(before: dict[str, Any], now: dict[str, Any]) -> str:
    differing = [n for n in sorted(before.keys() | now.keys()) if before.get(n) != now.get(n)]
    told = (
        _NUMBERS_SAY_NOTHING.get(n, f"{n}: {before.get(n)!r} then, {now.get(n)!r} now")
        for n in differing
    )
    return ", ".join(dict.fromkeys(told))
