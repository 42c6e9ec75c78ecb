"""The OpenVINO backend: precisions, options, files, memory, threads."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from crossrank.backends.openvino import OpenVINOBackend
from crossrank.batching import Batch
from crossrank.errors import BackendError, InputError, ModelFileError
from crossrank.models import ModelSpec, read_spec
from crossrank.models.storage import cache_folder

pytest.importorskip("torch", reason="it makes the model under test")
pytest.importorskip("transformers", reason="it makes the model under test")
onnx = pytest.importorskip("onnx", reason="it makes the model under test")
openvino = pytest.importorskip("openvino", reason="it is what is tested")

from tests.parity.tiny_models import PAIRS  # noqa: E402

OUT_OF_MEMORY = Path(__file__).with_name("out_of_memory.py")

Batches = Callable[[list[tuple[str, str]]], Batch]
pytestmark = pytest.mark.usefixtures("engine_cache")


def test_loads_the_exact_model_by_default(spec: ModelSpec, folder: Path, batch_of: Batches) -> None:
    backend = OpenVINOBackend.load(spec)
    assert (backend.device, backend.precision) == ("cpu", "fp32")
    assert backend.files == (folder / "onnx" / "model.onnx",)
    logits = backend.forward(batch_of(PAIRS))
    assert (logits.shape, logits.dtype) == ((len(PAIRS), 1), np.float32)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_neighbours_and_padding_change_nothing(
    spec: ModelSpec, precision: str, batch_of: Batches
) -> None:
    backend = OpenVINOBackend.load(spec, precision=precision)
    together = backend.forward(batch_of(PAIRS))
    alone = [backend.forward(batch_of([pair]))[0] for pair in PAIRS]
    np.testing.assert_allclose(together, alone, atol=1e-5 if precision == "fp32" else 0.05)


@pytest.mark.parametrize(("precision", "bound"), [("bf16", 0.4), ("fp16", 0.05)])
def test_reduced_precision_stays_near(
    spec: ModelSpec, precision: str, bound: float, batch_of: Batches
) -> None:
    exact = OpenVINOBackend.load(spec).forward(batch_of(PAIRS))
    reduced = OpenVINOBackend.load(spec, precision=precision)
    assert reduced.precision == precision
    assert np.abs(reduced.forward(batch_of(PAIRS)) - exact).max() < bound


def test_serves_many_threads(spec: ModelSpec, batch_of: Batches) -> None:
    backend = OpenVINOBackend.load(spec, options={"streams": 2, "threads": 2})
    assert backend.concurrency == 2
    batches = [batch_of([pair] * 3) for pair in PAIRS * 4]
    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(backend.forward, batches))
    np.testing.assert_array_equal(found, [backend.forward(batch) for batch in batches])


def test_a_budget_for_each_stream(spec: ModelSpec) -> None:
    one = OpenVINOBackend.load(spec, options={"streams": 1, "threads": 2})
    two = OpenVINOBackend.load(spec, options={"streams": 2, "threads": 2})
    assert (one.token_budget, two.token_budget) == (2048, 1024)


@pytest.mark.parametrize("variable", ["1", "1,4"])
def test_no_more_threads_than_the_environment_allows(
    spec: ModelSpec, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", variable)
    backend = OpenVINOBackend.load(spec)
    assert (backend.concurrency, backend.token_budget) == (1, 1024)


def test_own_properties_win(spec: ModelSpec) -> None:
    options = {"ov_config": {"NUM_STREAMS": 1}, "streams": 2}
    assert OpenVINOBackend.load(spec, options=options).concurrency == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"device": "cuda"}, "runs on device 'cpu', received 'cuda'"),
        ({"options": {"stream": 1}}, "received stream"),
        ({"options": {"ov_config": {"NO_SUCH": 1}}}, "with model_kwargs={'ov_config': {'NO_SUCH'"),
        ({"options": {"file_name": "absent.onnx"}}, "absent.onnx"),
        ({"precision": "int4"}, "int4"),
    ],
)
def test_refuses_what_it_does_not_offer(
    spec: ModelSpec, arguments: dict[str, object], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        OpenVINOBackend.load(spec, **arguments)


def test_says_that_it_was_closed(spec: ModelSpec, batch_of: Batches) -> None:
    backend = OpenVINOBackend.load(spec)
    backend.close()
    backend.close()
    with pytest.raises(BackendError, match="closed"):
        backend.forward(batch_of(PAIRS))


@pytest.mark.parametrize("kept", [0, 1000, -1000])
def test_refuses_a_damaged_file(folder: Path, tmp_path: Path, kept: int) -> None:
    whole = (folder / "onnx" / "model.onnx").read_bytes()
    copy = tmp_path / "damaged"
    (copy / "onnx").mkdir(parents=True)
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        (copy / name).write_bytes((folder / name).read_bytes())
    (copy / "onnx" / "model.onnx").write_bytes(whole[:kept])
    with pytest.raises(ModelFileError, match=r"model\.onnx"):
        OpenVINOBackend.load(read_spec(copy, "damaged"), options={"file_name": "model.onnx"})


def test_the_compiled_model_is_cached_and_a_damaged_cache_is_harmless(
    spec: ModelSpec, engine_cache: Path, batch_of: Batches
) -> None:
    first = OpenVINOBackend.load(spec).forward(batch_of(PAIRS))
    (blob,) = engine_cache.glob("*/*.blob")
    np.testing.assert_array_equal(OpenVINOBackend.load(spec).forward(batch_of(PAIRS)), first)
    content = blob.read_bytes()
    blob.chmod(0o644)
    blob.write_bytes(content[: len(content) // 2])
    np.testing.assert_array_equal(OpenVINOBackend.load(spec).forward(batch_of(PAIRS)), first)


def test_the_cache_keeps_precisions_apart(
    spec: ModelSpec, engine_cache: Path, batch_of: Batches
) -> None:
    exact = OpenVINOBackend.load(spec).forward(batch_of(PAIRS))
    OpenVINOBackend.load(spec, precision="bf16").forward(batch_of(PAIRS))
    assert len(list(engine_cache.glob("*/*.blob"))) == 2
    np.testing.assert_array_equal(OpenVINOBackend.load(spec).forward(batch_of(PAIRS)), exact)


def save_ir(source: Path, target: Path, factor: float) -> None:
    """Write an ONNX file as OpenVINO's files, with logits that are multiplied."""
    model = onnx.load(source)
    weights = {value.name: value for value in model.graph.initializer}["model.classifier.weight"]
    scaled = onnx.numpy_helper.to_array(weights) * np.float32(factor)
    weights.CopyFrom(onnx.numpy_helper.from_array(scaled, weights.name))
    ir = openvino.Core().read_model(model.SerializeToString())
    openvino.save_model(ir, target, compress_to_fp16=False)


