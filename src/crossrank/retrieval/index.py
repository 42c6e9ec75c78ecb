"""A folder of documents that can be searched: kept on disk, brought up to date by what changed."""

import json
import os
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Self

from crossrank.errors import CrossRankError, InputError
from crossrank.retrieval.base import Retriever
from crossrank.retrieval.index_files import (
    AGAIN,
    Files,
    IndexSettings,
    Manifest,
    delete_states_but,
    is_index,
    lock,
    read_manifest,
    read_settings,
    settle,
    state_of,
    write_manifest,
)
from crossrank.retrieval.ingest.chunks import Chunk
from crossrank.retrieval.ingest.parse import SUFFIXES
from crossrank.retrieval.ingest.store import ChunkStore
from crossrank.retrieval.on_disk import open_retriever
from crossrank.retrieval.texts import StoredTexts
from crossrank.text_files import stem_suffix

CHUNKS = "chunks"
TEXTS = "documents"

TOLD = 5
"""Files of which is said why they were left out, where none is left to index."""

_MARKS = re.compile(r"^#{1,6}(?:[ \t]+|$)|[ \t]+#+$")
"""What Markdown puts before a heading, and may put behind it."""


@dataclass(frozen=True)
class Update:
    """What an update did.

    Attributes:
        read: Files that were new or had changed.
        kept: Files that had not.
        removed: Files that are gone.
        failed: What is wrong with files that could not be read, by path.
        empty: Paths of files in which there is no text.
        chunks: Chunks in the index.
    """

    read: int
    kept: int
    removed: int
    failed: dict[str, str]
    empty: list[str]
    chunks: int


@dataclass(frozen=True)
class IndexedChunk:
    """A chunk, and where it comes from.

    Attributes:
        path: Of the file, below the folder that was indexed.
        chunk: The chunk.
    """

    path: str
    chunk: Chunk

    @property
    def searchable(self) -> str:
        """What is searched: the text below its headings, each of them once."""
        heading, text = self.chunk.heading, self.chunk.text
        above, _, own = heading.rpartition(" > ")
        begins_with_own = _MARKS.sub("", text.splitlines()[0].rstrip()) == own
        path = above if begins_with_own else heading
        return f"{path}\n{text}" if path else text

    def to_json(self) -> str:
        """Write it on one line."""
        return json.dumps({"path": self.path, **asdict(self.chunk)}, ensure_ascii=False)

    @classmethod
    def from_json(cls, line: str) -> Self:
        """Read what ``to_json`` wrote."""
        fields = json.loads(line)
        return cls(fields.pop("path"), Chunk(**fields))


class SearchIndex:
    """An index of documents, open for searching.

    What it finds stays the same until it is opened again, whatever updates do in the meantime.

    Args:
        folder: Where ``update`` made it.

    Attributes:
        settings: How documents are cut and found.
        texts: What is searched of each.
        retriever: The first stage.

    Raises:
        InputError: There is no index, it was not finished, or it is damaged.
    """

    def __init__(self, folder: Path) -> None:
        self.settings, _ = read_settings(folder)
        state = read_manifest(folder).state
        while True:
            try:
                self._open(folder / state)
                return
            except InputError as error:
                before, state = state, read_manifest(folder).state
                if state == before:
                    raise InputError(f"{folder} cannot be searched: {AGAIN} {error}") from error
                # An update has put another one in its place.

    def _open(self, home: Path) -> None:
        with ExitStack() as files:
            self._lines = files.enter_context(StoredTexts(home / CHUNKS))
            self.texts = files.enter_context(StoredTexts(home / TEXTS))
            self.retriever: Retriever = open_retriever(
                home,
                self.texts,
                self.settings.retriever,
                self.settings.bi_encoder,
                finished=True,
            )
            self._files = files.pop_all()

    def __getitem__(self, position: int) -> IndexedChunk:
        return IndexedChunk.from_json(self._lines[position])

    def __len__(self) -> int:
        return len(self._lines)

    def close(self) -> None:
        """Close its files."""
        self._files.close()


