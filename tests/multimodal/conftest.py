"""Tiny fusion models, and pictures and sounds to tell apart."""

from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("PIL", reason="images are read with Pillow")
pytest.importorskip("soundfile", reason="recordings are read with soundfile")

RATE = 8000
SIZES = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "initializer_range": 0.1,
    "intermediate_size": 48,
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
}
IMAGES = {
    "image_processor_type": "ViTImageProcessor",
    "size": {"height": 16, "width": 16},
    "image_mean": [0.5, 0.5, 0.5],
    "image_std": [0.25, 0.25, 0.25],
}
SOUNDS = {
    "feature_extractor_type": "ASTFeatureExtractor",
    "sampling_rate": RATE,
    "mean": -8.0,
    "std": 4.0,
}
LOG_MELS = {"feature_extractor_type": "WhisperFeatureExtractor", "sampling_rate": RATE}
COLOURS = {"red": (220, 30, 20), "green": (30, 200, 40), "blue": (20, 40, 210)}


@pytest.fixture(autouse=True)
def always_one_thread(one_thread: None) -> None:
    """Compute on one thread."""


@pytest.fixture(params=["onnx", "openvino"])
def engine(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> str:
    """An engine beside torch; one folder for both, so that a model is converted once."""
    pytest.importorskip("onnxscript", reason="it writes ONNX files")
    pytest.importorskip("onnxruntime", reason="it is one of the engines")
    monkeypatch.setenv("CROSSRANK_CACHE", str(tmp_path_factory.getbasetemp() / "converted"))
    return str(request.param)


@pytest.fixture(scope="session")
def make_fusion(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Makes the folder of a random model for ``"image"`` or ``"audio"`` documents."""
    transformers = pytest.importorskip("transformers", reason="it makes the models")
    from tests.parity.tiny_models import wordpiece

    from crossrank.multimodal.create import create_fusion

    tokenizer = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    made = wordpiece()
    made.save(str(tokenizer))
    text = transformers.BertConfig(
        vocab_size=made.get_vocab_size(), max_position_embeddings=32, **SIZES
    )
    encoders = {
        "image": transformers.ViTConfig(image_size=16, patch_size=8, **SIZES),
        "audio": transformers.ASTConfig(num_mel_bins=24, max_length=40, **SIZES),
    }

    def make(modality: str, document: Any = None, processor: Any = None, **join: Any) -> Path:
        settings = processor or {"image": IMAGES, "audio": SOUNDS}[modality]
        return create_fusion(
            tmp_path_factory.mktemp(modality) / "model",
            text=text,
            document=document or encoders[modality],
            modality=modality,
            tokenizer=tokenizer,
            processor=settings,
            **{"join_size": 32, "join_layers": 1, "join_heads": 2, "join_dropout": 0.0, **join},
        )

    return make


@pytest.fixture(scope="session")
def whisper() -> Any:
    """A tiny Whisper's config: of half a second at 8 kHz, and with a decoder that is to be left."""
    transformers = pytest.importorskip("transformers", reason="it makes the models")
    return transformers.WhisperConfig(
        d_model=32,
        encoder_layers=2,
        encoder_attention_heads=2,
        encoder_ffn_dim=48,
        decoder_layers=1,
        decoder_attention_heads=2,
        decoder_ffn_dim=48,
        num_mel_bins=24,
        max_source_positions=12,
        max_target_positions=8,
        vocab_size=8,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
        decoder_start_token_id=1,
        init_std=0.1,
    )


@pytest.fixture(scope="session")
def whisper_model(make_fusion: Callable[..., Path], whisper: Any) -> Path:
    """A random model of recordings with Whisper's encoder."""
    return make_fusion("audio", whisper, LOG_MELS)


@pytest.fixture(scope="session")
def image_model(make_fusion: Callable[..., Path]) -> Path:
    """A random model of colour images."""
    return make_fusion("image")


@pytest.fixture(scope="session")
def audio_model(make_fusion: Callable[..., Path]) -> Path:
    """A random model of recordings."""
    return make_fusion("audio")


def picture(colour: str, number: int = 0, size: int = 20) -> np.ndarray:
    """A noisy square of one colour, ``[size, size, 3]``."""
    noise = np.random.default_rng(number).integers(-20, 20, (size, size, 3))
    return (np.array(COLOURS[colour]) + noise).astype(np.uint8)


def tone(hertz: float, seconds: float = 0.5, rate: int = RATE) -> np.ndarray:
    """A sine, ``[samples]``."""
    return np.sin(2 * np.pi * hertz * np.arange(int(seconds * rate)) / rate).astype(np.float32)


def encoded(pixels: np.ndarray, kind: str = "PNG") -> bytes:
    """Pixels as the bytes of a file."""
    from PIL import Image

    file = BytesIO()
    Image.fromarray(pixels).save(file, kind)
    return file.getvalue()


def wav(samples: np.ndarray, rate: int = RATE, kind: str = "WAV") -> bytes:
    """Samples as the bytes of a file of 16 bits."""
    import soundfile

    file = BytesIO()
    soundfile.write(file, samples, rate, format=kind, subtype="PCM_16")
    return file.getvalue()


def lists_of_colours(copies: int) -> Any:
    """A dataset that asks for each colour among images of all, as often as there are copies."""
    import datasets

    rows = [
        {
            "query": query,
            "images": [encoded(picture(colour, number)) for colour in COLOURS],
            "labels": [float(colour == query) for colour in COLOURS],
        }
        for query in COLOURS
        for number in range(copies)
    ]
    features = {
        "query": datasets.Value("string"),
        "images": datasets.List(datasets.Image()),
        "labels": datasets.List(datasets.Value("float32")),
    }
    return datasets.Dataset.from_list(rows, features=datasets.Features(features))
