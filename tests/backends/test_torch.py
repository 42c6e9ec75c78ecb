"""The torch backend: precisions, devices, options, memory, threads."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from crossrank.batching import Batch, collate
from crossrank.errors import BackendError, InputError, ModelFileError, OutOfMemoryError
from crossrank.models import ModelSpec, read_spec
from crossrank.tokenization import PairTokenizer

torch = pytest.importorskip("torch", reason="it is the library under test")
pytest.importorskip("transformers", reason="it holds the networks")

from tests.parity.tiny_models import PAIRS, make_causal_lm, make_classifier  # noqa: E402

from crossrank.backends.torch import TorchBackend  # noqa: E402
from crossrank.models.torch_modules.attention import leave_out_cudnn  # noqa: E402


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_classifier(tmp_path_factory.mktemp("torch") / "bert", "bert")


@pytest.fixture(scope="module")
def spec(folder: Path) -> ModelSpec:
    return read_spec(folder, "bert")


def batch_of(spec: ModelSpec, pairs: list[tuple[str, str]] = PAIRS) -> Batch:
    tokenizer = PairTokenizer(spec.tokenizer_file, spec.template, max_length=spec.max_length)
    return collate(tokenizer.encode(pairs), pad_token_id=spec.pad_token_id, side=spec.padding_side)


def test_loads_on_the_cpu_in_fp32(spec: ModelSpec, folder: Path) -> None:
    backend = TorchBackend.load(spec, device="cpu")
    assert (backend.device, backend.precision) == ("cpu", "fp32")
    assert backend.files == (folder / "model.safetensors",)
    logits = backend.forward(batch_of(spec))
    assert (logits.shape, logits.dtype) == ((len(PAIRS), 1), np.float32)


def test_padding_changes_nothing(spec: ModelSpec) -> None:
    backend = TorchBackend.load(spec, device="cpu")
    together = backend.forward(batch_of(spec))
    alone = [backend.forward(batch_of(spec, [pair]))[0] for pair in PAIRS]
    np.testing.assert_allclose(together, alone, atol=1e-5)


@pytest.mark.parametrize(("precision", "bound"), [("bf16", 0.4), ("fp16", 0.05)])
def test_reduced_precision_stays_near_and_is_not_rounded(
    spec: ModelSpec, precision: str, bound: float
) -> None:
    exact = TorchBackend.load(spec, device="cpu").forward(batch_of(spec))[:, 0]
    reduced = TorchBackend.load(spec, device="cpu", precision=precision)
    logits = reduced.forward(batch_of(spec))[:, 0]
    assert 0 < np.abs(logits - exact).max() < bound
    # The last layer is fp32: the logits are not rounded to what the short format can hold.
    short = torch.from_numpy(logits).to({"bf16": torch.bfloat16, "fp16": torch.float16}[precision])
    assert (short.float().numpy() != logits).any()


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"torch_dtype": "float16"}, "fp16"),
        ({"dtype": torch.bfloat16}, "bf16"),
        ({"dtype": "auto"}, "fp32"),
        ({"attn_implementation": "eager"}, "fp32"),
    ],
)
def test_options_of_transformers(spec: ModelSpec, options: dict, expected: str) -> None:
    assert TorchBackend.load(spec, device="cpu", options=options).precision == expected


def test_precision_wins_over_the_option(spec: ModelSpec) -> None:
    options = {"torch_dtype": torch.float16}
    backend = TorchBackend.load(spec, device="cpu", precision="bf16", options=options)
    assert backend.precision == "bf16"


def test_eager_attention_gives_the_same_logits(spec: ModelSpec) -> None:
    batch = batch_of(spec)
    eager = TorchBackend.load(spec, device="cpu", options={"attn_implementation": "eager"})
    default = TorchBackend.load(spec, device="cpu")
    np.testing.assert_allclose(eager.forward(batch), default.forward(batch), atol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"precision": "int8"}, "fp32, fp16, bf16, received 'int8'"),
        ({"options": {"dtype": "int3"}}, "float32, float16, bfloat16, received 'int3'"),
        ({"options": {"streams": 2}}, "model_kwargs={'streams': 2} cannot be used"),
        ({"device": "abacus"}, "received 'abacus'"),
        ({"device": "cuda:99"}, "received 'cuda:99'"),
    ],
)
def test_refuses_what_it_does_not_offer(spec: ModelSpec, arguments: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        TorchBackend.load(spec, **arguments)


def test_says_that_memory_ran_out(spec: ModelSpec) -> None:
    backend = TorchBackend.load(spec, device="cpu")
    backend._module = HungryModule()
    with pytest.raises(OutOfMemoryError, match=f"a batch of {len(PAIRS)} pairs, 64 tokens each"):
        backend.forward(batch_of(spec))


class HungryModule(torch.nn.Module):
    """Asks for more memory than any machine has."""

    def forward(self, *_: object) -> torch.Tensor:
        return torch.empty(2**58)


def test_says_that_torch_failed(spec: ModelSpec) -> None:
    backend = TorchBackend.load(spec, device="cpu")
    ids = np.full((1, 5), 10_000_000)
    with pytest.raises(BackendError, match="a batch of 1 pairs, 5 tokens each"):
        backend.forward(Batch(ids, np.ones_like(ids), np.zeros_like(ids)))


def test_a_closed_model_says_so(spec: ModelSpec) -> None:
    backend = TorchBackend.load(spec, device="cpu")
    backend.close()
    backend.close()
    with pytest.raises(BackendError, match="closed"):
        backend.forward(batch_of(spec))


def test_serves_several_threads(spec: ModelSpec) -> None:
    backend = TorchBackend.load(spec, device="cpu")
    batches = [batch_of(spec, [pair]) for pair in PAIRS]
    expected = [backend.forward(batch) for batch in batches]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(backend.forward, batches * 5))
    np.testing.assert_allclose(found, expected * 5, atol=1e-5)


def test_language_models_are_padded_on_the_left(tmp_path: Path) -> None:
    spec = read_spec(make_causal_lm(tmp_path / "qwen3"), "qwen3")
    backend = TorchBackend.load(spec, device="cpu")
    together = backend.forward(batch_of(spec))
    alone = [backend.forward(batch_of(spec, [pair]))[0] for pair in PAIRS]
    np.testing.assert_allclose(together, alone, atol=1e-4)


@pytest.mark.parametrize("spoil", [lambda file: file.unlink(), lambda file: truncate(file)])
def test_weights_that_cannot_be_read(tmp_path: Path, spoil: Callable[[Path], None]) -> None:
    folder = make_classifier(tmp_path / "bert", "bert")
    spec = read_spec(folder, "bert")
    spoil(folder / "model.safetensors")
    with pytest.raises(ModelFileError, match="safetensors"):
        TorchBackend.load(spec, device="cpu")


def truncate(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:1000])


def test_refuses_pickles(tmp_path: Path) -> None:
    folder = make_classifier(tmp_path / "bert", "bert")
    spec = read_spec(folder, "bert")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(ModelFileError, match="pickles"):
        TorchBackend.load(spec, device="cpu")


def test_cudnns_attention_is_left_out_on_gpus_alone() -> None:
    try:
        leave_out_cudnn(torch.device("cpu"))
        assert torch.backends.cuda.cudnn_sdp_enabled()
        leave_out_cudnn(torch.device("cuda:0"))
        assert not torch.backends.cuda.cudnn_sdp_enabled()
    finally:
        torch.backends.cuda.enable_cudnn_sdp(True)
