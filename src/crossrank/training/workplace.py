"""The folder of an unfinished run: its checkpoints, and what run it is."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from crossrank.errors import InputError
from crossrank.models.folders import check_target, put_in_place
from crossrank.models.locks import alone
from crossrank.training.checkpoints import last_checkpoint
from crossrank.training.recipe import Recipe


@dataclass(frozen=True)
class Workplace:
    """A folder beside the one that a run makes, so that putting that into place is one rename.

    Attributes:
        folder: ``my-reranker.training`` for ``my-reranker``.
        output: What the run makes.
        process: Number of this process, where several share the work; the first one tidies up.
    """

    folder: Path
    output: Path
    process: int = 0

    @classmethod
    def of(cls, recipe: Recipe, process: int = 0) -> Self:
        """Say where a recipe is worked on."""
        output = recipe.output.folder.resolve()  # the run belongs on the same disk
        return cls(output.with_name(f"{output.name}.training"), output, process)

    @classmethod
    @contextmanager
    def open(
        cls, recipe: Recipe, *, overwrite: bool = False, restart: bool = False
    ) -> Iterator[Self]:
        """Begin a run, or continue one of the same recipe and data; for the first process.

        Leaves nothing behind where nothing was trained.

        Args:
            recipe: What will be done.
            overwrite: Let the run replace a model that exists.
            restart: Forget an unfinished run.

        Raises:
            InputError: The folder to make exists, an unfinished run was begun with another recipe
                or other data, or another process is at work on it.
        """
        place = cls.of(recipe)
        with alone(place.folder):
            place._begin(_state(recipe), overwrite, restart)
            try:
                yield place
            finally:
                if place.step is None:
                    shutil.rmtree(place.folder, ignore_errors=True)

    def _begin(self, state: dict[str, Any], overwrite: bool, restart: bool) -> None:
        check_target(self.output, overwrite=overwrite)
        file = self.folder / "run.json"
        if self.folder.exists() and (restart or self.step is None):
            shutil.rmtree(self.folder)
        if file.exists():
            _compare(json.loads(file.read_text(encoding="utf-8")), state, self.folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(state, indent=2), encoding="utf-8")

    @property
    def checkpoints(self) -> Path:
        """Where checkpoints are written."""
        return self.folder / "checkpoints"

    @property
    def step(self) -> int | None:
        """The step of the last whole checkpoint, if there is one."""
        found = last_checkpoint(self.checkpoints)
        return int(found.rpartition("-")[2]) if found else None

    def rows(self, name: str) -> Path:
        """Where this process keeps some rows while the run goes on; not named by their dataset."""
        return self.folder / "rows" / f"{name}.{self.process}.arrow"

    def publish(self, model: Path) -> None:
        """Put a finished model into place, and forget the run."""
        put_in_place(model, self.output)
        shutil.rmtree(self.folder)


def _state(recipe: Recipe) -> dict[str, Any]:
    """What decides the weights: the recipe but for its output and card, and the files it names."""
    chosen = recipe.model_dump(mode="json", exclude={"output", "card"})
    paths = [data.path for data in recipe.data.values()] + [recipe.evaluation.path]
    files = {str(path): _stamp(path) for path in paths if path is not None}
    return _flat(chosen | {"files": files})


def _stamp(path: Path) -> str:
    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    return str([(file.stat().st_size, file.stat().st_mtime_ns) for file in files if file.is_file()])


def _flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Name each value by its place, e.g. ``training.seed``."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        inner = isinstance(value, dict)
        flat |= _flat(value, f"{prefix}{name}.") if inner else {f"{prefix}{name}": value}
    return flat


def _compare(before: dict[str, Any], now: dict[str, Any], folder: Path) -> None:
    names = [name for name in before.keys() | now.keys() if before.get(name) != now.get(name)]
    if names:
        told = ", ".join(
            f"{name.removeprefix('files.')} has changed"
            if name.startswith("files.")
            else f"{name}: {before.get(name)!r} then, {now.get(name)!r} now"
            for name in sorted(names)
        )
        raise InputError(
            f"{folder} was begun with another recipe or other data; {told}. Undo that to continue "
            "it, or use --restart to begin anew."
        )
