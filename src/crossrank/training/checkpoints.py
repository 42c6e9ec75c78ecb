"""Finding checkpoints that are whole."""

import json
import re
import shutil
from pathlib import Path

_STATE = "trainer_state.json"  # what Trainer writes last


def last_checkpoint(folder: Path) -> str | None:
    """Find the newest checkpoint that was written to its end.

    A run that was killed while it wrote one leaves a part of it, which is passed over.

    Returns:
        Its folder, or ``None`` when there is none.
    """
    whole = [step for step, path in _checkpoints(folder) if _is_whole(path)]
    return str(folder / f"checkpoint-{max(whole)}") if whole else None


def remove_partial(folder: Path) -> None:
    """Delete checkpoints that were not written to their end."""
    for _, path in _checkpoints(folder):
        if not _is_whole(path):
            shutil.rmtree(path, ignore_errors=True)


def _checkpoints(folder: Path) -> list[tuple[int, Path]]:
    found = []
    for path in folder.glob("checkpoint-*") if folder.is_dir() else ():
        match = re.fullmatch(r"checkpoint-(\d+)", path.name)
        if match and path.is_dir():
            found.append((int(match[1]), path))
    return found


def _is_whole(path: Path) -> bool:
    try:
        return "global_step" in json.loads((path / _STATE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