def update(
    documents: Path,
    folder: Path,
    settings: IndexSettings | None = None,
    *,
    progress: Callable[[str], object] = lambda step: None,
) -> Update:
    """Make an index of a folder's documents, or bring it up to date.

    The chunks of what has not changed are kept, and an update that was killed goes on where it
    stopped. Files that cannot be read are reported, and tried again next time. Until the end those
    who search find the old state.

    Args:
        documents: A folder, searched to its depths, or one file. Hidden files are left out.
        folder: Where the index goes; made when it is missing.
        settings: By default those of the index, or for a new one the defaults.
        progress: Told what is going on.

    Raises:
        InputError: There are no documents, the index is of other documents or settings, or another
            update is at work on it.
        MissingDependencyError: A package that is needed is not installed.
    """
    if not documents.exists():
        raise InputError(f"There is no file or folder {documents}.")
    with lock(folder):
        settings = settle(folder, documents, settings)
        before = _before(folder)
        store = ChunkStore(folder / "files", settings.words, settings.overlap)
        now, failed, read = _take_in(documents, store, before.files, progress)
        empty = [name for name, entry in now.items() if not entry["stored"]]
        if len(empty) == len(now):
            told = "".join(f" Left out: {reason}" for reason in islice(failed.values(), TOLD))
            raise InputError(f"There are no documents with text to index.{told}")
        manifest = Manifest(state_of(now), now)
        delete_states_but(folder, before.state, manifest.state)
        chunks = _finish(folder, manifest, before, store, settings, progress)
        write_manifest(folder, manifest)
        delete_states_but(folder, manifest.state)
        store.forget_all_but(now.values())
    return Update(
        read=read,
        kept=len(now) + len(failed) - read,
        removed=len(before.files.keys() - now.keys() - failed.keys()),
        failed=failed,
        empty=empty,
        chunks=chunks,
    )


def _take_in(
    documents: Path, store: ChunkStore, before: Files, progress: Callable[[str], object]
) -> tuple[Files, dict[str, str], int]:
    """Cut what is new; tell of all files, of those that failed, and how many were read."""
    now: Files = {}
    failed: dict[str, str] = {}
    read = 0
    for path in _files(documents):
        name = path.relative_to(documents).as_posix() if documents.is_dir() else path.name
        try:
            entry = store.identify(path, before.get(name, {}))
            if found := store.find(entry):
                now[name] = found
                continue
            progress(f"Reading {name}")
            now[name] = store.add(path, entry)
        except CrossRankError as error:
            failed[name] = str(error)
        read += 1
    return now, failed, read


def _files(documents: Path) -> Iterator[Path]:
    """Find what can be read, in an order that does not change; nothing of an index."""
    if documents.is_file():
        yield documents
        return
    for home, folders, names in os.walk(documents):
        folders[:] = sorted(
            name for name in folders if name[0] != "." and not is_index(Path(home) / name)
        )
        for name in sorted(names):
            path = Path(home) / name
            if not name.startswith(".") and stem_suffix(path) in SUFFIXES and path.is_file():
                yield path


def _finish(
    folder: Path,
    manifest: Manifest,
    before: Manifest,
    store: ChunkStore,
    settings: IndexSettings,
    progress: Callable[[str], object],
) -> int:
    """Make what is missing of a state, or not whole; count its chunks."""

    def chunks() -> Iterator[IndexedChunk]:
        for name, entry in manifest.files.items():
            for chunk in store.chunks(entry):
                yield IndexedChunk(name, chunk)

    home = folder / manifest.state
    home.mkdir(exist_ok=True)
    with (
        _stored(home / CHUNKS, (chunk.to_json() for chunk in chunks())) as lines,
        _stored(home / TEXTS, (chunk.searchable for chunk in chunks())) as texts,
    ):
        open_retriever(
            home,
            texts,
            settings.retriever,
            settings.bi_encoder,
            earlier=folder / before.state / TEXTS,
            progress=progress,
        )
        return len(lines)


def _stored(path: Path, texts: Iterable[str]) -> StoredTexts:
    """Open texts, after storing them unless they are there."""
    try:
        return StoredTexts(path)
    except InputError:
        return StoredTexts.write(path, texts)


def _before(folder: Path) -> Manifest:
    try:
        return read_manifest(folder)
    except InputError:
        return Manifest("", {})
