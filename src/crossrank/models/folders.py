"""Putting a finished model folder in the place of another, with nothing lost on the way."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from crossrank.errors import InputError


def check_target(target: Path, *, overwrite: bool) -> Path:
    """See that a model's folder can be written, and that only a model is replaced by it.

    Args:
        target: The folder to write.
        overwrite: Whether a model that it holds may be replaced.

    Returns:
        The folder, with links followed.

    Raises:
        InputError: It is a file, holds what must not be replaced, or is where the user works.
    """
    place = target.resolve()
    if place.is_file():
        raise InputError(f"A folder to write is required, and {target} is a file.")
    refuse_loss(target, Path.cwd(), "the working directory")
    if not place.is_dir() or not any(place.iterdir()):
        return place
    if not overwrite:
        raise InputError(
            f"{target} exists: name another folder, or replace it with overwrite=True (--overwrite "
            "on the command line)."
        )
    if not any((place / name).is_file() for name in ("config.json", "modules.json")):
        raise InputError(
            f"{target} holds no model (it has no config.json), so it is not replaced: name another "
            "folder, or delete this one yourself."
        )
    return place


def refuse_loss(target: Path, needed: Path, what: str) -> None:
    """Refuse to replace a folder that is needed, or that contains one.

    Args:
        target: The folder to write.
        needed: A folder that must stay.
        what: What that is, for the message.

    Raises:
        InputError: The target is or contains it.
    """
    if needed.resolve().is_relative_to(target.resolve()):
        raise InputError(f"{target} is or contains {what}: name another folder.")


@contextmanager
def placed(target: Path) -> Iterator[Path]:
    """Give a path for a folder, which takes the target's place once it is full.

    It lies beside the target, in a scratch folder that is deleted at the end.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".crossrank-") as scratch:
        made = Path(scratch) / "made"
        yield made
        put_in_place(made, target)


def put_in_place(made: Path, target: Path) -> None:
    """Rename a finished folder on the same disk; the folder that it replaces is deleted last."""
    old = made.with_name(f"{made.name}.old")
    try:
        if target.exists():
            target.rename(old)
        made.rename(target)
    except BaseException:
        if old.exists() and not target.exists():
            old.rename(target)
        raise
    if old.exists():
        shutil.rmtree(old)
