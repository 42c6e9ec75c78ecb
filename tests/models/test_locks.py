"""A folder is worked on by one process at a time, and may come and go meanwhile."""

from pathlib import Path

import pytest

from crossrank.errors import InputError
from crossrank.models import locks
from crossrank.models.locks import alone, open_alone


def test_another_one_is_refused_until_the_end(tmp_path: Path) -> None:
    folder = tmp_path / "some" / "where"
    with alone(folder):
        for _ in range(2):  # a refusal must not take the lock away
            with pytest.raises(InputError, match=r"some/where must be written by one process"):
                alone(folder).__enter__()
        folder.mkdir()
        folder.rmdir()
        with alone(tmp_path / "some" / "where else"):
            pass
    with pytest.raises(ZeroDivisionError), alone(folder):
        raise ZeroDivisionError
    assert list(folder.parent.iterdir()) == []


def test_a_lock_that_its_owner_has_just_removed_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "folder"
    opened = []

    def open_late(path: Path, worked_on: Path) -> object:
        file = open_alone(path, worked_on)
        if not opened:
            path.unlink()
        opened.append(file)
        return file

    monkeypatch.setattr(locks, "open_alone", open_late)
    with alone(folder):
        assert (tmp_path / "folder.lock").exists()
        assert [file.closed for file in opened] == [True, False]
        with pytest.raises(InputError, match="another one is at it"):
            alone(folder).__enter__()
