"""Pushing a model, with the hub's own client against a stand-in for its HTTP API."""

import base64
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from crossrank.models import locate, read_spec
from crossrank.models.saving import push_model, save_model

COMMIT = "0123456789abcdef0123456789abcdef01234567"

PULL_REQUEST = {
    "num": 1,
    "title": "Add it",
    "status": "draft",
    "createdAt": "2026-01-01T00:00:00.000Z",
    "repo": {"name": "me/mine", "type": "model"},
    "isPullRequest": True,
    "filesWithConflicts": [],
    "changes": {"base": "refs/heads/main"},
    "events": [],
}


class Receiver(ThreadingHTTPServer):
    """Takes commits as the hub does, and keeps their files."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.created: list[dict[str, object]] = []
        self.files: dict[str, bytes] = {}
        self.headers: dict[str, str] = {}


class _Handler(BaseHTTPRequestHandler):
    server: Receiver

    def log_message(self, *_: object) -> None:
        """Keep quiet."""

    def do_GET(self) -> None:
        if "/discussions/" in self.path:
            self._json(PULL_REQUEST)
            return
        siblings = [{"rfilename": name} for name in self.server.files]
        self._json({"id": "me/mine", "sha": COMMIT, "siblings": siblings})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        address = f"http://127.0.0.1:{self.server.server_address[1]}/me/mine"
        if self.path == "/api/repos/create":
            self.server.created.append(json.loads(body))
            self._json({"url": address, "id": "me/mine", "name": "me/mine"})
        elif "/preupload/" in self.path:
            wanted = json.loads(body)["files"]
            answers = [
                {"path": file["path"], "uploadMode": "regular", "shouldIgnore": False}
                for file in wanted
            ]
            self._json({"files": answers})
        elif self.path == "/api/validate-yaml":
            self._json({"errors": [], "warnings": []})
        elif self.path.endswith("/discussions"):
            self._json({"num": 1, "pullRequest": True})
        elif "/commit/" in self.path:
            for line in map(json.loads, body.splitlines()):
                value = line["value"]
                if line["key"] == "file":
                    self.server.files[value["path"]] = base64.b64decode(value["content"])
                else:
                    self.server.headers = value
            self._json(
                {
                    "commitUrl": f"{address}/commit/{COMMIT}",
                    "commitOid": COMMIT,
                    "pullRequestUrl": f"{address}/discussions/1",
                }
            )
        else:
            raise ValueError(f"unknown route {self.path}: {body!r}")

    def _json(self, value: object) -> None:
        data = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    with Receiver() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        address = f"http://127.0.0.1:{server.server_address[1]}"
        # The client reads its endpoint when it is imported.
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", address)
        yield server
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("create_pr", [False, True])
def test_a_pushed_model_has_the_files_of_a_saved_one(
    receiver: Receiver, tmp_path: Path, create_pr: bool
) -> None:
    spec = read_spec(locate(None), "default")

    def save(folder: Path) -> None:
        save_model(spec, folder, activation=None, weights=False)

    address = push_model(
        save,
        "me/mine",
        token="hf_token",
        private=True,
        commit_message="Add it",
        exist_ok=True,
        revision=None,
        create_pr=create_pr,
    )
    save(tmp_path)
    saved = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.*")}
    assert receiver.created[0]["visibility"] == "private"
    assert receiver.headers["summary"] == "Add it"
    assert set(receiver.files) >= saved - {"README.md"}
    assert json.loads(receiver.files["config.json"])["model_type"] == "prettr"
    assert address.endswith("/discussions/1" if create_pr else f"/commit/{COMMIT}")
