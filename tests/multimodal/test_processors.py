"""Pixels and spectrograms, number by number as transformers computes them."""

from typing import Any

import numpy as np
import pytest
from tests.multimodal.conftest import IMAGES, picture, tone

from crossrank.errors import UnsupportedModelError
from crossrank.multimodal.images import ImageProcessor
from crossrank.multimodal.media import read_media
from crossrank.multimodal.tokenizer import load_processor

transformers = pytest.importorskip("transformers", reason="it is the reference")


def test_pixels_by_hand() -> None:
    process = load_processor(IMAGES | {"size": {"height": 2, "width": 2}}, [3, 2, 2])
    pixels = np.array([[[0, 255, 51], [0, 0, 0]], [[255, 255, 255], [102, 0, 0]]], np.uint8)
    found = process(read_media(pixels, "image", "it"))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found[0], [[-2, -2], [2, -0.4]], atol=1e-6)
    np.testing.assert_allclose(found[1], [[2, -2], [2, -2]], atol=1e-6)
    np.testing.assert_allclose(found[2], [[-1.2, -2], [2, -2]], atol=1e-6)


def test_pixels_as_vit_reads_them() -> None:
    from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil

    reference = ViTImageProcessorPil(size={"height": 24, "width": 32})
    pixels = picture("green", size=50)
    expected = reference(pixels, return_tensors="np")["pixel_values"][0]
    process = load_processor(reference.to_dict(), [3, 24, 32])
    np.testing.assert_allclose(process(read_media(pixels, "image", "it")), expected, atol=1e-5)


@pytest.mark.parametrize("seconds", [0.3, 2.0])
def test_spectrograms_as_the_audio_spectrogram_transformer_reads_them(seconds: float) -> None:
    reference = transformers.ASTFeatureExtractor(num_mel_bins=40, max_length=100)
    samples = tone(440, seconds, rate=16_000) * 0.3 + tone(1230, seconds, rate=16_000) * 0.1
    expected = reference(samples, sampling_rate=16_000, return_tensors="np")["input_values"][0]
    process = load_processor(reference.to_dict(), [100, 40])
    found = process(read_media({"array": samples, "sampling_rate": 16_000}, "audio", "it"))
    assert found.shape == (100, 40)
    np.testing.assert_allclose(found, expected, atol=2e-3)


def test_waveforms_as_wav2vec2_reads_them() -> None:
    reference = transformers.Wav2Vec2FeatureExtractor(return_attention_mask=True)
    samples = tone(440, 0.2, rate=16_000) * 0.3 + 0.1
    expected = reference(
        samples, sampling_rate=16_000, padding="max_length", max_length=4000, return_tensors="np"
    )["input_values"][0]
    process = load_processor(reference.to_dict(), [4000])
    found = process(read_media({"array": samples, "sampling_rate": 16_000}, "audio", "it"))
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_a_recording_shorter_than_a_window_is_silence() -> None:
    settings = {"feature_extractor_type": "ASTFeatureExtractor", "mean": -3.0, "std": 1.5}
    process = load_processor(settings, [10, 8])
    found = process(read_media({"array": tone(440, 0.01), "sampling_rate": 8000}, "audio", "it"))
    np.testing.assert_array_equal(found, np.ones((10, 8), np.float32))  # (0 + 3) / (2 * 1.5)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"feature_extractor_type": "WhisperFeatureExtractor"}, "received 'WhisperFeatureExtrac"),
        ({}, "must be an image processor"),
        (IMAGES | {"do_center_crop": True}, "without a crop"),
        (IMAGES | {"size": {"shortest_edge": 16}}, "its size is {'shortest_edge': 16}"),
        (IMAGES | {"size": 32}, "resize images to the 16 times 16 pixels"),
    ],
)
def test_a_processor_of_another_kind_is_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UnsupportedModelError, match=message):
        load_processor(settings, [3, 16, 16])


def test_a_size_may_be_one_number() -> None:
    assert ImageProcessor.of(IMAGES | {"size": 16}, [3, 16, 16]).width == 16
