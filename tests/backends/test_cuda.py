"""On an NVIDIA GPU: the CPU's logits, reduced precision, memory that runs out, several devices."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="it runs models on GPUs")
pytest.importorskip("transformers", reason="it holds the networks")

from tests.parity.tiny_models import (  # noqa: E402
    CLASSIFIERS,
    PAIRS,
    make_causal_lm,
    make_classifier,
)

from crossrank import CrossEncoder  # noqa: E402
from crossrank.backends.packed import LAYERS  # noqa: E402
from crossrank.types import Floats, Precision  # noqa: E402

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")

BOUNDS: dict[Precision, float] = {"fp32": 1e-4, "fp16": 0.05, "bf16": 0.4}
"""How far logits with a standard deviation of 2 may move; on the CPU they are the same."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_classifier(tmp_path_factory.mktemp("cuda") / "bert", "bert")


@pytest.fixture(autouse=True)
def memory() -> Iterator[None]:
    """What a test holds is free for the next one."""
    yield
    torch.cuda.set_per_process_memory_fraction(1.0)
    torch.cuda.empty_cache()


def logits(
    folder: Path, device: str, pairs: list[tuple[str, str]] = PAIRS, **options: object
) -> Floats:
    with CrossEncoder(folder, device=device, backend="torch", **options) as model:  # type: ignore[arg-type]
        found: Floats = model.predict(pairs, activation_fn="identity")
        assert model.device == device
    return found


@pytest.mark.parametrize("precision", list(BOUNDS))
@pytest.mark.parametrize("family", list(CLASSIFIERS))
def test_a_gpu_gives_the_logits_of_the_cpu(
    family: str, precision: Precision, tmp_path: Path
) -> None:
    folder = make_classifier(tmp_path / family, family)
    with CrossEncoder(folder, precision=precision) as model:
        assert (model.backend, model.device) == ("torch", "cuda")
        packed = precision != "fp32" and family in LAYERS
        assert ("without padding" in model.runtime.reason) == packed
        together = model.predict(PAIRS, activation_fn="identity")
        alone = [model.predict(pair, activation_fn="identity") for pair in PAIRS]
    expected = logits(folder, "cpu")
    np.testing.assert_allclose(together, expected, atol=BOUNDS[precision])
    np.testing.assert_allclose(together, alone, atol=BOUNDS[precision])


@pytest.mark.parametrize("precision", list(BOUNDS))
def test_language_models(precision: Precision, tmp_path: Path) -> None:
    folder = make_causal_lm(tmp_path / "qwen3")
    found = logits(folder, "cuda", precision=precision)
    np.testing.assert_allclose(found, logits(folder, "cpu"), atol=BOUNDS[precision])


def test_compiled(folder: Path) -> None:
    found = logits(folder, "cuda", model_kwargs={"compile": True})
    np.testing.assert_allclose(found, logits(folder, "cpu"), atol=1e-4)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_memory_that_runs_out_is_survived(folder: Path, precision: Precision) -> None:
    pairs = [(f"{query} {number}", text) for number in range(2500) for query, text in PAIRS]
    with CrossEncoder(folder, device="cuda", precision=precision) as model:
        expected = model.predict(pairs, activation_fn="identity")
        torch.cuda.empty_cache()
        total = torch.cuda.get_device_properties(0).total_memory
        allowed = torch.cuda.memory_reserved() + 50_000_000
        torch.cuda.set_per_process_memory_fraction(allowed / total)
        before = torch.cuda.memory_stats()["num_ooms"]
        found = model.predict(pairs, activation_fn="identity", batch_size=len(pairs))
        assert torch.cuda.memory_stats()["num_ooms"] > before
    np.testing.assert_allclose(found, expected, atol=BOUNDS[precision])


def test_a_gpu_and_the_cpu_share_the_work(folder: Path) -> None:
    pairs = PAIRS * 50 + [
        (f"{query} {number}", text) for number in range(50) for query, text in PAIRS
    ]
    with CrossEncoder(folder, device="cuda", backend="torch") as model:
        expected = model.predict(pairs, activation_fn="identity")
        shared = model.predict(pairs, activation_fn="identity", device=["cuda", "cpu"])
    np.testing.assert_allclose(shared, expected, atol=1e-4)


def test_onnx_runtime_computes_there_too(folder: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime", reason="it is the library under test")
    if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        pytest.skip("needs onnxruntime-gpu")
    from crossrank.models import read_spec
    from crossrank.models.convert import to_onnx
    from crossrank.models.torch_modules import load_module

    (folder / "onnx").mkdir()
    module = load_module(read_spec(folder, "bert"), options={"attn_implementation": "eager"})
    to_onnx(module, folder / "onnx" / "model.onnx")
    with CrossEncoder(folder, device="cuda", backend="onnx", activation_fn="identity") as model:
        assert model.runtime.device == "cuda"
        np.testing.assert_allclose(model.predict(PAIRS), logits(folder, "cpu"), atol=1e-4)
    with CrossEncoder(device="cuda") as gpu, CrossEncoder(backend="onnx", device="cpu") as cpu:
        assert (gpu.backend, gpu.runtime.precision) == ("onnx", "int8")
        texts = [(query, text) for query, text in PAIRS if query]
        np.testing.assert_allclose(gpu.predict(texts), cpu.predict(texts), atol=0.1)
