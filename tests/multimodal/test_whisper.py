"""Whisper's encoder as the document encoder: random and pretrained, of short recordings."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.multimodal.conftest import LOG_MELS, tone, wav

from crossrank import CrossEncoder
from crossrank.errors import InputError
from crossrank.models.architectures import load_class

torch = pytest.importorskip("torch", reason="it makes the models")
transformers = pytest.importorskip("transformers", reason="it makes the models")

from crossrank.multimodal.create import create_fusion  # noqa: E402

PAIRS = [
    (query, wav(0.5 * tone(hertz, seconds)))
    for query in ("low", "a high one")
    for hertz, seconds in ((300, 0.1), (2000, 0.24), (900, 1.0))
]


def load(folder: Path, backend: str = "torch") -> CrossEncoder:
    return CrossEncoder(folder, backend=backend, activation_fn="identity")


def create(folder: Path, document: Any, model: Path, processor: Any) -> Path:
    return create_fusion(
        folder,
        text=transformers.BertConfig(
            vocab_size=500,
            hidden_size=32,
            num_hidden_layers=1,
            num_attention_heads=2,
            intermediate_size=48,
        ),
        document=document,
        modality="audio",
        tokenizer=model,
        processor=processor,
        join_size=16,
        join_heads=2,
    )


def test_saved_is_loaded_to_the_same_scores(whisper_model: Path, tmp_path: Path) -> None:
    config = json.loads((whisper_model / "config.json").read_text())
    assert config["document_shape"] == [24, 24]
    assert config["document_positions"] == 12
    model = load(whisper_model)
    scores = model.predict(PAIRS)
    table = scores.reshape(2, 3)  # queries must differ in the order of recordings
    assert np.abs(table - table.mean(0) - table.mean(1)[:, None] + table.mean()).max() > 1e-3
    model.save_pretrained(tmp_path / "again")
    np.testing.assert_array_equal(load(tmp_path / "again").predict(PAIRS), scores)


def test_every_engine_gives_torchs_logits(engine: str, whisper_model: Path) -> None:
    expected = load(whisper_model).predict(PAIRS)
    with load(whisper_model, engine) as model:
        np.testing.assert_allclose(model.predict(PAIRS), expected, atol=1e-4)
        np.testing.assert_allclose(model.predict(PAIRS[-1]), expected[-1], atol=1e-4)


@pytest.mark.parametrize("kind", ["WhisperModel", "WhisperForConditionalGeneration"])
def test_a_pretrained_encoder_keeps_its_weights_and_its_first_positions(
    kind: str, whisper: Any, whisper_model: Path, tmp_path: Path
) -> None:
    given = getattr(transformers, kind)(whisper)
    given.save_pretrained(tmp_path / "whisper")
    settings = LOG_MELS | {"chunk_length": 0.1}  # of 0.48 seconds that there are positions for
    made = create(tmp_path / "model", tmp_path / "whisper", whisper_model, settings)
    model = load_class("crossrank-fusion").from_pretrained(made)
    assert model.config.document_shape == [24, 4]
    kept, expected = model.document_encoder.state_dict(), given.get_encoder().state_dict()
    assert kept.keys() == expected.keys()
    for key, weight in expected.items():
        assert torch.equal(kept[key], weight[:2] if "positions" in key else weight), key
    assert np.isfinite(load(made).predict(PAIRS)).all()


@pytest.mark.parametrize("seconds", [30, 0, -1])
def test_more_seconds_than_positions_are_refused(
    seconds: int, whisper: Any, whisper_model: Path, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=f"at most 0.48, .* received {seconds}"):
        create(tmp_path / "model", whisper, whisper_model, LOG_MELS | {"chunk_length": seconds})
