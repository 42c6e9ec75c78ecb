"""Batch jobs on real Ray clusters: what is lost on the way is made up for."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.cli.commands import interrupt, run, start, wait_for

from crossrank import CrossEncoder, InputError

pyarrow = pytest.importorskip("pyarrow", reason="the extra 'ray' is not installed")
parquet = pytest.importorskip("pyarrow.parquet", reason="the extra 'ray' is not installed")
pytest.importorskip("ray", reason="the extra 'ray' is not installed")

from crossrank.scale.job import MANIFEST, SUCCESS, JobReport, score_files  # noqa: E402

CLUSTER = Path(__file__).with_name("cluster.py")
FILES = {"a.parquet": 1500, "lang=de/b.parquet": 430, "lang=de/empty.parquet": 0}
ROWS = sum(FILES.values())
OPTIONS = ("--model", "small", "--rows-per-part", "50")
PARTS = 30 + 9


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pairs")
    for name, rows in FILES.items():
        columns = {
            "id": [f"{name} {row}" for row in range(rows)],
            "query": [f"stove {row % 7}" for row in range(rows)],
            "document": [f"Stove {row} burns {'gas ' * (row % 9)}." for row in range(rows)],
        }
        schema = pyarrow.schema({column: pyarrow.string() for column in columns})
        table = pyarrow.table(columns, schema)
        (folder / name).parent.mkdir(exist_ok=True)
        parquet.write_table(table, folder / name, row_group_size=300)
    return folder


def written(target: Path) -> list[Path]:
    return sorted(target.rglob("*.parquet"))


def at_least(count: int, target: Path) -> Callable[[], bool]:
    return lambda: len(written(target)) >= count


def check(pairs: Path, target: Path) -> None:
    """All rows are there once, in order, each with its score."""
    assert (target / SUCCESS).exists()
    assert len(written(target)) == PARTS
    for name, rows in FILES.items():
        parts = sorted(target.glob(f"{name.removesuffix('.parquet')}-*.parquet"))
        if not rows:
            assert parts == []
            continue
        found = pyarrow.concat_tables(parquet.read_table(p, partitioning=None) for p in parts)
        source = parquet.read_table(pairs / name, partitioning=None)
        assert found.drop_columns("score") == source
        texts = [source[column].to_pylist() for column in ("query", "document")]
        expected = CrossEncoder("small").predict(list(zip(*texts, strict=True)))
        np.testing.assert_allclose(found["score"].to_numpy(), expected, atol=1e-5)


@contextmanager
def cluster() -> Iterator[tuple[str, Callable[[], None]]]:
    """Run a cluster of two machines with a core each; gives its address, and what removes one."""
    process = subprocess.Popen(
        [sys.executable, CLUSTER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=os.environ | {"RAY_USAGE_STATS_ENABLED": "0"},
    )
    assert process.stdin is not None
    assert process.stdout is not None

    def remove() -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write("\n")
        process.stdin.flush()
        assert process.stdout.readline() == "removed\n"

    try:
        yield process.stdout.readline().strip(), remove
    finally:
        process.stdin.close()
        process.wait(60)
        process.stdout.close()


@pytest.mark.slow
def test_a_machine_that_is_lost_is_made_up_for(
    pairs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "scored"
    with cluster() as (address, remove):
        monkeypatch.setenv("RAY_ADDRESS", address)
        process = start("batch", pairs, target, *OPTIONS, "--workers", "2")
        wait_for(process, at_least(3, target))
        assert len(written(target)) < PARTS // 2
        remove()
        _, errors = process.communicate(timeout=200)
    assert process.returncode == 0, errors.decode()
    assert f"{ROWS:,} rows of 3 files, {ROWS:,} of them scored now" in errors.decode()
    check(pairs, target)
    again = score_files(pairs, target, "small", rows_per_part=50)
    assert again == JobReport(files=3, rows=ROWS, scored=0)


@pytest.mark.slow
def test_killed_interrupted_and_continued(pairs: Path, tmp_path: Path) -> None:
    target = tmp_path / "scored"
    interrupt(start("batch", pairs, target, *OPTIONS), at_least(2, target), signal.SIGKILL)
    before = {path: path.stat().st_mtime_ns for path in written(target)}
    assert 2 <= len(before) < PARTS
    process = start("batch", pairs, target, *OPTIONS)
    said = interrupt(process, at_least(len(before) + 1, target), signal.SIGINT)
    assert process.returncode == 130
    assert "Interrupted. What is written is kept: the same command does the rest." in said
    assert "Traceback" not in said
    assert len(before) < len(written(target)) < PARTS
    assert not (target / SUCCESS).exists()
    code, _, said = run("batch", pairs, target, *OPTIONS)
    assert code == 0, said
    check(pairs, target)
    assert {path: path.stat().st_mtime_ns for path in before} == before


@pytest.mark.slow
def test_a_row_without_text_is_named_and_all_others_are_scored(tmp_path: Path) -> None:
    (tmp_path / "pairs").mkdir()
    rows: dict[str, list[Any]] = {"query": ["a", "b", "c", "d", None], "document": ["x"] * 5}
    parquet.write_table(pyarrow.table(rows), tmp_path / "pairs/1.parquet")
    command = ("batch", tmp_path / "pairs", tmp_path / "out", "--model", "small")
    code, _, said = run(*command, "--rows-per-part", "2")
    assert code == 1
    assert "Error: 1 of 3 parts could not be scored, all others were." in said
    assert "1.parquet, row 5: 'query' must be a text, received null." in said
    assert [path.name for path in written(tmp_path / "out")] == [
        "1-0000000000.parquet",
        "1-0000000002.parquet",
    ]
    assert not (tmp_path / "out" / SUCCESS).exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rows_per_part": 60}, "begun by a job with another rows per part: undo that"),
        ({"model": "default"}, "begun by a job with another model"),
        ({"score": "logit"}, "begun by a job with another score"),
        ({"max_length": 20}, "begun by a job with another options"),
    ],
)
def test_a_target_of_another_job_is_not_continued(
    pairs: Path, tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    job: dict[str, Any] = {"model": "small", "rows_per_part": 50}
    with pytest.raises(InputError, match="workers must be at least 1"):
        score_files(pairs, tmp_path, **job, workers=0)
    begun_by(pairs, tmp_path, **job)
    with pytest.raises(InputError, match=message):
        score_files(pairs, tmp_path, **job | change)


def begun_by(pairs: Path, target: Path, **job: Any) -> None:
    """Begin a job that has nothing to do: its parts are there, whatever is in them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("crossrank.scale.job.without", lambda *_: [])
        score_files(pairs, target, **job)
    assert json.loads((target / MANIFEST).read_text())["rows per part"] == job["rows_per_part"]


def test_secrets_are_not_written_down(pairs: Path, tmp_path: Path) -> None:
    begun_by(pairs, tmp_path, model="small", rows_per_part=50, token="hf_secret", max_length=64)
    text = (tmp_path / MANIFEST).read_text()
    assert "hf_secret" not in text
    assert json.loads(text)["options"] == {"max_length": "64"}


def test_another_file_is_another_job(pairs: Path, tmp_path: Path) -> None:
    begun_by(pairs, tmp_path, model="small", rows_per_part=50)
    os.utime(pairs / "a.parquet", ns=(0, 0))
    with pytest.raises(InputError, match="begun by a job with another files"):
        score_files(pairs, tmp_path, "small", rows_per_part=50)


def test_files_of_something_else_are_left_alone(pairs: Path) -> None:
    with pytest.raises(InputError, match="holds files of something else"):
        score_files(pairs, pairs, "small")
    assert not (pairs / MANIFEST).exists()


def test_nothing_can_be_read_of_a_model_that_is_not_there(pairs: Path, tmp_path: Path) -> None:
    code, _, said = run("batch", pairs, tmp_path / "out", "--model", "./nothing")
    assert code == 1
    assert "Error: There is no folder ./nothing" in said
    assert not (tmp_path / "out").exists()
