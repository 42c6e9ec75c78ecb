"""Models in training: every family can be saved and loaded again, LoRA included."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs torch")
pytest.importorskip("transformers", reason="training needs transformers")
pytest.importorskip("accelerate", reason="training needs accelerate")

from safetensors.torch import load_file  # noqa: E402
from tests.parity.tiny_models import (  # noqa: E402
    LONG_TEXT,
    PAIRS,
    make_causal_lm,
    make_classifier,
    make_modular,
    make_t5,
)
from tests.training.runs import make_trainer  # noqa: E402

from crossrank import CrossEncoder  # noqa: E402
from crossrank.errors import InputError, UnsupportedModelError  # noqa: E402
from crossrank.training.model import ADAPTED, LoRA, TrainableModel  # noqa: E402


def classifier(family: str) -> Callable[[Path], Path]:
    return lambda folder: make_classifier(folder, family)


MAKERS: dict[str, Callable[[Path], Path]] = {
    "deberta-v2": classifier("deberta-v2"),
    "modernbert": classifier("modernbert"),
    "xlm-roberta": classifier("xlm-roberta"),
    "modular": make_modular,
    "causal-lm": make_causal_lm,
    "t5": make_t5,
}


def logits_of(folder: Path) -> Any:
    return CrossEncoder(folder, backend="torch").predict(PAIRS, activation_fn="identity")


@pytest.mark.parametrize("maker", MAKERS)
def test_every_family_trains_and_is_read_back(maker: str, triples: Any, tmp_path: Path) -> None:
    if maker == "modular":
        pytest.importorskip("sentence_transformers", reason="makes the modular model")
    source = MAKERS[maker](tmp_path / "source")
    trainer = make_trainer(source, triples, tmp_path / "run", max_steps=2, save_steps=2)
    before = trainer.predict_pairs(PAIRS)[:, 0]
    trainer.train()
    after = trainer.predict_pairs(PAIRS)[:, 0]
    assert np.abs(after - before).max() > 1e-3
    trainer.save_model(str(tmp_path / "final"))
    np.testing.assert_allclose(logits_of(tmp_path / "final"), after, atol=1e-4)
    np.testing.assert_allclose(logits_of(tmp_path / "run/checkpoint-2"), after, atol=1e-4)


def test_what_was_cut_in_training_is_cut_later(tiny: Path, tmp_path: Path) -> None:
    model = TrainableModel.load(tiny, truncation="only_document")
    model.save(tmp_path / "trained", "identity")
    pair = (LONG_TEXT, "gas")
    with CrossEncoder(tmp_path / "trained") as trained:
        with pytest.raises(InputError, match="only_document"):
            trained.predict(pair)
        trained.save_pretrained(tmp_path / "saved")
    saved = CrossEncoder(tmp_path / "saved")
    with pytest.raises(InputError, match="only_document"):
        saved.predict(pair)
    other = {"truncation": "longest_first"}
    with CrossEncoder(tmp_path / "saved", **other) as cut, CrossEncoder(tiny) as start:  # type: ignore[arg-type]
        assert cut.predict(pair, activation_fn="identity") == pytest.approx(
            start.predict(pair, activation_fn="identity"), abs=1e-4
        )
    assert TrainableModel.load(tmp_path / "saved").tokenizer.truncation == "only_document"


def test_lora_trains_updates_and_the_head_alone(tiny: Path, triples: Any, tmp_path: Path) -> None:
    pytest.importorskip("peft", reason="LoRA needs peft")
    model = TrainableModel.load(tiny, lora=LoRA(rank=4))
    trained = {n for n, weight in model.module.named_parameters() if weight.requires_grad}
    assert all("lora_" in name or "classifier" in name or "pooler" in name for name in trained)
    trainer = make_trainer(model, triples, tmp_path / "run", max_steps=6)
    trainer.train()
    expected = trainer.predict_pairs(PAIRS)[:, 0]
    trainer.save_model(str(tmp_path / "final"))
    # Merged: a plain model, whose head is the trained one to the last bit.
    np.testing.assert_allclose(logits_of(tmp_path / "final"), expected, atol=1e-4)
    start, end = (load_file(folder / "model.safetensors") for folder in (tiny, tmp_path / "final"))
    assert start.keys() == end.keys()
    parameters = dict(model.module.named_parameters())
    head = parameters["base_model.model.model.classifier.weight"]
    assert torch.equal(end["classifier.weight"], head)
    assert not torch.equal(end["classifier.weight"], start["classifier.weight"])
    name = "bert.embeddings.word_embeddings.weight"
    assert torch.equal(end[name], start[name])


def test_lora_goes_on_from_a_checkpoint_bit_for_bit(
    tiny: Path, triples: Any, tmp_path: Path
) -> None:
    pytest.importorskip("peft", reason="LoRA needs peft")
    whole = make_trainer(
        TrainableModel.load(tiny, lora=LoRA(rank=4)), triples, tmp_path / "whole", max_steps=6
    )
    whole.train()
    assert (tmp_path / "whole/checkpoint-3" / ADAPTED).is_file()
    again = make_trainer(
        TrainableModel.load(tiny, lora=LoRA(rank=4)), triples, tmp_path / "whole", max_steps=6
    )
    again.train(str(tmp_path / "whole/checkpoint-3"))
    one, other = (run.trainable.module.state_dict() for run in (whole, again))
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_a_plain_encoder_gets_a_new_head_that_the_seed_decides(tmp_path: Path) -> None:
    source = make_classifier(tmp_path / "source", "bert")
    encoder = tmp_path / "encoder"
    from transformers import BertModel

    BertModel.from_pretrained(source).save_pretrained(encoder)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (encoder / name).write_bytes((source / name).read_bytes())
    heads = [
        TrainableModel.load(encoder, num_labels=3, seed=seed).module.model.classifier.weight
        for seed in (1, 1, 2)
    ]
    assert heads[0].shape == (3, 32)
    assert torch.equal(heads[0], heads[1])
    assert not torch.equal(heads[0], heads[2])


def test_quantised_models_cannot_be_trained() -> None:
    with pytest.raises(UnsupportedModelError, match="start from what they were made of"):
        TrainableModel.load("default")


def test_ranks_below_one_are_refused(tiny: Path) -> None:
    pytest.importorskip("peft", reason="LoRA needs peft")
    with pytest.raises(InputError, match="at least 1, received 0"):
        TrainableModel.load(tiny, lora=LoRA(rank=0))


def test_a_model_is_not_written_over_its_own_source(tiny: Path) -> None:
    with pytest.raises(InputError):
        TrainableModel.load(tiny).save(tiny, "sigmoid")
