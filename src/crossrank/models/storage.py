"""Where crossrank keeps what it made of a model's files."""

import os
import shutil
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from crossrank.errors import ModelFileError

KEPT = 32
"""How many folders of a kind are kept; those used longest ago go."""


def cache_folder(name: str) -> Path:
    """Name the folder for one kind of derived files; it may not exist yet.

    ``CROSSRANK_CACHE`` moves it; otherwise it lies in ``XDG_CACHE_HOME`` or ``~/.cache``.

    Raises:
        ModelFileError: None of them is there.

    Example:
        >>> cache_folder("converted").name
        'converted'
    """
    if ours := os.environ.get("CROSSRANK_CACHE"):
        return Path(ours) / name
    if base := os.environ.get("XDG_CACHE_HOME"):
        return Path(base) / "crossrank" / name
    try:
        return Path.home() / ".cache" / "crossrank" / name
    except RuntimeError as error:  # a user without a home, as in some containers
        raise ModelFileError(
            "A folder for derived model files is required, and this user has no home: set "
            "CROSSRANK_CACHE to a folder that can be written."
        ) from error


def make_once(target: Path, make: Callable[[Path], None]) -> Path:
    """Make a folder unless it is there already.

    Safe for several processes: each fills a folder of its own, and the first to finish wins.

    Args:
        target: The folder.
        make: Fills the empty folder that it is given.

    Returns:
        ``target``.

    Raises:
        ModelFileError: The folder cannot be written.
    """
    if target.is_dir():
        return target
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        unfinished = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    except OSError as error:
        raise ModelFileError(
            f"A folder for derived model files is required, and {target.parent} cannot be "
            f"written: {error}. Set CROSSRANK_CACHE to a folder that can."
        ) from error
    try:
        make(unfinished)
        unfinished.chmod(0o755)
        try:
            unfinished.rename(target)
        except OSError:
            if not target.is_dir():
                raise
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return target


def keep_recent(folder: Path, count: int = KEPT) -> None:
    """Mark a folder as used now, and delete those of its neighbours that were used longest ago.

    Args:
        folder: A folder whose contents can be made again.
        count: How many folders to keep, this one included.
    """
    with suppress(OSError):  # the cache may be read only
        os.utime(folder)
    neighbours = [path for path in folder.parent.iterdir() if path.is_dir()]
    for path in sorted(neighbours, key=_last_use, reverse=True)[count:]:
        shutil.rmtree(path, ignore_errors=True)


def _last_use(folder: Path) -> float:
    try:
        return folder.stat().st_mtime
    except OSError:  # another process has just deleted it
        return 0.0
