"""What torch modules are fed, and how their weights are read."""

import json
from pathlib import Path

import pytest

from crossrank.errors import ModelFileError, UnsupportedModelError
from crossrank.models import read_spec

torch = pytest.importorskip("torch", reason="the modules are made of it")
transformers = pytest.importorskip("transformers", reason="it holds the networks")

from tests.parity.tiny_models import make_causal_lm, make_classifier  # noqa: E402

from crossrank.models.torch_modules import load_module  # noqa: E402
from crossrank.models.torch_modules.heads import Pooling  # noqa: E402

IDS = torch.tensor([[2, 11, 3, 12, 3]])
TYPES = torch.tensor([[0, 0, 0, 1, 1]])


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_classifier(tmp_path_factory.mktemp("modules") / "bert", "bert")


def test_token_types_reach_a_model_that_knows_them(bert: Path) -> None:
    module = load_module(read_spec(bert, "bert"))
    with_types = module(IDS, None, TYPES)
    assert torch.equal(with_types, module.model(input_ids=IDS, token_type_ids=TYPES).logits)
    assert not torch.allclose(with_types, module(IDS, None, torch.zeros_like(TYPES)))


def test_a_tokenizer_that_gives_no_token_types_is_believed(tmp_path: Path) -> None:
    folder = make_classifier(tmp_path / "bert", "bert")
    file = folder / "tokenizer_config.json"
    settings = json.loads(file.read_text())
    settings["model_input_names"] = ["input_ids", "attention_mask"]
    file.write_text(json.dumps(settings))
    module = load_module(read_spec(folder, "bert"))
    assert torch.equal(module(IDS, None, TYPES), module(IDS, None, torch.zeros_like(TYPES)))


@pytest.mark.parametrize("family", ["roberta", "deberta-v2", "modernbert"])
def test_networks_without_token_types_get_none(tmp_path: Path, family: str) -> None:
    module = load_module(read_spec(make_classifier(tmp_path / family, family), family))
    assert module(IDS, torch.ones_like(IDS), TYPES * 9).shape == (1, 1)


def test_logits_are_fp32_whatever_the_weights_are(bert: Path) -> None:
    module = load_module(read_spec(bert, "bert"), dtype=torch.bfloat16)
    assert module.model.bert.embeddings.word_embeddings.weight.dtype == torch.bfloat16
    assert module.model.classifier.weight.dtype == torch.float32
    assert module(IDS, None, TYPES).dtype == torch.float32
    assert not module.training


def test_weights_that_are_missing_are_named(bert: Path, tmp_path: Path) -> None:
    base = transformers.BertModel.from_pretrained(bert, add_pooling_layer=True)
    base.save_pretrained(tmp_path)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (tmp_path / name).write_bytes((bert / name).read_bytes())
    with pytest.warns(UserWarning, match=r"classifier.bias, classifier.weight: they start at"):
        load_module(read_spec(tmp_path, "base", num_labels=1))


def test_another_number_of_labels_does_not_fit(bert: Path) -> None:
    with pytest.raises(ModelFileError, match=r"classifier.bias is \[1\] and should be \[3\]"):
        load_module(read_spec(bert, "bert", num_labels=3))


def test_a_language_model_without_an_answer_is_refused(tmp_path: Path) -> None:
    from dataclasses import replace

    spec = replace(read_spec(make_causal_lm(tmp_path / "qwen3"), "qwen3"), true_token=None)
    with pytest.raises(UnsupportedModelError, match="LogitScore"):
        load_module(spec)


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("cls", [1.0, 10.0]),
        ("lasttoken", [3.0, 20.0]),
        ("max", [3.0, 40.0]),
        ("mean", [2.0, 70 / 3]),
        ("mean_sqrt_len_tokens", [6 / 3**0.5, 70 / 3**0.5]),
        ("weightedmean", [14 / 6, (10 + 2 * 40 + 3 * 20) / 6]),
    ],
)
@pytest.mark.parametrize("side", ["left", "right"])
def test_poolings_worked_by_hand(mode: str, expected: list[float], side: str) -> None:
    tokens = torch.tensor([[1.0, 10.0], [2.0, 40.0], [3.0, 20.0]])
    padding = torch.tensor([[99.0, 99.0]])
    parts = [padding, tokens] if side == "left" else [tokens, padding]
    mask = [0, 1, 1, 1] if side == "left" else [1, 1, 1, 0]
    features = {
        "token_embeddings": torch.cat(parts).unsqueeze(0),
        "attention_mask": torch.tensor([mask]),
    }
    pooled = Pooling([mode])(features)["sentence_embedding"]
    torch.testing.assert_close(pooled, torch.tensor([expected]))
