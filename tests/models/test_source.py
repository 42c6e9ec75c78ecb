"""Finding models: folders, the embedded one, and the hub through its real client."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.models.hub_stand_in import COMMIT, Hub, serve

from crossrank.errors import InputError, ModelNotFoundError
from crossrank.models.source import EMBEDDED, locate

SCRIPT = """
import json, sys
from crossrank.errors import CrossRankError
from crossrank.models import locate
try:
    print(json.dumps(["found", str(locate(**json.loads(sys.argv[1])))]))
except CrossRankError as error:
    print(json.dumps([type(error).__name__, str(error)]))
"""


def locate_with(endpoint: str, home: Path, **arguments: object) -> tuple[str, str]:
    """Call ``locate`` in a process of its own: the hub's client reads its address at import."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("HF_")}
    environment |= {"HF_ENDPOINT": endpoint, "HF_HOME": str(home), "NO_PROXY": "127.0.0.1"}
    environment |= {"HF_HUB_DISABLE_TELEMETRY": "1", "HF_HUB_ETAG_TIMEOUT": "5"}
    if endpoint == "offline":
        environment |= {"HF_HUB_OFFLINE": "1", "HF_ENDPOINT": "http://127.0.0.1:1"}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, json.dumps(arguments)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=20,  # without a network, too, nobody waits for long
        check=False,
    )
    assert done.returncode == 0, done.stderr
    kind, value = json.loads(done.stdout.splitlines()[-1])
    return kind, value


@pytest.fixture
def hub(tmp_path: Path, model_folder: Path) -> Iterator[Hub]:
    """A hub with one repository, which holds every kind of file."""
    repository = tmp_path / "hub" / "someone" / "reranker"
    shutil.copytree(model_folder, repository)
    for name in (
        "onnx/model.onnx",
        "onnx/model_O4.onnx",
        "onnx/model_qint8_avx512_vnni.onnx",
        "model.safetensors",
        "pytorch_model.bin",
        "tf_model.h5",
        "README.md",
    ):
        (repository / name).parent.mkdir(exist_ok=True)
        (repository / name).write_bytes(name.encode())
    with serve(tmp_path / "hub") as running:
        yield running


def test_downloads_small_files_and_one_weight_file(hub: Hub, tmp_path: Path) -> None:
    kind, folder = locate_with(hub.address, tmp_path / "home", name="someone/reranker")
    assert kind == "found", folder
    assert Path(folder).name == COMMIT
    assert hub.downloaded() == {
        "config.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "README.md",
        "onnx/model.onnx",
    }


def test_downloads_what_the_backend_reads(hub: Hub, tmp_path: Path) -> None:
    arguments = {"name": "someone/reranker", "backend": "torch"}
    kind, folder = locate_with(hub.address, tmp_path / "home", **arguments)
    assert kind == "found", folder
    assert (Path(folder) / "model.safetensors").read_bytes() == b"model.safetensors"
    assert not hub.downloaded() & {"pytorch_model.bin", "tf_model.h5", "onnx/model.onnx"}


def test_works_offline_once_it_was_downloaded(hub: Hub, tmp_path: Path) -> None:
    home = tmp_path / "home"
    _, folder = locate_with(hub.address, home, name="someone/reranker")
    asked = len(hub.requested)
    arguments = {"name": "someone/reranker", "local_files_only": True}
    assert locate_with(hub.address, home, **arguments) == ("found", folder)
    assert locate_with("offline", home, name="someone/reranker") == ("found", folder)
    unreachable = "http://127.0.0.1:1"
    assert locate_with(unreachable, home, name="someone/reranker") == ("found", folder)
    assert len(hub.requested) == asked


def test_uses_the_folder_that_the_caller_names_as_cache(hub: Hub, tmp_path: Path) -> None:
    arguments = {"name": "someone/reranker", "cache_folder": str(tmp_path / "elsewhere")}
    _, folder = locate_with(hub.address, tmp_path / "home", **arguments)
    assert Path(folder).is_relative_to(tmp_path / "elsewhere")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"name": "someone/else"}, "no hub repository someone/else"),
        ({"name": "reranker"}, "no hub repository cross-encoder/reranker"),
        ({"name": "someone/reranker", "revision": "v9"}, "no branch, tag or commit 'v9'"),
        ({"name": "someone/other", "local_files_only": True}, "Load it once with a network"),
    ],
)
def test_says_what_is_missing(
    hub: Hub, tmp_path: Path, arguments: dict[str, object], words: str
) -> None:
    kind, message = locate_with(hub.address, tmp_path / "home", **arguments)
    assert kind == "ModelNotFoundError"
    assert words in message


def test_says_that_the_network_does_not_answer(tmp_path: Path) -> None:
    kind, message = locate_with("http://127.0.0.1:1", tmp_path, name="someone/reranker")
    assert kind == "ModelNotFoundError"
    assert "network" in message


def test_refuses_a_repository_of_pickles(hub: Hub, tmp_path: Path) -> None:
    repository = tmp_path / "hub" / "someone" / "reranker"
    shutil.rmtree(repository / "onnx")
    (repository / "model.safetensors").unlink()
    kind, message = locate_with(hub.address, tmp_path / "home", name="someone/reranker")
    assert kind == "ModelFileError"
    assert "pytorch_model.bin" in message
    assert "pickles" in message


def test_embedded_models_have_names() -> None:
    assert locate(None) == locate("default") == EMBEDDED["default"]
    assert locate("small") == EMBEDDED["small"]


def test_embedded_models_are_small_together() -> None:
    files = (file for folder in EMBEDDED.values() for file in folder.rglob("*"))
    assert sum(file.stat().st_size for file in files if file.is_file()) < 48_000_000


def test_a_folder_is_itself(model_folder: Path) -> None:
    assert locate(model_folder) == model_folder
    assert locate(str(model_folder)) == model_folder


@pytest.mark.parametrize("name", ["./no/such", "/no/such/folder", "a/b/c", "..\\model"])
def test_a_missing_path_is_not_looked_for_on_the_hub(name: str) -> None:
    with pytest.raises(ModelNotFoundError, match="no folder"):
        locate(name)


@pytest.mark.parametrize("name", ["a b", "https:model", "someone/", "naïve/model"])
def test_refuses_what_is_no_name(name: str) -> None:
    with pytest.raises(InputError, match="hub id"):
        locate(name)


def test_a_file_is_no_model(model_folder: Path) -> None:
    with pytest.raises(ModelNotFoundError, match="folder that holds"):
        locate(model_folder / "config.json")


def test_a_path_is_a_folder_of_that_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in EMBEDDED:
        Path(name).mkdir()
        assert locate(Path(name)) == Path(name)
        assert locate(name) == EMBEDDED[name]


@pytest.mark.parametrize("name", [5, b"model", object()])
def test_a_name_is_a_text_or_a_path(name: object) -> None:
    with pytest.raises(InputError, match="named by a folder or by a hub id"):
        locate(name)  # type: ignore[arg-type]
