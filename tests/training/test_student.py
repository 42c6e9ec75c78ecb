"""Taking layers out: what is saved computes what was cut, in every family."""

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs torch")
transformers = pytest.importorskip("transformers", reason="training needs transformers")

from tests.parity.tiny_models import (  # noqa: E402
    _BRACKETS,
    PAIRS,
    make_classifier,
    make_modular,
    make_t5,
    wordpiece,
    wrap,
)

from crossrank import CrossEncoder  # noqa: E402
from crossrank.errors import InputError, UnsupportedModelError  # noqa: E402
from crossrank.models.architectures.prettr import PreTTR, PreTTRConfig  # noqa: E402
from crossrank.training.mini_batches import Scorer  # noqa: E402
from crossrank.training.model import TrainableModel  # noqa: E402
from crossrank.training.student import keep_layers, spread  # noqa: E402
from crossrank.types import Floats  # noqa: E402

LAYERS = 4


def make_prettr(folder: Path, join_layer: int = 2) -> Path:
    """Save a random blind-then-joint model of four layers."""
    tokenizer = wrap(wordpiece(), _BRACKETS, types=True)
    config = PreTTRConfig(
        join_layer=join_layer,
        cross_bias=-1.0,
        vocab_size=len(tokenizer),
        hidden_size=32,
        num_hidden_layers=LAYERS,
        num_attention_heads=2,
        intermediate_size=48,
        max_position_embeddings=64,
        initializer_range=0.25,
    )
    torch.manual_seed(7)
    network = PreTTR(config)
    with torch.no_grad():
        network.cross_bias.copy_(torch.arange(LAYERS - join_layer) / 3 - 1)
        network.head.weight.copy_(torch.tensor([[20.0, 10.0]]))  # logits differ visibly
    network.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def make(family: str, folder: Path) -> Path:
    if family == "prettr":
        return make_prettr(folder)
    if family == "modular":
        return make_modular(folder)
    count = "n_layers" if family == "distilbert" else "num_hidden_layers"
    more = {} if family == "modernbert" else {"num_hidden_layers": LAYERS}
    return make_classifier(folder, family, **more | {count: LAYERS})


def scores(model: TrainableModel) -> Floats:
    """Compute the logits of each pair by itself, with the module as it is."""
    scorer = Scorer(model.module.eval(), model.spec, torch.device("cpu"))
    with torch.no_grad():
        logits = [scorer([pair]).numpy() for pair in model.tokenizer.encode(PAIRS)]
    return np.concatenate(logits)[:, 0]


FAMILIES = ["bert", "roberta", "distilbert", "deberta-v2", "modernbert", "prettr", "modular"]


@pytest.mark.parametrize("family", FAMILIES)
def test_what_is_saved_computes_what_was_cut(family: str, tmp_path: Path) -> None:
    model = TrainableModel.load(make(family, tmp_path / "teacher"))
    before = scores(model)
    assert keep_layers(model, [0, 3]) == (0, 3)
    cut = scores(model)
    assert np.abs(cut - before).max() > 0.05
    model.save(tmp_path / "student", "identity")
    loaded = CrossEncoder(tmp_path / "student", backend="torch", device="cpu")
    found = loaded.predict(PAIRS, activation_fn="identity")
    np.testing.assert_allclose(found, cut, atol=1e-4)
    assert TrainableModel.load(tmp_path / "student").spec.num_labels == 1


def test_keeping_all_changes_nothing(tmp_path: Path) -> None:
    model = TrainableModel.load(make_prettr(tmp_path / "teacher"))
    before = scores(model)
    assert keep_layers(model, 4) == (0, 1, 2, 3)
    np.testing.assert_array_equal(scores(model), before)


@pytest.mark.parametrize(
    ("kept", "join_layer", "bias"),
    [
        ((0, 1), 2, []),
        ((1, 3), 1, [-2 / 3]),
        ((2, 3), 0, [-1, -2 / 3]),
        ((0, 2, 3), 1, [-1, -2 / 3]),
    ],
)
def test_blind_layers_stay_blind(
    tmp_path: Path, kept: tuple[int, ...], join_layer: int, bias: list[float]
) -> None:
    model = TrainableModel.load(make_prettr(tmp_path / "teacher"))
    keep_layers(model, kept)
    network = model.module.network
    assert network.config.join_layer == join_layer
    assert network.config.num_hidden_layers == len(kept)
    assert network.cross_bias.tolist() == pytest.approx(bias)
    assert network.cross_bias.requires_grad


def test_the_first_layer_of_modernbert_must_stay(tmp_path: Path) -> None:
    model = TrainableModel.load(make("modernbert", tmp_path / "teacher"))
    with pytest.raises(UnsupportedModelError, match="Keep the first layer"):
        keep_layers(model, [1, 3])


@pytest.mark.parametrize("layers", [[], [0, 0], [3, 0], [-1, 2], [0, 4], 0, 5])
def test_layers_that_are_not_there_are_refused(tmp_path: Path, layers: list[int] | int) -> None:
    model = TrainableModel.load(make_prettr(tmp_path / "teacher"))
    with pytest.raises(InputError, match="received"):
        keep_layers(model, layers)


def test_a_decoder_is_refused(tmp_path: Path) -> None:
    model = TrainableModel.load(make_t5(tmp_path / "teacher"))
    with pytest.raises(UnsupportedModelError, match="has a decoder too"):
        keep_layers(model, 1)


@pytest.mark.parametrize("total", range(1, 14))
def test_layers_at_equal_distances(total: int) -> None:
    for count in range(2, total + 1):
        kept = spread(count, total)
        steps = np.diff(kept)
        assert (kept[0], kept[-1], len(kept)) == (0, total - 1, count)
        assert steps.min() >= 1
        assert steps.max() - steps.min() <= 1
