"""Depths, freezing and layer-wise rates, on the families of encoders."""

from pathlib import Path

import pytest

pytest.importorskip("torch", reason="training needs torch")
pytest.importorskip("transformers", reason="training needs transformers")

from tests.parity.tiny_models import CLASSIFIERS, make_classifier

from crossrank.errors import InputError
from crossrank.training.model import TrainableModel
from crossrank.training.parameters import (
    depths,
    encoder_linears,
    freeze,
    parameter_groups,
)


@pytest.mark.parametrize("family", CLASSIFIERS)
def test_depths_of_every_family(family: str, tmp_path: Path) -> None:
    module = TrainableModel.load(make_classifier(tmp_path, family)).module
    found = depths(module)
    layers = 4 if family == "modernbert" else 2
    assert {depth for depth in found.values() if depth is not None} == set(range(layers + 1))
    head = {name for name, depth in found.items() if depth is None}
    known = ("classifier", "pool", "head", "norm")
    assert all(any(part in name.lower() for part in known) for name in head), head
    assert head >= {name for name in found if "classifier" in name}
    assert {name for name, depth in found.items() if depth == 0} >= {
        name for name in found if "word_embeddings" in name or "tok_embeddings" in name
    }


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_classifier(tmp_path_factory.mktemp("bert"), "bert")


def test_freezing_leaves_upper_layers_and_head(folder: Path) -> None:
    module = TrainableModel.load(folder).module
    freeze(module, 1)
    trained = {name for name, weight in module.named_parameters() if weight.requires_grad}
    assert trained
    assert all("layer.1." in n or "pooler" in n or "classifier" in n for n in trained)


def test_too_many_frozen_layers_are_refused(folder: Path) -> None:
    with pytest.raises(InputError, match="0 to 2, received 3"):
        freeze(TrainableModel.load(folder).module, 3)


def test_rates_fall_with_depth(folder: Path) -> None:
    module = TrainableModel.load(folder).module
    names = dict(module.named_parameters())
    groups = parameter_groups(
        module, learning_rate=1.0, weight_decay=0.1, layer_decay=0.5, decayed=names
    )
    # Head 1, layers 1/2 and 1/4, embeddings 1/8.
    assert sorted(group["lr"] for group in groups) == [0.125, 0.25, 0.5, 1.0]
    assert sum(len(group["params"]) for group in groups) == len(names)
    assert {group["weight_decay"] for group in groups} == {0.1}


def test_linears_of_the_encoder_exclude_the_head(folder: Path) -> None:
    found = encoder_linears(TrainableModel.load(folder).module)
    assert len(found) == 2 * 6  # query, key, value, output and two of the feed-forward, per layer
    assert not any("pooler" in name or "classifier" in name for name in found)
