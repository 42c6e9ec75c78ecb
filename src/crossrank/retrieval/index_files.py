"""What lies in the folder of an index.

``settings.json`` says of which documents it is and how they are cut and found; ``files`` has the
chunks of each content; a folder ``state-...`` has what is searched, made of the chunks of all
files; ``manifest.json`` names the state that is whole, and the files it was made of. An update
makes another state, names that, and deletes the old one. Whoever has the old one open keeps it.
"""

import json
import shutil
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO

from crossrank.errors import InputError
from crossrank.models.locks import LOCK, open_alone_inside
from crossrank.retrieval.ingest.store import Entry
from crossrank.retrieval.on_disk import RetrieverName, check_retriever
from crossrank.text_files import write_whole

VERSION = 2
SETTINGS = "settings.json"
MANIFEST = "manifest.json"

STATE = "state-"

AGAIN = "run `crossrank index` again."


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


Files = dict[str, Entry]
"""What is known of each file, by its path below the folder that is indexed."""


@dataclass(frozen=True)
class Manifest:
    """What is indexed.

    Attributes:
        state: Name of the folder of what is searched.
        files: What it was made of.
    """

    state: str
    files: Files


def lock(folder: Path) -> BinaryIO:
    """Keep other updates out of an index, until the file that this gives is closed.

    Args:
        folder: The index; made when it is missing.

    Raises:
        InputError: The folder holds something else, or another update is at work on it.
    """
    own = is_index(folder) or (folder / LOCK).is_file()
    if not own and folder.exists() and any(folder.iterdir()):
        raise InputError(f"{folder} is not empty, and no index: name another --index.")
    return open_alone_inside(folder)


def settle(folder: Path, documents: Path, wanted: IndexSettings | None) -> IndexSettings:
    """Agree on the settings of an index; once it is finished they stay.

    Raises:
        InputError: They cannot be used, or the index is of other documents or settings.
    """
    source = str(documents.resolve())
    settings = wanted and _with_absolute_path(wanted)
    if (folder / SETTINGS).is_file():
        known, indexed = read_settings(folder)
        finished = (folder / MANIFEST).is_file()
        if finished and indexed != source:
            raise InputError(
                f"{folder} is an index of {indexed}: name another --index for {source}."
            )
        if finished and settings not in (None, known):
            before, now = asdict(known), asdict(settings or known)
            differing = [name for name in before if before[name] != now[name]]
            raise InputError(
                f"{folder} was made with {_told(before, differing)}, received "
                f"{_told(now, differing)}: delete it to change that."
            )
        settings = settings or known
    settings = settings or IndexSettings()
    check_retriever(settings.retriever, settings.bi_encoder)
    if not 0 <= settings.overlap < settings.words:
        raise InputError(
            "overlap must be at least 0 and less than words, received "
            f"{settings.overlap} and {settings.words}."
        )
    fields = {"version": VERSION, "documents": source, **asdict(settings)}
    (folder / "files").mkdir(exist_ok=True)
    _write_changed(folder / SETTINGS, json.dumps(fields, indent=1))
    return settings


def _told(settings: dict[str, object], names: list[str]) -> str:
    return ", ".join(f"{name}={settings[name]!r}" for name in names)


def read_settings(folder: Path) -> tuple[IndexSettings, str]:
    """Read the settings of an index, and of which documents it is.

    Raises:
        InputError: There is no index, it is of another version, or the settings are damaged.
    """
    file = folder / SETTINGS
    try:
        fields = json.loads(file.read_text(encoding="utf-8"))
        version, source = fields.pop("version"), fields.pop("documents")
        if version == VERSION:
            return IndexSettings(**fields), source
    except FileNotFoundError as error:
        raise InputError(f"{folder} must hold an index: make it with `crossrank index`.") from error
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise InputError(f"{file} is damaged ({error}): delete {folder} and index anew.") from error
    raise InputError(f"{folder} is of another version: delete it and index anew.")


def is_index(folder: Path) -> bool:
    """Say whether a folder is an index, of whatever version."""
    try:
        fields = json.loads((folder / SETTINGS).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(fields, dict) and {"version", "documents", "retriever"} <= fields.keys()


def read_manifest(folder: Path) -> Manifest:
    """Read which state is whole.

    Raises:
        InputError: None is, or the manifest is damaged.
    """
    try:
        manifest = Manifest(**json.loads((folder / MANIFEST).read_text(encoding="utf-8")))
        if not (isinstance(manifest.state, str) and isinstance(manifest.files, dict)):
            raise TypeError("it is of another shape")
        return manifest
    except FileNotFoundError as error:
        raise InputError(f"{folder} is not finished: {AGAIN}") from error
    except (OSError, ValueError, TypeError) as error:
        raise InputError(f"{folder / MANIFEST} is damaged ({error}): {AGAIN}") from error


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Say which state is whole from now on."""
    _write_changed(folder / MANIFEST, json.dumps(asdict(manifest), indent=1))


def delete_states_but(folder: Path, *needed: str) -> None:
    """Delete states, as far as that can be done now."""
    for state in folder.glob(f"{STATE}*"):
        if state.name not in needed:
            shutil.rmtree(state, ignore_errors=True)


def state_of(files: Files) -> str:
    """Name a state after what it is made of: one that was not finished is found again."""
    content = [(name, entry["digest"]) for name, entry in files.items()]
    return STATE + sha256(json.dumps(content).encode()).hexdigest()[:16]


def _write_changed(file: Path, text: str) -> None:
    """Write a file, unless it has this text already."""
    if not file.is_file() or file.read_text(encoding="utf-8", errors="replace") != text:
        write_whole(file, text)


def _with_absolute_path(settings: IndexSettings) -> IndexSettings:
    """Name a bi-encoder's folder so that it is found from anywhere."""
    if settings.bi_encoder and (folder := Path(settings.bi_encoder).expanduser()).is_dir():
        return replace(settings, bi_encoder=str(folder.resolve()))
    return settings