@pytest.mark.parametrize("replaced", ["in place", "under another name"])
def test_new_weights_beside_the_same_graph_are_compiled_anew(
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    batch_of: Batches,
    replaced: str,
) -> None:
    """As in a clone whose weights changed, and in the hub's cache, where revisions share files."""
    monkeypatch.chdir(tmp_path)  # of absolute paths OpenVINO looks at the folder, too
    names = ("config.json", "tokenizer.json", "tokenizer_config.json")
    old, new = Path("old"), Path("old" if replaced == "in place" else "new")
    old.mkdir()
    for name in names:
        shutil.copyfile(folder / name, old / name)
    save_ir(folder / "onnx" / "model.onnx", old / "openvino_model.xml", factor=1)
    save_ir(folder / "onnx" / "model.onnx", Path("tripled.xml"), factor=3)
    backend = OpenVINOBackend.load(read_spec(old, "old"))
    expected = 3 * backend.forward(batch_of(PAIRS))
    backend.close()
    if new != old:
        new.mkdir()
        for name in (*names, "openvino_model.xml"):
            (new / name).symlink_to(tmp_path / old / name)
    Path("tripled.bin").replace(new / "openvino_model.bin")
    found = OpenVINOBackend.load(read_spec(new, "new")).forward(batch_of(PAIRS))
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_data_beside_a_graph_may_be_linked_as_in_the_hubs_cache(
    spec: ModelSpec, folder: Path, tmp_path: Path, batch_of: Batches
) -> None:
    blobs, linked = tmp_path / "blobs", tmp_path / "snapshot"
    (linked / "onnx").mkdir(parents=True)
    blobs.mkdir()
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(folder / name, linked / name)
    model = onnx.load(folder / "onnx" / "model.onnx")
    options = {"save_as_external_data": True, "location": "model.onnx_data", "size_threshold": 0}
    onnx.save(model, blobs / "model.onnx", **options)
    for number, name in enumerate(("model.onnx", "model.onnx_data")):
        (blobs / name).rename(blobs / str(number))
        (linked / "onnx" / name).symlink_to(blobs / str(number))
    expected = OpenVINOBackend.load(spec).forward(batch_of(PAIRS))
    for _ in range(2):
        found = OpenVINOBackend.load(read_spec(linked, "linked")).forward(batch_of(PAIRS))
        np.testing.assert_allclose(found, expected, atol=1e-6)
    (gathered,) = cache_folder("linked").iterdir()
    os.utime(gathered, (1, 1))
    OpenVINOBackend.load(read_spec(linked, "linked"))
    assert gathered.stat().st_mtime > 1  # of those not used for long the oldest are deleted


def test_a_cache_of_ones_own(spec: ModelSpec, engine_cache: Path, tmp_path: Path) -> None:
    own = tmp_path / "own"
    OpenVINOBackend.load(spec, options={"ov_config": {"CACHE_DIR": str(own)}})
    assert len(list(own.glob("*.blob"))) == 1
    assert not engine_cache.exists()


def test_works_where_nothing_can_be_cached(
    spec: ModelSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, batch_of: Batches
) -> None:
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("CROSSRANK_CACHE", str(tmp_path / "file"))
    assert OpenVINOBackend.load(spec).forward(batch_of(PAIRS)).shape == (len(PAIRS), 1)


@pytest.mark.skipif(sys.platform != "linux", reason="the memory of a process is limited on Linux")
def test_too_little_memory_is_told_and_survived(folder: Path) -> None:
    command = [sys.executable, OUT_OF_MEMORY, "openvino", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
