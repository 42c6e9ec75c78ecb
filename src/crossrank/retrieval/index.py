"""A folder of documents that can be searched: kept on disk, brought up to date by what changed."""

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Self

from crossrank.errors import CrossRankError, InputError
from crossrank.retrieval.base import Retriever
from crossrank.retrieval.ingest.chunks import Chunk, chunks_of
from crossrank.retrieval.ingest.parse import SUFFIXES, read_units
from crossrank.retrieval.on_disk import RetrieverName, check_retriever, open_retriever
from crossrank.retrieval.texts import StoredTexts
from crossrank.text_files import stem_suffix, write_whole

VERSION = 1
SETTINGS = "settings.json"
MANIFEST = "manifest.jsonl"

TOLD = 5
"""Files of which is said why they were left out, where none is left to index."""


@dataclass(frozen=True)
class IndexSettings:
    """How documents are cut and found.

    Attributes:
        retriever: ``"bm25"``, ``"dense"`` or ``"both"``.
        bi_encoder: For the last two: a folder or hub id.
        words: Most words a chunk.
        overlap: Words that a chunk shares with the one before.
    """

    retriever: RetrieverName = "bm25"
    bi_encoder: str | None = None
    words: int = 200
    overlap: int = 40


@dataclass(frozen=True)
class Update:
    """What an update did.

    Attributes:
        read: Files that were new or had changed.
        kept: Files that had not.
        removed: Files that are gone.
        failed: What is wrong with files that could not be read, by path.
        chunks: Chunks in the index.
    """

    read: int
    kept: int
    removed: int
    failed: dict[str, str]
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
        """What is searched: the text below its headings."""
        heading, text = self.chunk.heading, self.chunk.text
        own = heading.rpartition(" > ")[2]
        return text if not own or text.lstrip("#= ").startswith(own) else f"{heading}\n{text}"

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

    Args:
        folder: Where ``update`` made it.

    Attributes:
        settings: How documents are cut and found.
        texts: What is searched of each.
        retriever: The first stage.

    Raises:
        InputError: There is no index, or it was not finished.
    """

    def __init__(self, folder: Path) -> None:
        self.settings, _ = _read_settings(folder)
        if not (folder / MANIFEST).is_file():
            raise InputError(f"{folder} is not finished: run `crossrank index` again.")
        self._lines = StoredTexts(folder / "chunks")
        self.texts = StoredTexts(folder / "documents")
        self.retriever: Retriever = open_retriever(
            folder, self.texts, self.settings.retriever, self.settings.bi_encoder
        )

    def __getitem__(self, position: int) -> IndexedChunk:
        return IndexedChunk.from_json(self._lines[position])

    def __len__(self) -> int:
        return len(self._lines)

    def close(self) -> None:
        """Close its files."""
        self._lines.close()
        self.texts.close()


def update(
    documents: Path,
    folder: Path,
    settings: IndexSettings | None = None,
    *,
    progress: Callable[[str], object] = lambda step: None,
) -> Update:
    """Make an index of a folder's documents, or bring it up to date.

    The chunks of what has not changed are kept, and an update that was killed goes on where it
    stopped. Files that cannot be read are reported, and tried again next time.

    Args:
        documents: A folder, searched to its depths, or one file. Hidden files are left out.
        folder: Where the index goes; made when it is missing.
        settings: By default those of the index, or for a new one the defaults.
        progress: Told what is going on.

    Raises:
        InputError: There are no documents, or the index is of other documents or settings.
        MissingDependencyError: A package that is needed is not installed.
    """
    if not documents.exists():
        raise InputError(f"There is no file or folder {documents}.")
    settings = _settle(folder, documents, settings)
    before = _read_manifest(folder)
    now: dict[str, dict[str, Any]] = {}
    failed: dict[str, str] = {}
    read = 0
    for path in _files(documents, folder):
        name = path.relative_to(documents).as_posix() if documents.is_dir() else path.name
        try:
            entry = _entry(path, before.get(name, {}))
            store = folder / "files" / f"{entry['digest']}.jsonl"
            if store.is_file():
                now[name] = entry
                continue
            progress(f"Reading {name}")
            _write_chunks(store, path, settings)
            now[name] = entry
        except CrossRankError as error:
            failed[name] = str(error)
        read += 1
    # The manifest is written last: where there is one, all that it names is indexed.
    if now and now == before:
        chunks = _count(folder)
    else:
        chunks = _finish(folder, now, failed, settings, progress)
    _forget_all_but(folder, now)
    return Update(
        read=read,
        kept=len(now) + len(failed) - read,
        removed=len(before.keys() - now.keys() - failed.keys()),
        failed=failed,
        chunks=chunks,
    )


def _settle(folder: Path, documents: Path, wanted: IndexSettings | None) -> IndexSettings:
    """Agree on the settings of a new index, or of one that is there."""
    source = str(documents.resolve())
    if (folder / SETTINGS).is_file():
        settings, indexed = _read_settings(folder)
        if indexed != source:
            raise InputError(
                f"{folder} is an index of {indexed}: name another --index for {source}."
            )
        if wanted is not None and wanted != settings:
            raise InputError(
                f"{folder} was made with {settings}, received {wanted}: delete it to change that."
            )
        return settings
    settings = wanted or IndexSettings()
    check_retriever(settings.retriever, settings.bi_encoder)
    if not 0 <= settings.overlap < settings.words:
        raise InputError(
            "overlap must be at least 0 and less than words, received "
            f"{settings.overlap} and {settings.words}."
        )
    if folder.exists() and any(folder.iterdir()):
        raise InputError(f"{folder} is not empty, and no index: name another --index.")
    (folder / "files").mkdir(parents=True)
    write_whole(
        folder / SETTINGS,
        json.dumps({"version": VERSION, "documents": source, **asdict(settings)}, indent=1),
    )
    return settings


def _read_settings(folder: Path) -> tuple[IndexSettings, str]:
    try:
        fields = json.loads((folder / SETTINGS).read_text(encoding="utf-8"))
        version, source = fields.pop("version"), fields.pop("documents")
        settings = IndexSettings(**fields)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"{folder} must hold an index: make it with `crossrank index` ({error})."
        ) from error
    if version != VERSION:
        raise InputError(f"{folder} is of another version: delete it and index anew.")
    return settings, source


def _files(documents: Path, index: Path) -> Iterator[Path]:
    """Find what can be read, in an order that does not change; not the index itself."""
    if documents.is_file():
        yield documents
        return
    own = index.resolve()
    for home, folders, names in os.walk(documents):
        folders[:] = sorted(
            name
            for name in folders
            if not name.startswith(".") and (Path(home) / name).resolve() != own
        )
        for name in sorted(names):
            path = Path(home) / name
            if not name.startswith(".") and stem_suffix(path) in SUFFIXES and path.is_file():
                yield path


def _entry(path: Path, before: dict[str, Any]) -> dict[str, Any]:
    """Say which content a file has; it is read only when size or time have changed."""
    try:
        stat = path.stat()
        if (before.get("size"), before.get("mtime_ns")) == (stat.st_size, stat.st_mtime_ns):
            return before
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256")
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}.") from error
    # Not of the bytes alone: the same bytes are other texts under another ending.
    digest.update(stem_suffix(path).encode())
    return {"digest": digest.hexdigest(), "size": stat.st_size, "mtime_ns": stat.st_mtime_ns}


def _write_chunks(store: Path, path: Path, settings: IndexSettings) -> None:
    """Cut a file, and keep the chunks; what is there is whole."""
    partial = store.with_suffix(".partial")
    with partial.open("w", encoding="ascii") as out:
        for unit in read_units(path):
            for chunk in chunks_of(unit, words=settings.words, overlap=settings.overlap):
                out.write(json.dumps(asdict(chunk)) + "\n")
    partial.replace(store)


def _finish(
    folder: Path,
    files: dict[str, dict[str, Any]],
    failed: dict[str, str],
    settings: IndexSettings,
    progress: Callable[[str], object],
) -> int:
    """Put the chunks of all files together, and index them; count them."""

    def chunks() -> Iterator[IndexedChunk]:
        for name, entry in files.items():
            with (folder / "files" / f"{entry['digest']}.jsonl").open(encoding="utf-8") as lines:
                for line in lines:
                    yield IndexedChunk(name, Chunk(**json.loads(line)))

    (folder / MANIFEST).unlink(missing_ok=True)  # until all belongs together again
    with StoredTexts.write(folder / "chunks", (chunk.to_json() for chunk in chunks())) as stored:
        count = len(stored)
        if not count:
            told = "".join(f" Left out: {reason}" for reason in islice(failed.values(), TOLD))
            raise InputError(f"There are no documents with text to index.{told}")
    with StoredTexts.write(folder / "documents", (chunk.searchable for chunk in chunks())) as texts:
        open_retriever(folder, texts, settings.retriever, settings.bi_encoder, progress=progress)
    lines = (json.dumps({"path": name, **entry}) for name, entry in files.items())
    write_whole(folder / MANIFEST, "".join(f"{line}\n" for line in lines))
    return count


def _count(folder: Path) -> int:
    with StoredTexts(folder / "chunks") as stored:
        return len(stored)


def _forget_all_but(folder: Path, files: dict[str, dict[str, Any]]) -> None:
    """Delete the chunks of contents that no file has any more."""
    needed = {f"{entry['digest']}.jsonl" for entry in files.values()}
    for store in (folder / "files").iterdir():
        if store.name not in needed:
            store.unlink()


def _read_manifest(folder: Path) -> dict[str, dict[str, Any]]:
    file = folder / MANIFEST
    if not file.is_file():
        return {}
    entries = map(json.loads, file.read_text(encoding="utf-8").splitlines())
    return {entry.pop("path"): entry for entry in entries}
