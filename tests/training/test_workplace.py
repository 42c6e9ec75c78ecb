"""The folder of a run: for one process, and put into place with nothing lost."""

from pathlib import Path

import pytest

for package in ("torch", "datasets", "pydantic", "yaml"):
    pytest.importorskip(package, reason="the extra 'train' is not installed")

from crossrank.errors import InputError  # noqa: E402
from crossrank.training.recipe import Recipe  # noqa: E402
from crossrank.training.workplace import Workplace  # noqa: E402


@pytest.fixture
def recipe(tmp_path: Path) -> Recipe:
    (tmp_path / "train.jsonl").touch()
    (tmp_path / "recipe.yaml").write_text(
        "model: {name: some/model}\ndata: {train: {path: train.jsonl}}\nloss: ranknet\n"
        "output: {folder: out}\n"
    )
    return Recipe.read(tmp_path / "recipe.yaml")


def make_model(folder: Path, text: str) -> Path:
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(text)
    return folder


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("restart", [False, True])
def test_a_second_run_at_the_same_time_is_refused(
    recipe: Recipe, tmp_path: Path, restart: bool
) -> None:
    with Workplace.open(recipe) as first:
        made = make_model(first.folder / "model", "new")
        opened = Workplace.open(recipe, restart=restart)
        with pytest.raises(InputError, match="another one is at it") as caught, opened:
            pass
        assert str(caught.value).startswith(f"{tmp_path / 'out.training'} must be written by one")
        first.publish(made)
    with pytest.raises(InputError, match="out exists"), Workplace.open(recipe):
        pass
    assert names(tmp_path) == ["out", "recipe.yaml", "train.jsonl"]


def test_what_a_link_points_to_is_replaced(recipe: Recipe, tmp_path: Path) -> None:
    old = make_model(tmp_path / "elsewhere/old", "old")
    (tmp_path / "out").symlink_to(old)
    with Workplace.open(recipe, overwrite=True) as place:
        place.publish(make_model(place.folder / "model", "new"))
    assert (tmp_path / "out").is_symlink()
    assert (old / "config.json").read_text() == "new"
    assert names(old.parent) == ["old"]


def test_the_working_directory_is_not_replaced(
    recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (make_model(tmp_path / "out", "old") / "below").mkdir()
    monkeypatch.chdir(tmp_path / "out/below")
    with (
        pytest.raises(InputError, match="out is or contains the working directory"),
        Workplace.open(recipe, overwrite=True),
    ):
        pass
    assert names(tmp_path) == ["out", "recipe.yaml", "train.jsonl"]
