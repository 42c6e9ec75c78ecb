"""The ONNX Runtime backend: providers, options, files, threads."""

import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from crossrank.batching import Batch
from crossrank.errors import BackendError, InputError, ModelFileError
from crossrank.models import ModelSpec, read_spec

onnxruntime = pytest.importorskip("onnxruntime", reason="it is the library under test")
pytest.importorskip("torch", reason="it makes the model under test")
pytest.importorskip("transformers", reason="it makes the model under test")

from tests.parity.tiny_models import PAIRS  # noqa: E402

from crossrank.backends.onnx import CPU_BUDGET, ONNXBackend  # noqa: E402

OUT_OF_MEMORY = Path(__file__).with_name("out_of_memory.py")

Batches = Callable[[list[tuple[str, str]]], Batch]


def test_loads_the_exact_model_by_default(spec: ModelSpec, folder: Path, batch_of: Batches) -> None:
    backend = ONNXBackend.load(spec, device="cpu")
    assert (backend.device, backend.precision) == ("cpu", "fp32")
    assert backend.files == (folder / "onnx" / "model.onnx",)
    logits = backend.forward(batch_of(PAIRS))
    assert (logits.shape, logits.dtype) == ((len(PAIRS), 1), np.float32)


def test_serves_many_threads(spec: ModelSpec, batch_of: Batches) -> None:
    backend = ONNXBackend.load(spec, device="cpu")
    batches = [batch_of([pair] * 3) for pair in PAIRS * 4]
    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(backend.forward, batches))
    np.testing.assert_array_equal(found, [backend.forward(batch) for batch in batches])


def test_no_more_threads_than_the_environment_allows(
    spec: ModelSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    session = ONNXBackend.load(spec, device="cpu")._session
    assert session.get_session_options().intra_op_num_threads == 1


def test_takes_session_options(spec: ModelSpec, batch_of: Batches) -> None:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    settings = {"session_options": options, "provider": "CPUExecutionProvider"}
    plain = ONNXBackend.load(spec, options=settings).forward(batch_of(PAIRS))
    fused = ONNXBackend.load(spec, device="cpu").forward(batch_of(PAIRS))
    np.testing.assert_allclose(plain, fused, atol=1e-4)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"device": "mps"}, "received device='mps'"),
        ({"options": {"streams": 1}}, "received streams"),
        ({"options": {"provider": "NoSuchProvider"}}, "received provider='NoSuchProvider'"),
        ({"options": {"file_name": "absent.onnx"}}, r"absent\.onnx"),
    ],
)
def test_refuses_what_it_does_not_offer(
    spec: ModelSpec, arguments: dict[str, object], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        ONNXBackend.load(spec, **arguments)


def test_a_provider_that_does_not_work_here(
    spec: ModelSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    """onnxruntime-gpu lists CUDA on every machine, and computes on the CPU where it cannot."""
    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("needs an onnxruntime that cannot use CUDA")
    there = ["CUDAExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: there)
    with pytest.warns(UserWarning, match="not in available provider names"):
        backend = ONNXBackend.load(spec)
    assert (backend.device, backend.token_budget) == ("cpu", CPU_BUDGET)
    for asked in ({"device": "cuda:0"}, {"options": {"provider": "CUDAExecutionProvider"}}):
        with (
            pytest.warns(UserWarning, match="not in available provider names"),
            pytest.raises(InputError, match="CUDAExecutionProvider needs"),
        ):
            ONNXBackend.load(spec, **asked)


def test_says_that_it_was_closed(spec: ModelSpec, batch_of: Batches) -> None:
    backend = ONNXBackend.load(spec, device="cpu")
    backend.close()
    backend.close()
    with pytest.raises(BackendError, match="closed"):
        backend.forward(batch_of(PAIRS))


def test_refuses_a_file_that_holds_no_model(folder: Path, tmp_path: Path) -> None:
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    whole = (folder / "onnx" / "model.onnx").read_bytes()
    damaged = whole.replace(b"MatMul", b"NoSuch")
    assert damaged != whole
    (tmp_path / "onnx").mkdir()
    (tmp_path / "onnx" / "model.onnx").write_bytes(damaged)
    options = {"file_name": "model.onnx"}
    with pytest.raises(ModelFileError, match=r"model\.onnx is damaged"):
        ONNXBackend.load(read_spec(tmp_path, "damaged"), device="cpu", options=options)


@pytest.mark.skipif(sys.platform != "linux", reason="the memory of a process is limited on Linux")
def test_too_little_memory_is_told_and_survived(folder: Path) -> None:
    command = [sys.executable, OUT_OF_MEMORY, "onnx", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
