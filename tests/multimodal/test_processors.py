"""Pixels and spectrograms, number by number as transformers computes them."""

from typing import Any

import numpy as np
import pytest
from tests.multimodal.conftest import IMAGES, picture, tone

from crossrank.errors import UnsupportedModelError
from crossrank.multimodal.images import ImageProcessor
from crossrank.multimodal.media import read_media
from crossrank.multimodal.patches import PatchProcessor
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


@pytest.mark.parametrize("size", [(50, 70), (20, 20), (9, 150), (400, 300), (64, 64)])
def test_patches_as_qwen_reads_them(size: tuple[int, int]) -> None:
    from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

    reference = Qwen2VLImageProcessorPil(
        patch_size=8, size={"shortest_edge": 32 * 32, "longest_edge": 160 * 160}
    )
    pixels = np.random.default_rng(1).integers(0, 256, (*size, 3), dtype=np.uint8)
    expected = reference(pixels, return_tensors="np", input_data_format="channels_last")
    process = PatchProcessor.of(reference.to_dict())
    found = process(read_media(pixels, "image", "it"))
    assert [list(found.grid)] == expected["image_grid_thw"].tolist()
    np.testing.assert_allclose(found.values, expected["pixel_values"], atol=1e-5)
    assert process.states(found) * 4 == len(found.values)


def test_patches_by_hand() -> None:
    settings = {"image_processor_type": "Qwen2VLImageProcessor", "patch_size": 1, "merge_size": 2}
    settings |= {"min_pixels": 8, "max_pixels": 8, "temporal_patch_size": 1}
    settings |= {"image_mean": [0, 0, 0], "image_std": [1, 1, 1], "rescale_factor": 1}
    process = PatchProcessor.of(settings)
    grey = np.arange(8, dtype=np.uint8).reshape(2, 4)
    found = process(read_media(grey, "image", "it"))
    assert found.grid == (1, 2, 4)
    # The four patches of a square, which the model merges, follow each other.
    np.testing.assert_array_equal(found.values[:, 0], [0, 1, 4, 5, 2, 3, 6, 7])
    assert found.values.shape == (8, 3)


def test_other_image_processors_are_named() -> None:
    with pytest.raises(UnsupportedModelError, match="a Qwen2VLImageProcessor, received 'ViTIm"):
        PatchProcessor.of(IMAGES)
    settings = {"image_processor_type": "Qwen2VLImageProcessor", "do_resize": False}
    with pytest.raises(UnsupportedModelError, match="must have do_resize, which is off"):
        PatchProcessor.of(settings)


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


@pytest.mark.parametrize(("bins", "seconds"), [(80, 0.3), (128, 0.3), (80, 2.0)])
def test_log_mel_energies_as_whisper_reads_them(bins: int, seconds: float) -> None:
    reference = transformers.WhisperFeatureExtractor(feature_size=bins, chunk_length=1)
    noise = np.random.default_rng(0).normal(scale=0.01, size=int(seconds * 16_000))
    samples = (tone(440, seconds, rate=16_000) * 0.3 + noise).astype(np.float32)
    expected = reference(samples, sampling_rate=16_000, return_tensors="np")["input_features"][0]
    process = load_processor(reference.to_dict(), [bins, 100])
    found = process(read_media({"array": samples, "sampling_rate": 16_000}, "audio", "it"))
    assert found.shape == expected.shape == (bins, 100)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_log_mel_energies_of_silence_by_hand() -> None:
    process = load_processor({"feature_extractor_type": "WhisperFeatureExtractor"}, [8, 4])
    found = process(read_media({"array": [0.0] * 9, "sampling_rate": 8000}, "audio", "it"))
    np.testing.assert_array_equal(found, np.full((8, 4), -1.5, np.float32))  # (log 1e-10 + 4) / 4


def test_a_recording_shorter_than_a_window_is_silence() -> None:
    settings = {"feature_extractor_type": "ASTFeatureExtractor", "mean": -3.0, "std": 1.5}
    process = load_processor(settings, [10, 8])
    found = process(read_media({"array": tone(440, 0.01), "sampling_rate": 8000}, "audio", "it"))
    np.testing.assert_array_equal(found, np.ones((10, 8), np.float32))  # (0 + 3) / (2 * 1.5)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"feature_extractor_type": "ClapFeatureExtractor"}, "received 'ClapFeatureExtractor'"),
        ({}, "must be an image processor"),
        (IMAGES | {"do_center_crop": True}, "without a crop"),
        (IMAGES | {"size": {"shortest_edge": 16}}, "its size is {'shortest_edge': 16}"),
        (IMAGES | {"size": 32}, "resize images to the 16 times 16 pixels"),
    ],
)
def test_a_processor_of_another_kind_is_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UnsupportedModelError, match=message):
        load_processor(settings, [3, 16, 16])


def test_other_mel_bins_than_the_model_reads_are_refused() -> None:
    settings = transformers.WhisperFeatureExtractor(feature_size=128).to_dict()
    with pytest.raises(UnsupportedModelError, match=r"make the 80 mel bins .* feature_size 128"):
        load_processor(settings, [80, 3000])


def test_a_size_may_be_one_number() -> None:
    assert ImageProcessor.of(IMAGES | {"size": 16}, [3, 16, 16]).width == 16
