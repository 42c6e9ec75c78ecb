"""Keeping other processes out of a file or a folder while this one is at work on it."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from crossrank.errors import InputError

LOCK = "update.lock"
"""The file that stands for the folder in which it lies."""


def open_alone(path: Path, worked_on: Path | None = None) -> BinaryIO:
    """Open a file to append to; it stays locked until it is closed, or the process ends.

    Args:
        path: The file.
        worked_on: What the message names, where the file only stands for it.

    Raises:
        InputError: Another process has it open.
    """
    file = path.open("ab")  # does not empty it: another process may be writing
    if sys.platform != "win32":
        import fcntl

        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.close()
            raise InputError(
                f"{worked_on or path} must be written by one process, and another one is at it. "
                "Wait for it, or name another output."
            ) from error
        except OSError:
            pass  # some network disks have no locks
    return file


def open_alone_inside(folder: Path) -> BinaryIO:
    """Do the same for a folder that stays, by a file in it: nothing beside it need be writable.

    Args:
        folder: Made when it is missing.

    Raises:
        InputError: Another process is at work in it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    return open_alone(folder / LOCK, folder)


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Work in a folder alone. The lock lies beside it: the folder itself may come and go.

    Args:
        folder: It need not exist; its parent is made.

    Raises:
        InputError: Another process is at work in it.

    Example:
        >>> import tempfile
        >>> home = Path(tempfile.mkdtemp())
        >>> with alone(home / "work"):
        ...     [path.name for path in home.iterdir()]
        ['work.lock']
        >>> list(home.iterdir())
        []
    """
    lock = folder.parent / f"{folder.name}.lock"
    lock.parent.mkdir(parents=True, exist_ok=True)
    file = open_alone(lock, folder)
    while not _is_at(file, lock):  # its last owner removed it in this moment
        file.close()
        file = open_alone(lock, folder)
    with file:
        try:
            yield
        finally:
            with suppress(PermissionError):  # Windows removes no file that is open
                lock.unlink(missing_ok=True)


def _is_at(file: BinaryIO, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False
