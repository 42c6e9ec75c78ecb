"""A stand-in for the hub: the few routes of its HTTP API that huggingface_hub calls."""

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlparse

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Hub(ThreadingHTTPServer):
    """Serves ``folder/<organisation>/<name>`` as repositories.

    Attributes:
        requested: Method and path of every request so far.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.folder = folder
        self.requested: list[str] = []

    @property
    def address(self) -> str:
        """Value for ``HF_ENDPOINT``."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    def downloaded(self) -> set[str]:
        """Names of the files that were fetched."""
        marker = f"/resolve/{COMMIT}/"
        fetched = [line for line in self.requested if line.startswith("GET") and marker in line]
        return {line.partition(marker)[2] for line in fetched}


class _Handler(BaseHTTPRequestHandler):
    server: Hub

    def do_GET(self) -> None:
        self._answer()

    def do_HEAD(self) -> None:
        self._answer()

    def log_message(self, *_: object) -> None:
        """Keep quiet."""

    def _answer(self) -> None:
        path = unquote(urlparse(self.path).path)
        self.server.requested.append(f"{self.command} {path}")
        parts = path.strip("/").split("/")
        api = parts[:2] == ["api", "models"]
        names = parts[2:] if api else parts
        repository = self.server.folder / "/".join(names[:2])
        if not repository.is_dir() or len(names) < 2:
            self._error("RepoNotFound", "Repository not found")
            return
        action, revision, rest = (names[2:3] or ["revision"])[0], *_split(names[3:])
        if revision not in ("main", COMMIT):
            self._error("RevisionNotFound", "Invalid rev id")
        elif action == "revision":
            self._json(self._info(repository, "/".join(names[:2])))
        elif action == "tree":
            self._json([self._entry(repository, file) for file in _files(repository)])
        elif action == "resolve" and (repository / rest).is_file():
            self._file(repository / rest)
        else:
            self._error("EntryNotFound", "Entry not found")

    def _info(self, repository: Path, name: str) -> dict[str, object]:
        siblings = [{"rfilename": file} for file in _files(repository)]
        return {"id": name, "sha": COMMIT, "siblings": siblings, "private": False, "tags": []}

    def _entry(self, repository: Path, file: str) -> dict[str, object]:
        data = (repository / file).read_bytes()
        return {"type": "file", "path": file, "size": len(data), "oid": _etag(data)}

    def _file(self, file: Path) -> None:
        data = file.read_bytes()
        self._send(200, data, {"ETag": f'"{_etag(data)}"', "X-Repo-Commit": COMMIT})

    def _json(self, value: object) -> None:
        self._send(200, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def _error(self, code: str, message: str) -> None:
        headers = {"X-Error-Code": code, "X-Error-Message": message}
        self._send(404, json.dumps({"error": message}).encode(), headers)

    def _send(self, status: int, data: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(data))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(data)


def _split(names: list[str]) -> tuple[str, str]:
    return (names[0] if names else "main"), "/".join(names[1:])


def _files(repository: Path) -> list[str]:
    files = sorted(path for path in repository.rglob("*") if path.is_file())
    return [path.relative_to(repository).as_posix() for path in files]


def _etag(data: bytes) -> str:
    return hashlib.sha1(data).hexdigest()


@contextmanager
def serve(folder: Path) -> Iterator[Hub]:
    """Run the stand-in while the block runs."""
    with Hub(folder) as hub:
        thread = threading.Thread(target=hub.serve_forever)
        thread.start()
        try:
            yield hub
        finally:
            hub.shutdown()
            thread.join()
