"""Folders take the place of others whole, and nothing is lost on the way."""

from pathlib import Path

import pytest
from tests.models.model_folders import CONFIG, write_json

from crossrank.errors import InputError
from crossrank.models.folders import check_target, placed, refuse_loss


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A model's folder that is to be replaced."""
    write_json(tmp_path / "old" / "config.json", CONFIG)
    return tmp_path / "old"


def test_what_may_be_replaced(old: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(old)
    (tmp_path / "empty").mkdir()
    assert check_target(tmp_path / "new" / "er", overwrite=False) == tmp_path / "new" / "er"
    assert check_target(tmp_path / "empty", overwrite=False) == tmp_path / "empty"
    assert check_target(tmp_path / "link", overwrite=True) == old
    with pytest.raises(InputError, match=r"exists: .* overwrite=True \(--overwrite on the command"):
        check_target(tmp_path / "link", overwrite=False)


def test_what_may_not(old: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "one.jpg").touch()
    with pytest.raises(InputError, match=r"photos holds no model.*is not replaced"):
        check_target(tmp_path / "photos", overwrite=True)
    with pytest.raises(InputError, match=r"one\.jpg is a file"):
        check_target(tmp_path / "photos" / "one.jpg", overwrite=True)
    (old / "below").mkdir()
    monkeypatch.chdir(old / "below")
    for target in (Path(), Path(".."), old):
        with pytest.raises(InputError, match="is or contains the working directory"):
            check_target(target, overwrite=True)
    with pytest.raises(InputError, match="is or contains the teacher"):
        refuse_loss(tmp_path, old, "the teacher")
    refuse_loss(old, tmp_path, "the teacher")


def test_a_full_folder_takes_the_place(old: Path, tmp_path: Path) -> None:
    for target in (old, tmp_path / "some" / "where"):
        with placed(target) as made:
            made.mkdir()
            (made / "new.txt").write_text("new")
        assert [path.name for path in target.iterdir()] == ["new.txt"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["old", "some"]


def test_what_fails_changes_nothing(old: Path, tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), placed(old):
        raise ZeroDivisionError
    # That nothing was made is seen when the old folder has been moved already.
    with pytest.raises(FileNotFoundError), placed(old):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["old"]
    assert (old / "config.json").is_file()
