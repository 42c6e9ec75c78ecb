"""From a model's name to a folder with its files: embedded, local, or from the hub."""

import importlib
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from crossrank.errors import InputError, ModelNotFoundError, describe
from crossrank.models.convert import can_convert
from crossrank.models.files import choose, companions
from crossrank.models.reading import read_kind
from crossrank.optional import installed
from crossrank.types import Precision

DEFAULT = "default"

EMBEDDED = {name: Path(__file__).parent / name for name in (DEFAULT, "small")}
"""The folders of the embedded models, by name."""

_SMALL = re.compile(
    r"(.*/)?([^/]+\.(json|txt|jinja)|README\.md|[^/]*\.(model|tiktoken|vocab)|[^/]+\.py)"
)
_ORGANISATION = "cross-encoder"


def locate(
    name: str | Path | None,
    *,
    cache_folder: str | Path | None = None,
    revision: str | None = None,
    token: bool | str | None = None,
    local_files_only: bool = False,
    backend: str = "auto",
    device: str | None = None,
    precision: Precision | None = None,
    file_name: str | None = None,
) -> Path:
    """Find a model's folder; download what is needed of it.

    Args:
        name: A folder, a hub id, ``"default"`` or ``"small"`` for an embedded model, or ``None``
            for the default one. A ``Path`` is never an embedded model. A hub id without an
            organisation is looked for in ``cross-encoder/``, as sentence-transformers does.
        cache_folder: Where downloaded models are kept. By default ``SENTENCE_TRANSFORMERS_HOME``,
            else the hub's own cache.
        revision: Branch, tag or commit on the hub.
        token: Hub token, or ``True`` for the one saved on this machine.
        local_files_only: Do not use the network.
        backend: The backend that will load the model; decides which weights are downloaded.
        device: The device it will run on.
        precision: The precision it will be computed in.
        file_name: A weight file the caller names.

    Returns:
        The folder. The weight files in it are those that were chosen, never pickles.

    Raises:
        ModelNotFoundError: There is no such folder or repository, or it cannot be reached.
        ModelFileError: The model has no weights that may be loaded.
        InputError: The name is neither a path nor a hub id.

    Example:
        >>> locate("./no-such-model")
        Traceback (most recent call last):
        crossrank.errors.ModelNotFoundError: There is no folder ./no-such-model. ...
    """
    name = DEFAULT if name is None else name
    if isinstance(name, str) and (embedded := EMBEDDED.get(name)):
        if not (embedded / "config.json").is_file():
            raise ModelNotFoundError(
                f"The embedded model is missing from {embedded}: this installation of crossrank "
                "is incomplete. Install it again, or name a model."
            )
        return embedded
    if not isinstance(name, str | Path):
        raise InputError(
            "A model is named by a folder or by a hub id such as 'organisation/model'; received "
            f"{describe(name)}."
        )
    folder = Path(name).expanduser()
    if folder.is_dir():
        return folder
    _check_hub_id(str(name), folder)
    repo_id = str(name) if "/" in str(name) else f"{_ORGANISATION}/{name}"
    repository = _Repository(repo_id, cache_folder, revision, token, local_files_only)
    with _clear_errors(repo_id, revision):
        return repository.fetch(backend, device, precision, file_name)


def _check_hub_id(name: str, folder: Path) -> None:
    if folder.is_file():
        raise ModelNotFoundError(f"{name} is a file; name the folder that holds the model.")
    if name.startswith((".", "~", "/")) or "\\" in name or name.count("/") > 1:
        raise ModelNotFoundError(f"There is no folder {name}. Is the path right?")
    if not re.fullmatch(r"[\w.-]{1,96}(/[\w.-]{1,96})?", name, re.ASCII):
        raise InputError(
            f"A model is named by a folder or by a hub id such as 'organisation/model'; received "
            f"{name!r}."
        )


