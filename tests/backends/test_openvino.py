"""The OpenVINO backend: precisions, options, files, memory, threads."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from crossrank.backends.openvino import OpenVINOBackend
from crossrank.batching import Batch, collate
from crossrank.errors import BackendError, InputError, ModelFileError
from crossrank.models import ModelSpec, read_spec
from crossrank.tokenization import PairTokenizer

for package in ("torch", "transformers", "onnxscript"):
    pytest.importorskip(package, reason="it makes the model under test")

from tests.parity.tiny_models import PAIRS, make_classifier  # noqa: E402

from crossrank.models.convert import to_onnx  # noqa: E402
from crossrank.models.torch_modules import load_module  # noqa: E402


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = make_classifier(tmp_path_factory.mktemp("openvino") / "bert", "bert")
    (folder / "onnx").mkdir()
    module = load_module(read_spec(folder, "bert"), options={"attn_implementation": "eager"})
    to_onnx(module, folder / "onnx" / "model.onnx")
    return folder


@pytest.fixture(scope="module")
def spec(folder: Path) -> ModelSpec:
    return read_spec(folder, "bert")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CROSSRANK_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "openvino"


def batch_of(spec: ModelSpec, pairs: list[tuple[str, str]] = PAIRS) -> Batch:
    tokenizer = PairTokenizer(spec.tokenizer_file, spec.template, max_length=spec.max_length)
    return collate(tokenizer.encode(pairs), pad_token_id=spec.pad_token_id)


def test_loads_the_exact_model_by_default(spec: ModelSpec, folder: Path) -> None:
    backend = OpenVINOBackend.load(spec)
    assert (backend.device, backend.precision) == ("cpu", "fp32")
    assert backend.files == (folder / "onnx" / "model.onnx",)
    logits = backend.forward(batch_of(spec))
    assert (logits.shape, logits.dtype) == ((len(PAIRS), 1), np.float32)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_neighbours_and_padding_change_nothing(spec: ModelSpec, precision: str) -> None:
    backend = OpenVINOBackend.load(spec, precision=precision)
    together = backend.forward(batch_of(spec))
    alone = [backend.forward(batch_of(spec, [pair]))[0] for pair in PAIRS]
    np.testing.assert_allclose(together, alone, atol=1e-5 if precision == "fp32" else 0.05)


@pytest.mark.parametrize(("precision", "bound"), [("bf16", 0.4), ("fp16", 0.05)])
def test_reduced_precision_stays_near(spec: ModelSpec, precision: str, bound: float) -> None:
    exact = OpenVINOBackend.load(spec).forward(batch_of(spec))
    reduced = OpenVINOBackend.load(spec, precision=precision)
    assert reduced.precision == precision
    assert np.abs(reduced.forward(batch_of(spec)) - exact).max() < bound


def test_serves_many_threads(spec: ModelSpec) -> None:
    backend = OpenVINOBackend.load(spec, options={"streams": 2, "threads": 2})
    assert backend.concurrency == 2
    batches = [batch_of(spec, [pair] * 3) for pair in PAIRS * 4]
    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(backend.forward, batches))
    np.testing.assert_array_equal(found, [backend.forward(batch) for batch in batches])


def test_a_budget_for_each_stream(spec: ModelSpec) -> None:
    one = OpenVINOBackend.load(spec, options={"streams": 1, "threads": 2})
    two = OpenVINOBackend.load(spec, options={"streams": 2, "threads": 2})
    assert (one.token_budget, two.token_budget) == (2048, 1024)


def test_own_properties_win(spec: ModelSpec) -> None:
    options = {"ov_config": {"NUM_STREAMS": 1}, "streams": 2}
    assert OpenVINOBackend.load(spec, options=options).concurrency == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"device": "cuda"}, "runs on device 'cpu', received 'cuda'"),
        ({"options": {"stream": 1}}, "received stream"),
        ({"options": {"file_name": "absent.onnx"}}, "absent.onnx"),
        ({"precision": "int4"}, "int4"),
    ],
)
def test_refuses_what_it_does_not_offer(
    spec: ModelSpec, arguments: dict[str, object], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        OpenVINOBackend.load(spec, **arguments)


def test_says_that_it_was_closed(spec: ModelSpec) -> None:
    backend = OpenVINOBackend.load(spec)
    backend.close()
    backend.close()
    with pytest.raises(BackendError, match="closed"):
        backend.forward(batch_of(spec))


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
    spec: ModelSpec, cache: Path
) -> None:
    first = OpenVINOBackend.load(spec).forward(batch_of(spec))
    (blob,) = cache.glob("*/*.blob")
    np.testing.assert_array_equal(OpenVINOBackend.load(spec).forward(batch_of(spec)), first)
    content = blob.read_bytes()
    blob.chmod(0o644)
    blob.write_bytes(content[: len(content) // 2])
    np.testing.assert_array_equal(OpenVINOBackend.load(spec).forward(batch_of(spec)), first)


def test_the_cache_keeps_precisions_apart(spec: ModelSpec, cache: Path) -> None:
    exact = OpenVINOBackend.load(spec).forward(batch_of(spec))
    OpenVINOBackend.load(spec, precision="bf16").forward(batch_of(spec))
    assert len(list(cache.glob("*/*.blob"))) == 2
    np.testing.assert_array_equal(OpenVINOBackend.load(spec).forward(batch_of(spec)), exact)


def test_works_where_nothing_can_be_cached(
    spec: ModelSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("CROSSRANK_CACHE", str(tmp_path / "file"))
    assert OpenVINOBackend.load(spec).forward(batch_of(spec)).shape == (len(PAIRS), 1)


OUT_OF_MEMORY = """
import resource, sys
import numpy as np
from pathlib import Path
from crossrank.backends.openvino import OpenVINOBackend
from crossrank.batching import Batch
from crossrank.errors import OutOfMemoryError
from crossrank.models import read_spec

backend = OpenVINOBackend.load(read_spec(Path(sys.argv[1]), "bert"))
ids = np.ones((20_000, 64), dtype=np.int64)
small = Batch(ids[:4], ids[:4], ids[:4])
before = backend.forward(small)
used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 300_000_000, -1))
try:
    backend.forward(Batch(ids, ids, ids))
except OutOfMemoryError as error:
    assert "20000 pairs" in str(error), error
    assert (backend.forward(small) == before).all()
    sys.exit(42)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the memory of a process is limited on Linux")
def test_too_little_memory_is_told_and_survived(folder: Path) -> None:
    command = [sys.executable, "-c", OUT_OF_MEMORY, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ, timeout=120)
    assert done.returncode == 42, done.stderr[-2000:]
