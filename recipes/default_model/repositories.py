"""Files of public git repositories, at a commit whose licence was read."""

import subprocess
from pathlib import Path

HOST = "https://github.com"


def checked_out(repository: str, commit: str, pattern: str, build: Path) -> Path:
    """Download the files of a commit that match, unless they are there.

    Args:
        repository: ``owner/name``.
        commit: All forty digits: a text keeps the licence that its commit had.
        pattern: As in ``.gitignore``; nothing else is downloaded.
        build: Where repositories are put.

    Returns:
        The folder of the repository.
    """
    target = build / "repositories" / repository
    if not (target / ".complete").exists():
        target.mkdir(parents=True, exist_ok=True)
        for command in (
            ("init", "--quiet"),
            ("sparse-checkout", "set", "--no-cone", pattern),
            ("fetch", "--quiet", "--depth=1", "--filter=blob:none", f"{HOST}/{repository}", commit),
            ("checkout", "--quiet", "FETCH_HEAD"),
        ):
            subprocess.run(["git", "-C", str(target), *command], check=True)
        (target / ".complete").touch()
    return target
