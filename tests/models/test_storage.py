"""Folders of derived files: the ones that are used stay."""

import os
from pathlib import Path

import pytest

from crossrank import CrossEncoder, ModelFileError
from crossrank.models.storage import cache_folder, keep_recent


def test_the_folders_used_last_are_kept(tmp_path: Path) -> None:
    for age, name in enumerate(["new", "old", "oldest"]):
        (tmp_path / name).mkdir()
        (tmp_path / name / "blob").write_bytes(b"x")
        os.utime(tmp_path / name, (1000 - age, 1000 - age))
    keep_recent(tmp_path / "oldest", 2)  # is used now
    assert {path.name for path in tmp_path.iterdir()} == {"oldest", "new"}
    assert (tmp_path / "oldest/blob").read_bytes() == b"x"


def test_fewer_than_the_limit_all_stay(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    keep_recent(tmp_path / "one", 2)
    assert (tmp_path / "one").is_dir()


def test_a_user_without_a_home(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", no_home)
    for variable in ("CROSSRANK_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(variable, raising=False)
    with pytest.raises(ModelFileError, match="this user has no home: set CROSSRANK_CACHE"):
        cache_folder("converted")
    with CrossEncoder("small") as model:  # an embedded model needs no such folder
        assert 0 < model.predict(("stove", "A stove.")) < 1
    monkeypatch.setenv("CROSSRANK_CACHE", "/elsewhere")
    assert cache_folder("converted") == Path("/elsewhere/converted")
