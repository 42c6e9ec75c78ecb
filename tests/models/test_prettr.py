"""The blind-then-joint network: who sees whom, and that a score is a pair's own."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from crossrank.errors import UnsupportedModelError
from crossrank.models.architectures import ARCHITECTURES, load_class

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from crossrank.models.architectures.prettr import PreTTR, PreTTRConfig  # noqa: E402
from crossrank.models.convert import to_onnx  # noqa: E402

JOIN_LAYER = 2
QUERY, DOCUMENT, OTHER = [2, 11, 12, 3], [2, 21, 22, 11, 23, 3], [2, 31, 32, 33, 34, 3]


@pytest.fixture(scope="module")
def model():
    """A small random network whose logits differ visibly from pair to pair."""
    torch.manual_seed(0)
    config = PreTTRConfig(
        join_layer=JOIN_LAYER,
        vocab_size=50,
        hidden_size=32,
        num_hidden_layers=4,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=32,
        initializer_range=0.1,
    )
    network = PreTTR(config).eval()
    with torch.no_grad():
        network.head.weight.copy_(torch.tensor([[20.0, 10.0]]))
    return network


def inputs(*pairs, padding=0):
    """Lay out pairs of token ids as a batch."""
    length = max(len(query) + len(document) for query, document in pairs) + padding
    rows = np.zeros((3, len(pairs), length), dtype=np.int64)
    for row, (query, document) in enumerate(pairs):
        end = len(query) + len(document)
        rows[0, row, :end] = query + document
        rows[1, row, :end] = 1
        rows[2, row, len(query) : end] = 1
    names = ("input_ids", "attention_mask", "token_type_ids")
    return {name: torch.from_numpy(values) for name, values in zip(names, rows, strict=True)}


@torch.no_grad()
def states(model, pair):
    return model.states(**inputs(pair))


@torch.no_grad()
def logits(model, *pairs, padding=0):
    return model(**inputs(*pairs, padding=padding))


def test_blind_layers_do_not_see_the_other_side(model):
    first, second = states(model, (QUERY, DOCUMENT)), states(model, (QUERY, OTHER))
    for blind, other in zip(first[:JOIN_LAYER], second[:JOIN_LAYER], strict=True):
        torch.testing.assert_close(blind[:, : len(QUERY)], other[:, : len(QUERY)])


def test_joint_layers_see_the_other_side(model):
    first, second = states(model, (QUERY, DOCUMENT)), states(model, (QUERY, OTHER))
    for joint, other in zip(first[JOIN_LAYER:], second[JOIN_LAYER:], strict=True):
        assert (joint - other)[:, : len(QUERY)].abs().max() > 0.01


def test_both_sides_of_the_blind_layers_look_like_single_texts(model):
    pair = states(model, (QUERY, QUERY))[JOIN_LAYER - 1]
    torch.testing.assert_close(pair[:, : len(QUERY)], pair[:, len(QUERY) :])


def test_without_a_bias_the_joint_layers_are_plain_attention(model):
    twin = PreTTR(model.config).eval()
    twin.load_state_dict(model.state_dict())
    torch.nn.init.zeros_(twin.cross_bias)
    blind = states(twin, (QUERY, DOCUMENT))[JOIN_LAYER - 1]
    with torch.no_grad():
        expected = twin.bert.encoder.layer[JOIN_LAYER](blind, None)
    torch.testing.assert_close(states(twin, (QUERY, DOCUMENT))[JOIN_LAYER], expected)


def test_features_are_maxsim_in_both_directions():
    # Query tokens e1, e2; document tokens e1, e1, (3, 4) / 5; one row of padding.
    tokens = torch.tensor([[[1.0, 0], [0, 2], [5, 0], [1, 0], [3, 4], [9, 9]]])
    mask = torch.tensor([[1, 1, 1, 1, 1, 0]])
    types = torch.tensor([[0, 0, 1, 1, 1, 0]])
    forth = (1 + 4 / 5) / 2
    back = (1 + 1 + 4 / 5) / 3
    torch.testing.assert_close(PreTTR.features(tokens, mask, types), torch.tensor([[forth, back]]))


def test_a_score_does_not_depend_on_padding_or_company(model):
    alone = logits(model, (QUERY, DOCUMENT))
    in_company = logits(model, (QUERY, DOCUMENT), (DOCUMENT, OTHER + OTHER), padding=5)
    assert (alone - logits(model, (QUERY, OTHER))).abs().item() > 0.1
    torch.testing.assert_close(in_company[:1], alone, atol=1e-5, rtol=0)


def test_saved_and_loaded_it_scores_the_same(model, tmp_path):
    model.save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    assert (config["model_type"], config["join_layer"]) == ("prettr", JOIN_LAYER)
    loaded = load_class("prettr").from_pretrained(tmp_path).eval()
    assert loaded.config.num_labels == 1
    torch.testing.assert_close(
        logits(loaded, (QUERY, DOCUMENT)), logits(model, (QUERY, DOCUMENT)), atol=0, rtol=0
    )


def test_it_starts_from_a_plain_bert(tmp_path):
    from transformers import BertConfig, BertModel

    sizes = {"vocab_size": 50, "hidden_size": 32, "num_hidden_layers": 3, "intermediate_size": 64}
    backbone = BertModel(BertConfig(num_attention_heads=4, **sizes))
    backbone.save_pretrained(tmp_path)
    config = PreTTRConfig.from_pretrained(tmp_path, join_layer=1, cross_bias=-3.0)
    loaded = PreTTR.from_pretrained(tmp_path, config=config)
    torch.testing.assert_close(
        loaded.bert.encoder.layer[2].output.dense.weight,
        backbone.encoder.layer[2].output.dense.weight,
    )
    assert loaded.cross_bias.tolist() == [-3.0, -3.0]


def test_gradients_reach_every_weight(model):
    model(**inputs((QUERY, DOCUMENT), (QUERY, OTHER))).sum().backward()
    untouched = {name for name, weight in model.named_parameters() if weight.grad is None}
    model.zero_grad()
    assert not untouched


def test_a_join_layer_beyond_the_last_is_refused():
    with pytest.raises(ValueError, match="join_layer must be 0 to 4, received 5"):
        PreTTR(PreTTRConfig(join_layer=5, num_hidden_layers=4))


def test_an_unknown_model_type_is_refused():
    with pytest.raises(UnsupportedModelError, match="received 'bert'"):
        load_class("bert")


def test_the_registry_needs_no_torch():
    code = (
        "import sys; from crossrank.models.architectures import ARCHITECTURES;"
        "sys.exit(bool({'torch', 'transformers'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    assert set(ARCHITECTURES) == {"crossrank-fusion", "prettr"}


def test_onnx_gives_the_same_logits(model, tmp_path: Path):
    pytest.importorskip("onnxscript")
    runtime = pytest.importorskip("onnxruntime")
    model.set_attn_implementation("eager")
    to_onnx(model, tmp_path / "model.onnx")
    model.set_attn_implementation("sdpa")
    session = runtime.InferenceSession(tmp_path / "model.onnx")
    batch = inputs((QUERY, DOCUMENT), (DOCUMENT, OTHER + OTHER), (QUERY, OTHER), padding=1)
    with torch.no_grad():
        expected = model(**batch).numpy()
    (actual,) = session.run(["logits"], {name: value.numpy() for name, value in batch.items()})
    np.testing.assert_allclose(actual, expected, atol=1e-4)
