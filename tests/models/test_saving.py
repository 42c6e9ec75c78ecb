"""Saving over another model, what is saved, and pushing.

Models are pushed with the hub's own client against a stand-in for its HTTP API.
"""

import base64
import json
import shutil
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from tests.models.model_folders import set_config, write_json

from crossrank.errors import InputError
from crossrank.models import locate, read_spec
from crossrank.models.files import list_names
from crossrank.models.saving import push_model, save_model, save_trained

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


OLD = [
    "0_Transformer/model.safetensors",
    "calibration.json",
    "config_sentence_transformers.json",
    "model-00001-of-00002.safetensors",
    "model-00002-of-00002.safetensors",
    "model.safetensors.index.json",
    "modules.json",
    "onnx/model.onnx",
    "onnx/model.onnx_data",
    "onnx/model_int8.onnx",
    "openvino/openvino_model.bin",
    "openvino/openvino_model.xml",
    "sentence_bert_config.json",
]
"""Files of another model: each would change how the folder is read."""
OTHERS = ["notes.txt", "another/config.json", "another/model.onnx", "onnx/notes.txt"]


@pytest.fixture
def occupied(tmp_path: Path) -> Path:
    """A folder with another model, and with files that are none of its."""
    for name in ["config.json", *OLD, *OTHERS]:
        file = tmp_path / "occupied" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("old")
    return tmp_path / "occupied"


def test_nothing_is_left_of_another_model(model_folder: Path, occupied: Path) -> None:
    (model_folder / "model_fp16.onnx").write_text("new")
    expected = sorted([*list_names(model_folder), *OTHERS])
    save_model(read_spec(model_folder, "mine"), occupied, activation=None)
    assert list_names(occupied) == expected
    assert (occupied / "model_fp16.onnx").read_text() == "new"
    assert {(occupied / name).read_text() for name in OTHERS} == {"old"}


