"""Text to speech: train fusion cross-encoders on spoken digits and rank a stranger's recordings.

    CROSSRANK_DATA=... python -m recipes.spoken_digits.train build/spoken-digits

Six models, each without one of the six speakers of the Free Spoken Digit Dataset, ranks 100
recordings of that speaker for "seven". It proves that the machinery learns from sound; a model
knows ten words and is of no other use.
"""

import argparse
import os
import time
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from datasets import Audio
from numpy.typing import NDArray
from recipes.small_fusion import TOKENIZER, average_precision, lists, text_encoder, train
from transformers import ASTConfig

from crossrank import CrossEncoder
from crossrank.multimodal.create import create_fusion

RATE = 8000
WORDS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
QUERIES = {digit: [word] for digit, word in enumerate(WORDS)}
"""What recordings of a digit are asked for with."""

VARIANTS = 8
"""How many recordings are made of each, at other speeds, loudnesses and starts."""


def read(folder: Path) -> Iterator[tuple[str, int, NDArray[np.float32]]]:
    """Speaker, digit and samples of every recording."""
    for file in sorted(folder.glob("*.wav")):
        digit, speaker, _ = file.stem.split("_")
        yield speaker, int(digit), soundfile.read(file, dtype="float32")[0]


def varied(samples: NDArray[np.float32], chance: np.random.Generator) -> NDArray[np.float32]:
    """Say it faster or slower, and so higher or lower; later; softer; elsewhere, and with noise."""
    places = np.arange(0, len(samples) - 1, chance.uniform(0.75, 1.3))
    spoken = np.interp(places, np.arange(len(samples)), samples)
    room = np.concatenate([[1.0], chance.normal(scale=0.3, size=3)])  # or another microphone
    spoken = np.convolve(spoken, room)
    spoken = np.concatenate([np.zeros(int(chance.uniform(0, 0.15) * RATE)), spoken])
    spoken = spoken / max(1e-3, np.abs(spoken).max())
    noise = chance.normal(size=len(spoken)) * 10 ** chance.uniform(-4, -2)
    return ((spoken + noise) * 10 ** chance.uniform(-1.5, -0.1)).astype(np.float32)


def wav(samples: NDArray[np.float32]) -> bytes:
    """The bytes of a file."""
    file = BytesIO()
    soundfile.write(file, samples, RATE, format="WAV", subtype="PCM_16")
    return file.getvalue()


def new_model(folder: Path) -> Path:
    """A small Audio Spectrogram Transformer beside a small BERT, pooled, all at random."""
    audio = ASTConfig(
        hidden_size=64,
        num_hidden_layers=3,
        num_attention_heads=4,
        intermediate_size=128,
        num_mel_bins=20,
        max_length=70,
        patch_size=20,  # all frequencies of 200 ms, every 50 ms
        frequency_stride=20,
        time_stride=5,
        initializer_range=0.1,
        hidden_dropout_prob=0.0,
    )
    processor = {
        "feature_extractor_type": "ASTFeatureExtractor",
        "sampling_rate": RATE,
        "mean": -6.7,
        "std": 2.0,
    }
    return create_fusion(
        folder,
        text=text_encoder(),
        document=audio,
        modality="audio",
        tokenizer=TOKENIZER,
        processor=processor,
        join="pooled",
        join_size=64,
        join_dropout=0.0,
    )


def without(speaker: str, data: list[Any], folder: Path, count: int) -> Path:
    """Train on the recordings of all others."""
    chance = np.random.default_rng(0)
    others = [(digit, samples) for name, digit, samples in data if name != speaker]
    files = [wav(varied(samples, chance)) for _, samples in others for _ in range(VARIANTS)]
    classes = np.repeat([digit for digit, _ in others], VARIANTS)
    rows = lists(QUERIES, files, classes, Audio(decode=False), count)
    return train(new_model(folder / "start"), rows, folder, rate=1e-3, epochs=1)


def main() -> None:
    """Train six models, measure each on the speaker it has not heard, and print it all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="what is made, and the models in it")
    parser.add_argument("--lists", type=int, default=8000, help="training lists of 8 recordings")
    parser.add_argument("--draws", type=int, default=5, help="how often 100 recordings are drawn")
    parser.add_argument("--speakers", nargs="*", help="which to leave out in turn; all by default")
    options = parser.parse_args()
    started = time.perf_counter()
    data = list(read(Path(os.environ["CROSSRANK_DATA"]) / "fsdd" / "recordings"))
    seven, all_ten = [], []
    for speaker in options.speakers or sorted({name for name, _, _ in data}):
        trained = without(speaker, data, options.folder / speaker, options.lists)
        model = CrossEncoder(trained, activation_fn="identity")
        own = [(digit, samples) for name, digit, samples in data if name == speaker]
        documents = [{"array": samples, "sampling_rate": RATE} for _, samples in own]
        classes = np.array([digit for digit, _ in own])
        found = average_precision(model, QUERIES, documents, classes, options.draws)
        seven.append(found["seven"])
        all_ten.append(float(np.mean(list(found.values()))))
        seconds = time.perf_counter() - started
        print(
            f"{speaker:10} AP of seven {seven[-1]:.3f}  MAP of ten digits {all_ten[-1]:.3f}", end=""
        )
        print(f"  after {seconds:.0f} s", flush=True)
    print(f"{'mean':10} AP of seven {np.mean(seven):.3f}  MAP of ten digits {np.mean(all_ten):.3f}")


if __name__ == "__main__":
    main()
