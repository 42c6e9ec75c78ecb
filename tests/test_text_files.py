"""Text files: rows of CSV and TSV, and mistakes named by their line."""

import gzip
import os
import threading
from pathlib import Path

import pytest

from crossrank.errors import InputError
from crossrank.text_files import read_csv, read_tsv, write_whole


def write(folder: Path, text: str) -> Path:
    path = folder / "rows"
    path.write_text(text, encoding="utf-8", newline="")
    return path


def test_csv_rows_end_at_their_last_line(tmp_path: Path) -> None:
    path = write(tmp_path, 'a,b\r\n\r\n"two\nlines","a ""word"""\r\n')
    assert list(read_csv(path)) == [(1, ["a", "b"]), (4, ["two\nlines", 'a "word"'])]


def test_tsv_is_read_with_quotation_marks_and_without(tmp_path: Path) -> None:
    path = write(tmp_path, '"a ""word"""\tb\r\n"Yes" he said\t"\n\nx\t\n')
    expected = [(1, ['a "word"', "b"]), (2, ['"Yes" he said', '"']), (4, ["x", ""])]
    assert list(read_tsv(path)) == expected


@pytest.mark.parametrize(
    ("read", "text", "message"),
    [
        (read_csv, "a,b\n1,2\n1,2,3\n", "line 3: 2 columns are required.*received 3"),
        (read_tsv, "a\tb\n1\n", "line 2: 2 columns are required.*received 1"),
        (read_csv, 'a,b\n1,"2\n', "line 2: CSV is required"),
    ],
)
def test_a_broken_row_is_named_by_its_line(
    tmp_path: Path, read: object, text: str, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        list(read(write(tmp_path, text)))  # type: ignore[operator]


@pytest.mark.parametrize("name", ["rows", "rows.gz"])
def test_gzip_is_seen_from_the_content(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(gzip.compress(b"a\tb\n", mtime=0))
    assert list(read_tsv(tmp_path / name)) == [(1, ["a", "b"])]


def test_a_pipe_is_opened_once(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=(gzip.compress(b"a\tb\n", mtime=0),))
    writer.start()
    assert list(read_tsv(pipe)) == [(1, ["a", "b"])]
    writer.join()


@pytest.mark.parametrize(
    "content",
    [
        b"no gzip",
        gzip.compress(b"a\tb\n" * 100, mtime=0)[:-12],
        gzip.compress(b"a\tb\n" * 100, mtime=0)[:12] + b"\xff" * 20,
    ],
)
def test_a_damaged_gzip_file_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "rows.gz").write_bytes(content)
    with pytest.raises(InputError, match=r"rows\.gz, after line \d+: damaged gzip file"):
        list(read_tsv(tmp_path / "rows.gz"))


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    file = tmp_path / "names.txt"
    write_whole(file, "Straße\n")
    assert file.read_bytes() == "Straße\n".encode()
    with pytest.raises(UnicodeEncodeError):
        write_whole(file, "Straße \udce4\n")
    assert file.read_text(encoding="utf-8") == "Straße\n"
    write_whole(file, "Straße \udce4\n", errors="surrogateescape")
    assert file.read_bytes() == "Straße ".encode() + b"\xe4\n"
