"""ONNX files made of torch modules: any number of pairs, any length, made once."""

import subprocess
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from tests.models.model_folders import CONFIG, write_json

from crossrank.errors import ExportError, MissingDependencyError, ModelFileError
from crossrank.models import convert, read_spec
from crossrank.models.convert import converted, to_onnx
from crossrank.models.graphs import find_graph
from crossrank.models.source import EMBEDDED
from crossrank.models.spec import ModelSpec
from crossrank.models.storage import make_once

torch = pytest.importorskip("torch", reason="converts models")
onnxruntime = pytest.importorskip("onnxruntime", reason="runs the converted files")
pytest.importorskip("onnxscript", reason="converts models")


class Mean(torch.nn.Module):
    """Averages embeddings over the tokens that are no padding; knows no token types."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.embedding = torch.nn.Embedding(50, 4)
        self.head = torch.nn.Linear(4, 2)

    def forward(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor, token_type_ids: torch.Tensor
    ) -> torch.Tensor:
        mask = attention_mask.unsqueeze(2).float()
        mean = (self.embedding(input_ids) * mask).sum(1) / mask.sum(1)
        return self.head(mean)


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
def test_takes_any_number_of_pairs_of_any_length(tmp_path: Path, engine: str) -> None:
    module = Mean().eval()
    file = tmp_path / "model.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        to_onnx(module, file)
    if engine == "openvino":
        import openvino

        compiled = openvino.Core().compile_model(
            str(file), "CPU", {"INFERENCE_PRECISION_HINT": "f32"}
        )
        names = [port.any_name for port in compiled.inputs]
        run = lambda feed: compiled(feed)[0]  # noqa: E731
    else:
        session = onnxruntime.InferenceSession(str(file))
        names = [value.name for value in session.get_inputs()]
        assert [value.name for value in session.get_outputs()] == ["logits"]
        run = lambda feed: session.run(None, feed)[0]  # noqa: E731
    assert names == ["input_ids", "attention_mask"], "token types are not used"
    numbers = np.random.default_rng(0)
    for pairs, length in [(1, 8), (1, 1), (3, 200), (17, 5)]:
        ids = numbers.integers(0, 50, (pairs, length))
        mask = (np.arange(length) < numbers.integers(1, length + 1, (pairs, 1))).astype(np.int64)
        with torch.inference_mode():
            expected = module(torch.from_numpy(ids), torch.from_numpy(mask), None).numpy()
        found = run({"input_ids": ids, "attention_mask": mask})
        np.testing.assert_allclose(found, expected, atol=1e-5)


class Unwritable(Mean):
    """Looks into the values of its input, which no graph can."""

    def forward(self, input_ids, attention_mask, token_type_ids):  # type: ignore[no-untyped-def]
        return super().forward(input_ids, attention_mask, token_type_ids) * len(
            set(input_ids.flatten().tolist())
        )


def test_no_path_of_this_machine_is_written(tmp_path: Path) -> None:
    to_onnx(Mean().eval(), tmp_path / "model.onnx")
    written = (tmp_path / "model.onnx").read_bytes()
    for path in (Path(__file__), Path(convert.__file__).parent, Path(torch.__file__).parent):
        assert str(path).encode() not in written


@pytest.mark.parametrize("folder", EMBEDDED.values(), ids=EMBEDDED)
def test_the_embedded_files_hold_no_stack_traces(folder: Path) -> None:
    (file,) = folder.glob("onnx/*.onnx")
    assert b'.py", line ' not in file.read_bytes()


def test_says_which_network_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="Unwritable cannot be written as ONNX"):
        to_onnx(Unwritable().eval(), tmp_path / "model.onnx")
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def tiny_bert(model_folder: Path) -> Path:
    """The folder, with random weights."""
    transformers = pytest.importorskip("transformers", reason="saves the model")
    sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1}
    config = CONFIG | sizes | {"intermediate_size": 8, "vocab_size": 12}
    model = transformers.BertForSequenceClassification(transformers.BertConfig(**config))
    model.save_pretrained(model_folder)
    write_json(model_folder / "tokenizer_config.json", {"tokenizer_class": "BertTokenizer"})
    return model_folder


def test_converts_once(tiny_bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CROSSRANK_CACHE", str(tmp_path / "cache"))
    spec = read_spec(tiny_bert, "name")
    file = converted(spec)
    assert file.is_relative_to(tmp_path / "cache")
    monkeypatch.setattr(convert, "to_onnx", lambda *_: pytest.fail("it was converted already"))
    assert converted(spec) == file
    assert [path.name for path in (tmp_path / "cache" / "converted").iterdir()] == [
        file.parent.name
    ]


def test_a_head_of_random_weights_is_told_every_time(
    tiny_bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from safetensors.torch import load_file, save_file

    monkeypatch.setenv("CROSSRANK_CACHE", str(tmp_path / "cache"))
    file = tiny_bert / "model.safetensors"
    body = {name: value for name, value in load_file(file).items() if "classifier" not in name}
    save_file(body, file, {"format": "pt"})
    for _ in range(2):
        with pytest.warns(UserWarning, match=r"no weights for classifier\.bias.* mean nothing"):
            converted(read_spec(tiny_bert, "name"))


def test_weights_beside_the_converted_file_belong_to_it(
    tiny_bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CROSSRANK_CACHE", str(tmp_path / "cache"))

    def convert_large(_: ModelSpec, file: Path) -> None:
        """Write what torch writes for models of more than 2 GB."""
        file.touch()
        file.with_name("model.onnx.data").touch()
        file.with_name(convert.WARNINGS).write_text("[]")

    monkeypatch.setattr(convert, "_convert", convert_large)
    graph = find_graph(read_spec(tiny_bert, "tiny"), "onnx")
    assert [file.name for file in graph.files] == ["model.onnx", "model.onnx.data"]


def test_damaged_weights_are_seen_first(
    tiny_bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CROSSRANK_CACHE", str(tmp_path / "cache"))
    weights = tiny_bert / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-10])
    with pytest.raises(ModelFileError, match="damaged"):
        converted(read_spec(tiny_bert, "name"))


def test_says_what_to_install(model_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(convert, "installed", lambda name: name != "torch")
    with pytest.raises(MissingDependencyError, match=r'pip install "crossrank\[torch\]"'):
        converted(read_spec(model_folder, "name"))


def test_the_first_to_finish_wins(tmp_path: Path) -> None:
    target = tmp_path / "target"

    def make(number: int) -> Path:
        return make_once(target, lambda folder: (folder / "file").write_text(str(number)) and None)

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(make, range(8))) == {target}
    assert (target / "file").read_text() in set("01234567")
    assert list(tmp_path.iterdir()) == [target]


def test_nothing_is_left_of_a_failure(tmp_path: Path) -> None:
    def fail(folder: Path) -> None:
        (folder / "half").write_text("written")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make_once(tmp_path / "target", fail)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ModelFileError, match="CROSSRANK_CACHE"):
        make_once(tmp_path / "file" / "target", lambda _: None)


def test_reading_imports_no_heavy_library() -> None:
    code = (
        "import sys, crossrank.models; "
        "print(sorted({'torch', 'transformers', 'huggingface_hub', 'onnx'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