def test_a_failure_leaves_the_other_model_whole(
    model_folder: Path, occupied: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (model_folder / "model.safetensors").write_text("new")

    def copy(source: Path, target: Path) -> None:
        """Find the disk full when it comes to the weights."""
        if source.name == "model.safetensors":
            raise OSError("No space left on device")
        target.write_bytes(source.read_bytes())

    monkeypatch.setattr("crossrank.models.saving.shutil.copyfile", copy)
    before = list_names(occupied)
    with pytest.raises(OSError, match="No space left"):
        save_model(read_spec(model_folder, "mine"), occupied, activation=None)
    assert list_names(occupied) == before
    assert (occupied / "config.json").read_text() == "old"


def test_the_source_is_not_touched(model_folder: Path, tmp_path: Path) -> None:
    source = tmp_path / "both" / "onnx"
    shutil.copytree(model_folder, source)
    (source / "model.onnx").write_text("new")
    before = list_names(source)
    spec = read_spec(source, "mine")
    save_model(spec, tmp_path / "both", activation=None)
    assert list_names(source) == before
    assert (tmp_path / "both" / "model.onnx").read_text() == "new"
    with pytest.raises(InputError, match="save it to another folder"):
        save_model(spec, source, activation=None)


def test_a_trained_model_takes_the_place_of_another(
    model_folder: Path, occupied: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch = pytest.importorskip("torch", reason="what is trained is a torch module")

    def save_weights(module: Any, _: Any, folder: Path) -> None:
        (folder / "model.safetensors").write_text(module)

    monkeypatch.setattr("crossrank.models.torch_modules.saving.save_weights", save_weights)
    (model_folder / "onnx").mkdir()
    (model_folder / "onnx/model.onnx").write_text("untrained")
    (occupied / "README.md").write_text("the card of the other model")
    tanh = f"{torch.nn.Tanh.__module__}.Tanh"
    save_trained(read_spec(model_folder, "mine"), "trained", occupied, tanh)  # type: ignore[arg-type]
    names = ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"]
    assert list_names(occupied) == sorted([*names, *OTHERS])
    assert (occupied / "model.safetensors").read_text() == "trained"
    assert read_spec(occupied, "trained").activation == "tanh"


def make_modular(folder: Path, home: str, **transformer: object) -> Path:
    """Move a model's transformer into a module, with a head after it."""
    entries = [(home, "base.modules.transformer.Transformer"), ("1_Dense", "base.modules.Dense")]
    modules = [{"path": path, "type": f"sentence_transformers.{kind}"} for path, kind in entries]
    if home:
        names = list_names(folder)
        (folder / home).mkdir()
        for name in names:
            (folder / name).rename(folder / home / name)
    write_json(folder / "modules.json", modules)
    write_json(folder / home / "sentence_bert_config.json", transformer)
    head = {"module_output_name": "scores", "out_features": 1}
    write_json(folder / "1_Dense" / "config.json", head)
    return folder


@pytest.mark.parametrize("home", ["", "0_Transformer"])
@pytest.mark.parametrize("transformer", [{}, {"max_seq_length": 48}])
def test_the_length_is_saved_where_it_is_read(
    model_folder: Path, tmp_path: Path, home: str, transformer: dict[str, int]
) -> None:
    folder = make_modular(model_folder, home, **transformer)
    spec = read_spec(folder, "mine")
    assert spec.max_length == transformer.get("max_seq_length", 512)
    sigmoid = "torch.nn.modules.activation.Sigmoid"
    save_model(replace(spec, max_length=20), tmp_path / "saved", activation=sigmoid)
    again = read_spec(tmp_path / "saved", "mine")
    assert (again.max_length, again.activation) == (20, "sigmoid")
    added = {"config_sentence_transformers.json"}
    assert set(list_names(tmp_path / "saved")) == {*list_names(folder), *added}


@pytest.mark.parametrize("home", ["", "0_Transformer"])
def test_what_is_cut_is_saved(model_folder: Path, tmp_path: Path, home: str) -> None:
    folder = make_modular(model_folder, home)
    spec = read_spec(folder, "mine")
    assert spec.truncation == "longest_first"
    first, second, third = (tmp_path / name for name in ("first", "second", "third"))
    save_model(spec, first, activation=None, truncation="longest_first")
    assert "crossrank" not in json.loads((first / home / "config.json").read_text())
    save_model(spec, second, activation=None, truncation="only_document")
    saved = read_spec(second, "mine")
    assert saved.truncation == "only_document"
    save_model(saved, third, activation=None, truncation="longest_first")
    assert read_spec(third, "mine").truncation == "longest_first"


def test_the_side_that_is_cut_is_saved(model_folder: Path, tmp_path: Path) -> None:
    spec = read_spec(model_folder, "mine", processor_kwargs={"truncation_side": "left"})
    save_model(spec, tmp_path / "left", activation=None)
    assert read_spec(tmp_path / "left", "mine").template == spec.template
    save_model(read_spec(model_folder, "mine"), tmp_path / "silent", activation=None)
    settings = json.loads((tmp_path / "silent/tokenizer_config.json").read_text())
    assert "truncation_side" not in settings


def test_a_chat_template_is_saved(model_folder: Path, tmp_path: Path) -> None:
    set_config(model_folder, architectures=["Qwen3ForCausalLM"], model_type="qwen3")
    source = "{% for m in messages %}<{{ m['role'] }}>{{ m['content'] }}{% endfor %}"
    spec = read_spec(model_folder, "mine", processor_kwargs={"chat_template": source})
    save_model(spec, tmp_path / "saved", activation=None)
    assert read_spec(tmp_path / "saved", "mine").template == spec.template
    assert read_spec(model_folder, "mine").template != spec.template


def test_prompts_are_saved(model_folder: Path, tmp_path: Path) -> None:
    spec = read_spec(model_folder, "mine")
    tanh = "torch.nn.modules.activation.Tanh"
    prompts = {"web": "Search: ", "code": "Find code: "}
    first, second, third = (tmp_path / name for name in ("first", "second", "third"))
    save_model(spec, first, activation=tanh, prompts=prompts, default_prompt_name="web")
    # As in files of sentence-transformers, a prompt may be empty; crossrank has no use for it.
    settings = first / "config_sentence_transformers.json"
    value = json.loads(settings.read_text())
    value["prompts"]["document"] = ""
    write_json(settings, value)
    saved = read_spec(first, "mine")
    assert (saved.prompts, saved.default_prompt_name) == (prompts, "web")
    identity = "torch.nn.modules.linear.Identity"
    save_model(saved, second, activation=identity, prompts={"code": "Find: "})
    again = read_spec(second, "mine")
    assert (again.prompts, again.default_prompt_name) == ({"code": "Find: "}, None)
    assert again.activation == "identity"
    # Readers that know no modules look for it here.
    config = json.loads((second / "config.json").read_text())
    assert config["sentence_transformers"] == {"activation_fn": identity}
    written = json.loads((second / settings.name).read_text())
    assert written["prompts"] == {"document": "", "code": "Find: "}
    save_model(saved, third, activation=None)
    assert read_spec(third, "mine").prompts == prompts
    assert settings.name not in list_names(model_folder)
    save_model(spec, tmp_path / "plain", activation=tanh, prompts={})
    assert settings.name not in list_names(tmp_path / "plain")
