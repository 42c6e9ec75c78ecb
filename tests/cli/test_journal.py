"""The journal of an unfinished output."""

from pathlib import Path

import pytest

from crossrank.cli.journal import Journal
from crossrank.errors import InputError

JOB = {"input": "a"}


def test_half_a_chunk_is_cut_off(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with Journal(out, JOB) as journal:
        journal.append(b"one", rows=1)
    partial = tmp_path / "out.partial"
    partial.write_bytes(partial.read_bytes() + b"tw")
    with Journal(out, JOB) as journal:
        assert journal.rows == 1
        journal.append(b"two", rows=2)
        assert (journal.rows, partial.read_bytes()) == (3, b"onetwo")


def test_a_header_without_rows_is_written_again(tmp_path: Path) -> None:
    with Journal(tmp_path / "out", JOB) as journal:
        journal.append(b"header", rows=0)
    with Journal(tmp_path / "out", JOB) as journal:
        journal.append(b"header", rows=0)
        assert journal.partial.read_bytes() == b"header"


def test_restart_forgets(tmp_path: Path) -> None:
    with Journal(tmp_path / "out", JOB) as journal:
        journal.append(b"one", rows=1)
    with Journal(tmp_path / "out", {"input": "b"}, restart=True) as journal:
        assert (journal.rows, journal.partial.read_bytes()) == (0, b"")


def test_forget_removes_the_files(tmp_path: Path) -> None:
    with Journal(tmp_path / "out", JOB) as journal:
        journal.append(b"one", rows=1)
        journal.forget()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("damaged", ["", "{}", "[]", '{"job": {}, "rows": null, "bytes": 0}'])
def test_a_damaged_record_is_named(tmp_path: Path, damaged: str) -> None:
    with Journal(tmp_path / "out", JOB) as journal:
        journal.append(b"one", rows=1)
    (tmp_path / "out.progress").write_text(damaged)
    with pytest.raises(InputError, match=r"out.progress must say .* damaged"):
        Journal(tmp_path / "out", JOB)


def test_a_partial_file_that_shrank_is_refused(tmp_path: Path) -> None:
    with Journal(tmp_path / "out", JOB) as journal:
        journal.append(b"one", rows=1)
    (tmp_path / "out.partial").write_bytes(b"o")
    with pytest.raises(InputError, match="at least 3 bytes, and has 1"):
        Journal(tmp_path / "out", JOB)


def test_one_process_at_a_time(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with Journal(out, JOB) as journal:
        journal.append(b"mine", rows=1)
        with pytest.raises(InputError, match="another one is at it"):
            Journal(out, JOB, restart=True)
        journal.append(b" too", rows=1)
    assert (out.with_name("out.partial")).read_bytes() == b"mine too"
    with Journal(out, JOB) as journal:
        assert journal.rows == 2
