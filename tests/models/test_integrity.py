"""Damaged files, and the digest that tells models apart."""

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
from tests.models.model_folders import write_json

from crossrank.errors import ModelFileError
from crossrank.models import digest, read_spec
from crossrank.models.integrity import check_file


def write_safetensors(path: Path, length: int = 8) -> Path:
    """Write the format by hand: header length, header, data."""
    header = json.dumps({"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, length]}}).encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(length))
    return path


def write_onnx(path: Path) -> Path:
    onnx = pytest.importorskip("onnx", reason="writes the file under test")
    value = onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [None])
    result = onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [None])
    node = onnx.helper.make_node("Identity", ["x"], ["y"])
    graph = onnx.helper.make_graph([node], "graph", [value], [result])
    onnx.save(onnx.helper.make_model(graph), path)
    return path


def test_whole_files_pass(tmp_path: Path) -> None:
    check_file(write_safetensors(tmp_path / "model.safetensors"))
    check_file(write_onnx(tmp_path / "model.onnx"))
    (tmp_path / "openvino_model.xml").write_text("<net></net>\n")
    (tmp_path / "openvino_model.bin").write_bytes(b"")
    check_file(tmp_path / "openvino_model.xml")


@pytest.mark.parametrize("keep", [0, 4, 20, 60, -1])
@pytest.mark.parametrize("write", [write_safetensors, write_onnx])
def test_cut_files_fail(tmp_path: Path, write: object, keep: int) -> None:
    suffix = ".onnx" if write is write_onnx else ".safetensors"
    path = write(tmp_path / f"model{suffix}")  # type: ignore[operator]
    data = path.read_bytes()
    path.write_bytes(data[:keep])
    with pytest.raises(ModelFileError, match=r"damaged: .*Download the model again"):
        check_file(path)


def test_openvino_needs_both_files(tmp_path: Path) -> None:
    path = tmp_path / "openvino_model.xml"
    path.write_text("<net></net>")
    with pytest.raises(ModelFileError, match=r"openvino_model\.bin"):
        check_file(path)
    path.write_text("<net><layers>")
    with pytest.raises(ModelFileError, match="its end is missing"):
        check_file(path)


def test_a_pointer_of_git_lfs(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")
    with pytest.raises(ModelFileError, match="git lfs pull"):
        check_file(path)


def test_digest_follows_what_changes_a_score(model_folder: Path) -> None:
    weights = write_safetensors(model_folder / "model.safetensors")
    spec = read_spec(model_folder, "model")
    first = digest(spec, [weights])
    assert first == digest(spec, [weights])
    assert first == digest(replace(spec, name="another name"), [weights])

    changed = read_spec(model_folder, "model", config_kwargs={"hidden_act": "relu"})
    assert digest(changed, [weights]) != first

    data = bytearray(weights.read_bytes())
    data[-1] = 1
    weights.write_bytes(data)
    os.utime(weights, ns=(0, 0))
    second = digest(spec, [weights])
    assert second != first

    write_json(model_folder / "1_Pooling" / "config.json", {"pooling_mode": "cls"})
    assert digest(spec, [weights]) != second


@pytest.mark.parametrize(
    "name",
    [
        "config_sentence_transformers.json",
        "sentence_bert_config.json",
        "tokenizer_config.json",
        "0_T/modules.json",
    ],
)
def test_digest_follows_settings_that_change_what_is_read(model_folder: Path, name: str) -> None:
    spec = read_spec(model_folder, "model")
    first = digest(spec)
    write_json(model_folder / name, {"prompts": {"query": "Find: "}})
    assert (digest(spec) != first) == (name != "0_T/modules.json")


def test_digest_follows_external_data(model_folder: Path) -> None:
    weights = model_folder / "model.onnx"
    weights.write_bytes(b"graph")
    spec = read_spec(model_folder, "model")
    alone = digest(spec, [weights])
    (model_folder / "model.onnx_data").write_bytes(b"weights")
    assert digest(spec, [weights]) != alone
