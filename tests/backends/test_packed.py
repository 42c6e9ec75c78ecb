"""Packed classifiers give the padded ones' logits."""

from pathlib import Path

import pytest

from crossrank.batching import collate
from crossrank.models import read_spec
from crossrank.tokenization import PairTokenizer

torch = pytest.importorskip("torch", reason="packing is for torch")
pytest.importorskip("transformers", reason="it holds the networks")

from tests.parity.tiny_models import PAIRS, make_classifier  # noqa: E402

from crossrank.backends.packed import LAYERS, PackedClassifier, can_pack  # noqa: E402
from crossrank.models.torch_modules import load_module  # noqa: E402


@pytest.mark.parametrize("family", sorted(LAYERS))
def test_packed_logits_equal_padded_ones(tmp_path: Path, family: str) -> None:
    spec = read_spec(make_classifier(tmp_path / family, family), family)
    encoded = PairTokenizer(spec.tokenizer_file, spec.template, max_length=spec.max_length).encode(
        PAIRS
    )
    batch = collate(encoded, pad_token_id=spec.pad_token_id)
    assert not batch.attention_mask.all()
    arrays = (batch.input_ids, batch.attention_mask, batch.token_type_ids)
    inputs = [torch.from_numpy(array) for array in arrays]
    with torch.inference_mode():
        expected = load_module(spec)(*inputs)
        packed = PackedClassifier(load_module(spec))
        torch.testing.assert_close(packed(*inputs), expected, atol=1e-5, rtol=1e-5)
        one = [tensor[:1, : len(encoded[0].ids)] for tensor in inputs]
        torch.testing.assert_close(packed(one[0], None, one[2]), expected[:1], atol=1e-5, rtol=1e-5)


def test_the_cpu_keeps_padding(tmp_path: Path) -> None:
    module = load_module(read_spec(make_classifier(tmp_path / "bert", "bert"), "bert"))
    assert not can_pack(module, torch.device("cpu"), torch.bfloat16)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")
@pytest.mark.parametrize("family", sorted(LAYERS))
def test_the_kernel_gives_the_same_logits(tmp_path: Path, family: str) -> None:
    spec = read_spec(make_classifier(tmp_path / family, family), family)
    encoded = PairTokenizer(spec.tokenizer_file, spec.template, max_length=spec.max_length).encode(
        PAIRS
    )
    batch = collate(encoded, pad_token_id=spec.pad_token_id)
    arrays = (batch.input_ids, batch.attention_mask, batch.token_type_ids)
    inputs = [torch.from_numpy(array).cuda() for array in arrays]
    with torch.inference_mode():
        padded = load_module(spec, dtype=torch.bfloat16).cuda()
        assert can_pack(padded, torch.device("cuda"), torch.bfloat16)
        expected = padded(*inputs)
        packed = PackedClassifier(load_module(spec, dtype=torch.bfloat16)).cuda()
        torch.testing.assert_close(packed(*inputs), expected, atol=0.4, rtol=0)
