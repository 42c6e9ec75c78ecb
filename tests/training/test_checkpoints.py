"""The newest whole checkpoint is found, parts of one are passed over."""

import json
from pathlib import Path

from crossrank.training.checkpoints import last_checkpoint, remove_partial


def whole(folder: Path, step: int) -> Path:
    path = folder / f"checkpoint-{step}"
    path.mkdir(parents=True)
    (path / "trainer_state.json").write_text(json.dumps({"global_step": step}))
    return path


def test_nothing_there(tmp_path: Path) -> None:
    assert last_checkpoint(tmp_path / "absent") is None
    assert last_checkpoint(tmp_path) is None


def test_newest_by_number_not_by_name(tmp_path: Path) -> None:
    whole(tmp_path, 90)
    newest = whole(tmp_path, 100)
    assert last_checkpoint(tmp_path) == str(newest)


def test_a_part_is_passed_over_and_removed(tmp_path: Path) -> None:
    good = whole(tmp_path, 1)
    cut = whole(tmp_path, 2) / "trainer_state.json"
    cut.write_text('{"global_st')
    (tmp_path / "checkpoint-3").mkdir()
    assert last_checkpoint(tmp_path) == str(good)
    remove_partial(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint-1"]