class _Repository:
    """One repository on the hub."""

    def __init__(
        self,
        repo_id: str,
        cache_folder: str | Path | None,
        revision: str | None,
        token: bool | str | None,
        local_files_only: bool,
    ) -> None:
        from huggingface_hub import constants

        self.repo_id = repo_id
        self.revision = revision
        self.token = token
        self.offline = local_files_only or constants.HF_HUB_OFFLINE
        self.cache = cache_folder or os.environ.get("SENTENCE_TRANSFORMERS_HOME") or None

    def fetch(
        self, backend: str, device: str | None, precision: Precision | None, file_name: str | None
    ) -> Path:
        names = None if self.offline else self._list()
        if names is None:
            # A part of a repository is kept; to ask for all of it would find it incomplete.
            return self._download(["config.json"], offline=True)
        folder = self._download([name for name in names if _SMALL.fullmatch(name)])
        weights = _wanted_weights(
            names, folder, self.repo_id, backend, device, precision, file_name
        )
        return self._download(weights)

    def _list(self) -> list[str] | None:
        """List the files; ``None`` when the hub cannot be reached."""
        from huggingface_hub import HfApi
        from huggingface_hub.errors import HfHubHTTPError

        try:
            # Not list_repo_files, which goes on trying for half a minute without a network.
            files = (
                HfApi(token=self.token).model_info(self.repo_id, revision=self.revision).siblings
            )
            return [file.rfilename for file in files or []]
        except HfHubHTTPError as error:
            if error.response is not None and error.response.status_code >= 500:
                return None
            raise
        except _transport_errors():
            return None

    def _download(self, names: list[str], *, offline: bool = False) -> Path:
        from huggingface_hub import snapshot_download

        return Path(
            snapshot_download(
                self.repo_id,
                revision=self.revision,
                cache_dir=self.cache,
                token=self.token,
                local_files_only=offline,
                allow_patterns=[_literal(name) for name in names],
            )
        )


def _transport_errors() -> tuple[type[Exception], ...]:
    """What the hub's client raises without a network; its version 2 changed the library."""
    libraries = [name for name in ("httpx2", "httpx") if installed(name)]
    return tuple(importlib.import_module(name).TransportError for name in libraries)


def _literal(name: str) -> str:
    """Quote a file name for a glob pattern."""
    return re.sub(r"([*?\[])", r"[\1]", name)


def _wanted_weights(
    names: list[str],
    folder: Path,
    repo_id: str,
    backend: str,
    device: str | None,
    precision: Precision | None,
    file_name: str | None,
) -> list[str]:
    """Choose the weights to download: one file, what belongs to it, and those of the heads."""
    from crossrank.backends import choose as choose_backend

    chosen = backend
    if backend == "auto":
        chosen = choose_backend(
            read_kind(folder), device, names, precision=precision, file_name=file_name
        )
    file = choose(
        names,
        chosen,
        precision,
        file_name=file_name,
        can_convert=can_convert(),
        where=repo_id,
    ).file
    heads = [name for name in names if re.fullmatch(r"\d+_\w+/model\.safetensors", name)]
    return [file.name, *companions(file.name, names), *heads]


@contextmanager
def _clear_errors(repo_id: str, revision: str | None) -> Iterator[None]:
    """Say what the hub's errors mean for the user."""
    from huggingface_hub import errors

    try:
        yield
    except errors.GatedRepoError as error:
        raise ModelNotFoundError(
            f"{repo_id} is open only to those who asked for access. Ask for it on the model's page "
            "and pass your token, or log in with: hf auth login"
        ) from error
    except errors.RevisionNotFoundError as error:
        raise ModelNotFoundError(
            f"{repo_id} has no branch, tag or commit {revision!r}; leave revision out for the "
            "newest."
        ) from error
    except errors.RepositoryNotFoundError as error:
        raise ModelNotFoundError(
            f"There is no folder and no hub repository {repo_id}. Is the name right? For a private "
            "one pass a token, or log in with: hf auth login"
        ) from error
    except (errors.LocalEntryNotFoundError, errors.OfflineModeIsEnabled) as error:
        raise ModelNotFoundError(
            f"{repo_id} is not among the downloaded models, and the network may not be used or "
            "does not answer. Load it once with a network, or name a folder that holds the model. "
            'The embedded ones, "default" and "small", need no network; they can score, not train.'
        ) from error
    except errors.HfHubHTTPError as error:
        raise ModelNotFoundError(f"{repo_id} cannot be downloaded: {error}") from error
