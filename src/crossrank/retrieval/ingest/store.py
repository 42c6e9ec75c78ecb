"""The chunks of files on disk, by what is in the files, so that nothing is cut twice."""

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from crossrank.errors import InputError
from crossrank.retrieval.ingest.chunks import Chunk, chunks_of
from crossrank.retrieval.ingest.parse import read_units
from crossrank.text_files import stem_suffix

Entry = dict[str, Any]
"""What is known of a file: the ``digest`` of its content, ``size`` and ``mtime_ns``, by which a
change is noticed, and ``stored``, the bytes that its chunks take in the store."""


@dataclass(frozen=True)
class ChunkStore:
    """The chunks of files, one JSONL file for each content.

    Attributes:
        folder: Where they are.
        words: Most words a chunk.
        overlap: Words that a chunk shares with the one before.
    """

    folder: Path
    words: int
    overlap: int

    def identify(self, path: Path, before: Entry) -> Entry:
        """Say which content a file has; it is read only when size or time have changed.

        Raises:
            InputError: It cannot be read.
        """
        try:
            stat = path.stat()
            if (before.get("size"), before.get("mtime_ns")) == (stat.st_size, stat.st_mtime_ns):
                return before
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256")
        except OSError as error:
            raise InputError(f"{path} cannot be read: {error.strerror}.") from error
        # Not of the bytes alone: the same bytes are other texts under another ending.
        digest.update(f"{stem_suffix(path)} {self.words} {self.overlap}".encode())
        return {"digest": digest.hexdigest(), "size": stat.st_size, "mtime_ns": stat.st_mtime_ns}

    def find(self, entry: Entry) -> Entry | None:
        """Complete what is known of a file, if its chunks are here and whole."""
        file = self._file(entry)
        if not file.is_file():
            return None
        stored = file.stat().st_size
        return entry | {"stored": stored} if entry.get("stored", stored) == stored else None

    def add(self, path: Path, entry: Entry) -> Entry:
        """Cut a file, and keep its chunks; complete what is known of it.

        Raises:
            InputError: It cannot be read.
            MissingDependencyError: A package that reads it is not installed.
        """
        file = self._file(entry)
        partial = file.with_suffix(".partial")
        with partial.open("w", encoding="ascii") as out:
            for unit in read_units(path):
                for chunk in chunks_of(unit, words=self.words, overlap=self.overlap):
                    out.write(json.dumps(asdict(chunk)) + "\n")
        partial.replace(file)
        return entry | {"stored": file.stat().st_size}

    def chunks(self, entry: Entry) -> Iterator[Chunk]:
        """Give the chunks of a file."""
        with self._file(entry).open(encoding="ascii") as lines:
            for line in lines:
                yield Chunk(**json.loads(line))

    def forget_all_but(self, entries: Iterable[Entry]) -> None:
        """Delete the chunks of contents that no file has any more."""
        needed = {self._file(entry).name for entry in entries}
        for file in self.folder.iterdir():
            if file.name not in needed:
                file.unlink()

    def _file(self, entry: Entry) -> Path:
        return self.folder / f"{entry['digest']}.jsonl"
