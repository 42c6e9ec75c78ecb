"""Parts of Parquet files: together they are all rows, each once and in order."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crossrank import InputError

pyarrow = pytest.importorskip("pyarrow", reason="the extra 'ray' is not installed")
parquet = pytest.importorskip("pyarrow.parquet", reason="the extra 'ray' is not installed")

from crossrank.scale import parts  # noqa: E402
from crossrank.scale.parts import Folder, Part, list_parts, read_part, without, write_part  # noqa: E402

COLUMNS = ("query", "document", "score")


def write(file: Path, rows: int, group: int = 100) -> Any:
    table = pyarrow.table(
        {
            "query": [f"q{number}" for number in range(rows)],
            "document": [f"d{number}" for number in range(rows)],
        }
    )
    file.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(table, file, row_group_size=group)
    return table


@settings(max_examples=60, deadline=None)
@given(
    rows=st.integers(0, 60),
    group=st.integers(1, 70),
    size=st.integers(1, 70),
    batch=st.integers(1, 20),
)
def test_all_rows_once_and_in_order(
    tmp_path_factory: pytest.TempPathFactory, rows: int, group: int, size: int, batch: int
) -> None:
    folder = tmp_path_factory.mktemp("pairs")
    table = write(folder / "pairs.parquet", rows, group)
    source = Folder.of(folder)
    found, _ = list_parts(source, COLUMNS, size)
    assert [part.rows for part in found] == [
        min(size, rows - start) for start in range(0, rows, size)
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parts, "BATCH_ROWS", batch)
        read = [read_part(source, part) for part in found]
    assert [len(piece) for piece in read] == [part.rows for part in found]
    if read:
        assert pyarrow.concat_tables(read) == table


def test_files_of_all_depths_but_hidden_ones(tmp_path: Path) -> None:
    for name in ("b.parquet", "lang=de/1.parquet", "_temporary/2.parquet", ".x/3.parquet"):
        write(tmp_path / name, 3)
    (tmp_path / "notes.txt").touch()
    assert Folder.of(tmp_path).files() == ["b.parquet", "lang=de/1.parquet"]
    assert Folder.of(f"file://{tmp_path}/").files() == ["b.parquet", "lang=de/1.parquet"]


def test_a_part_appears_under_its_name_when_it_is_whole(tmp_path: Path) -> None:
    target, part = Folder.of(tmp_path / "out"), Part("lang=de/1.parquet", start=20_000, rows=3)
    table = pyarrow.table({"score": [1.0, 2.0, 3.0]})
    write_part(target, part, table)
    assert target.files() == ["lang=de/1-0000020000.parquet"] == [part.name]
    assert parquet.read_table(tmp_path / "out" / part.name, partitioning=None) == table
    assert without([part, Part("1.parquet", 0, 3)], target.files()) == [Part("1.parquet", 0, 3)]
    # What a machine that was lost leaves behind is none of the files.
    assert [path.name for path in (tmp_path / "out").rglob("*_*unfinished")] == []
    (tmp_path / "out" / "_2-0000000000.parquet.unfinished").touch()
    assert target.files() == [part.name]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda folder: None, "must be a folder of Parquet files"),
        (lambda folder: folder.mkdir(), "holds no Parquet files"),
        (lambda folder: write(folder, 3), "must be a folder of Parquet files"),
    ],
)
def test_nothing_to_score(tmp_path: Path, make: Any, message: str) -> None:
    make(tmp_path / "pairs")
    with pytest.raises(InputError, match=message):
        list_parts(Folder.of(tmp_path / "pairs"), COLUMNS, 10)


def test_a_file_that_is_wrong_is_named(tmp_path: Path) -> None:
    write(tmp_path / "1.parquet", 3)
    with pytest.raises(InputError, match=r"1\.parquet: one column 'text' is required"):
        list_parts(Folder.of(tmp_path), ("query", "text", "score"), 10)
    (tmp_path / "2.parquet").write_bytes(b"PAR1 and nothing else")
    with pytest.raises(InputError, match=r"2\.parquet: a Parquet file is required"):
        list_parts(Folder.of(tmp_path), COLUMNS, 10)


def test_a_scheme_that_is_not_known() -> None:
    with pytest.raises(InputError, match="gopher://pairs cannot be opened"):
        Folder.of("gopher://pairs").open()
