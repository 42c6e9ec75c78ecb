"""The rows of many Parquet files, in parts that are read, scored and written one by one.

A part is some rows of one file, and becomes one file whose name says which: rows 20,000 and on of
``de/1.parquet`` are in ``de/1-0000020000.parquet``. A file appears when it is whole, so what is
there need not be made again.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from crossrank.errors import InputError
from crossrank.optional import require
from crossrank.scale.scorer import check_columns

BATCH_ROWS = 1024
"""Rows that are read together."""

READERS = 16
"""Footers that are read at the same time."""


@dataclass(frozen=True)
class Part:
    """Some rows of a file.

    Attributes:
        file: Path below the source.
        start: How many rows come before.
        rows: How many it has.
    """

    file: str
    start: int
    rows: int

    @property
    def name(self) -> str:
        """Path of its scored rows below the target.

        Example:
            >>> Part("de/1.parquet", start=20_000, rows=10_000).name
            'de/1-0000020000.parquet'
        """
        return f"{self.file.removesuffix('.parquet')}-{self.start:010}.parquet"


@dataclass(frozen=True)
class Folder:
    """A folder of a file system of Arrow: on this machine, in S3, GCS, HDFS.

    Attributes:
        location: A path, or a URL such as ``s3://bucket/pairs``.
    """

    location: str

    @classmethod
    def of(cls, location: str | Path) -> Self:
        """Name a folder in a way that holds on other machines, too."""
        text = str(location)
        return cls(text if "://" in text else str(Path(text).resolve()))

    def open(self) -> tuple[Any, str]:
        """Give the file system, and the path in it.

        Raises:
            InputError: There is no such kind of file system.
        """
        fs = require("pyarrow.fs", extra="ray")
        pyarrow = require("pyarrow", extra="ray")
        if "://" not in self.location:
            return fs.LocalFileSystem(), self.location
        try:
            system, path = fs.FileSystem.from_uri(self.location)
        except (pyarrow.ArrowInvalid, OSError) as error:
            raise InputError(f"{self.location} cannot be opened: {error}") from error
        return system, path.rstrip("/")

    def files(self) -> list[str]:
        """List its Parquet files, as paths below it; those in hidden folders are none.

        Raises:
            InputError: There is no such folder.
        """
        fs = require("pyarrow.fs", extra="ray")
        system, path = self.open()
        if system.get_file_info(path).type != fs.FileType.Directory:
            raise InputError(f"{self.location} must be a folder of Parquet files.")
        found = system.get_file_info(fs.FileSelector(path, recursive=True))
        names = (info.path[len(path) :].lstrip("/") for info in found if info.is_file)
        return sorted(
            name
            for name in names
            if name.endswith(".parquet") and not any(p[0] in "._" for p in name.split("/"))
        )


def list_parts(
    source: Folder, columns: tuple[str, str, str], rows: int
) -> tuple[list[Part], list[str]]:
    """Divide the files of a folder.

    Args:
        source: The folder.
        columns: Names of query and document, and of the score, which no file may have.
        rows: Rows of a part.

    Returns:
        The parts, and for each file a line that changes when the file does.

    Raises:
        InputError: There are no files, or one has not these columns; the message names it.
    """
    names = source.files()
    if not names:
        raise InputError(f"{source.location} holds no Parquet files.")
    parquet = require("pyarrow.parquet", extra="ray")
    pyarrow = require("pyarrow", extra="ray")
    system, path = source.open()

    def look(name: str) -> tuple[int, str]:
        try:
            with parquet.ParquetFile(f"{path}/{name}", filesystem=system) as file:
                check_columns(file.schema_arrow, *columns, f"{source.location}/{name}")
                count = file.metadata.num_rows
        except pyarrow.ArrowInvalid as error:
            raise InputError(f"{name}: a Parquet file is required: {error}") from error
        info = system.get_file_info(f"{path}/{name}")
        return count, f"{name} {info.size} {info.mtime_ns}"

    with ThreadPoolExecutor(READERS) as threads:
        seen = list(threads.map(look, names))
    parts = [
        Part(name, start, min(rows, count - start))
        for name, (count, _) in zip(names, seen, strict=True)
        for start in range(0, count, rows)
    ]
    return parts, [state for _, state in seen]


def read_part(source: Folder, part: Part) -> Any:
    """Read the rows of a part as a ``pyarrow.Table``; the rest of the file is passed over."""
    parquet = require("pyarrow.parquet", extra="ray")
    pyarrow = require("pyarrow", extra="ray")
    system, path = source.open()
    with parquet.ParquetFile(f"{path}/{part.file}", filesystem=system) as file:
        groups, before = _overlapping(file.metadata, part)
        batches = file.iter_batches(BATCH_ROWS, row_groups=groups)
        kept = list(_cut(batches, part.start - before, part.rows))
        return pyarrow.Table.from_batches(kept, file.schema_arrow)


def _overlapping(metadata: Any, part: Part) -> tuple[list[int], int]:
    """Find the row groups of a part, and how many rows come before them."""
    groups, before, end = [], 0, 0
    for group in range(metadata.num_row_groups):
        start, end = end, end + metadata.row_group(group).num_rows
        if end <= part.start:
            before = end
        elif start < part.start + part.rows:
            groups.append(group)
    return groups, before


def _cut(batches: Iterator[Any], skip: int, rows: int) -> Iterator[Any]:
    """Leave out rows at the beginning, and all after enough."""
    for batch in batches:
        piece = batch.slice(skip, rows)
        skip = max(0, skip - len(batch))
        rows -= len(piece)
        if len(piece):
            yield piece
        if not rows:
            return


def write_part(target: Folder, part: Part, table: Any) -> None:
    """Write the scored rows of a part; the file appears in one step."""
    parquet = require("pyarrow.parquet", extra="ray")
    system, path = target.open()
    folder, _, name = f"{path}/{part.name}".rpartition("/")
    system.create_dir(folder, recursive=True)
    unfinished = f"{folder}/_{name}.unfinished"
    parquet.write_table(table, unfinished, filesystem=system)
    system.move(unfinished, f"{folder}/{name}")


def without(parts: Sequence[Part], names: Sequence[str]) -> list[Part]:
    """Give the parts whose files are not there yet."""
    there = set(names)
    return [part for part in parts if part.name not in there]
