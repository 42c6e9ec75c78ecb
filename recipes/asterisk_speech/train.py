"""Text to speech: train a fusion cross-encoder with Whisper's encoder on the prompts of Asterisk.

    CROSSRANK_DATA=... python -m recipes.asterisk_speech.train build/asterisk-speech

One speaker reads short sentences. A fifth of the transcripts is held out; for each of them the
model ranks the recordings of all of them. It proves that the machinery learns from sentences; ten
minutes of speech do not teach a model to understand it.
"""

import argparse
import os
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np
import soundfile
from datasets import Audio
from numpy.typing import NDArray
from recipes.small_fusion import TOKENIZER, lists, text_encoder, train
from recipes.spoken_digits.train import RATE, varied, wav
from transformers import WhisperConfig

from crossrank import CrossEncoder
from crossrank.evaluation.measures import measure
from crossrank.multimodal.create import create_fusion

LONGEST = 4.0
"""Seconds: seven of eight prompts are no longer, and long ones make training slow."""

HEARD = 5
"""Seconds that the model reads: a prompt that starts later and is said more slowly."""

VARIANTS = 4
"""How many recordings are made of each prompt, at other speeds, loudnesses and starts."""

JOINED = 3
"""How many joined prompts there are for each prompt."""

CHANCE_DRAWS = 50
"""How often recordings are ranked at random."""


@dataclass(frozen=True)
class Prompt:
    """A recording and the words that are said in it."""

    text: str
    samples: NDArray[np.float32]

    @property
    def seconds(self) -> float:
        """How long it is."""
        return len(self.samples) / RATE


def read(folder: Path) -> Iterator[Prompt]:
    """Read the prompts that have words and are short enough."""
    for line in (folder / "core-sounds-en.txt").read_text(encoding="utf-8").splitlines():
        name, _, transcript = line.partition(": ")
        file = folder / "wav" / f"{name}.wav"
        spoken = re.sub(r"\[.*?\]|\(.*?\)|<.*?>", " ", transcript.lower())
        text = " ".join(re.findall(r"[a-z0-9']+", spoken))
        if text and file.is_file():
            prompt = Prompt(text, soundfile.read(file, dtype="float32")[0])
            if prompt.seconds <= LONGEST:
                yield prompt


def is_held_out(prompt: Prompt) -> bool:
    """Tell by the words, so that all recordings of a transcript are on one side."""
    return sha256(prompt.text.encode()).digest()[0] % 5 == 0


def joined(prompts: Sequence[Prompt], count: int, chance: np.random.Generator) -> Iterator[Prompt]:
    """Put one short prompt behind another: more sentences, of the same words."""
    short = [prompt for prompt in prompts if prompt.seconds <= LONGEST / 2]
    for _ in range(count):
        first, second = (short[place] for place in chance.choice(len(short), 2, replace=False))
        samples = np.concatenate([first.samples, second.samples])
        yield Prompt(f"{first.text} {second.text}", samples)


def new_model(folder: Path) -> Path:
    """A small encoder of Whisper beside a small BERT, joined by cross-attention, all at random."""
    audio = WhisperConfig(
        d_model=64,
        encoder_layers=3,
        encoder_attention_heads=4,
        encoder_ffn_dim=128,
        num_mel_bins=40,
        max_source_positions=125,  # one every 40 ms
        init_std=0.1,
    )
    processor = {
        "feature_extractor_type": "WhisperFeatureExtractor",
        "sampling_rate": RATE,
        "feature_size": 40,
        "n_fft": 256,
        "hop_length": 160,
        "chunk_length": HEARD,
    }
    return create_fusion(
        folder,
        text=text_encoder(),
        document=audio,
        modality="audio",
        tokenizer=TOKENIZER,
        processor=processor,
        join="cross_attention",
        join_size=64,
        join_layers=1,
    )


def train_on(prompts: Sequence[Prompt], folder: Path, count: int) -> Path:
    """Train on variants of prompts and of joined ones."""
    chance = np.random.default_rng(0)
    said = [*prompts, *joined(prompts, JOINED * len(prompts), chance)]
    number = {text: place for place, text in enumerate(dict.fromkeys(one.text for one in said))}
    recordings = folder / "recordings"
    recordings.mkdir(parents=True, exist_ok=True)
    files: list[Path] = []
    classes: list[int] = []
    for prompt in said:
        for _ in range(VARIANTS):
            files.append(recordings / f"{len(files)}.wav")
            files[-1].write_bytes(wav(varied(prompt.samples, chance)))
            classes.append(number[prompt.text])
    queries = {place: [text] for text, place in number.items()}
    rows = lists(queries, files, np.array(classes), Audio(decode=False), count)
    return train(new_model(folder / "start"), rows, folder, rate=1e-3, epochs=1)


def texts_of(prompts: Sequence[Prompt]) -> list[str]:
    """The queries: each transcript once."""
    return list(dict.fromkeys(prompt.text for prompt in prompts))


def model_scores(folder: Path, prompts: Sequence[Prompt]) -> NDArray[np.float64]:
    """Score every recording for every transcript, ``[transcripts, recordings]``."""
    model = CrossEncoder(folder, activation_fn="identity")
    documents = [{"array": prompt.samples, "sampling_rate": RATE} for prompt in prompts]
    scores = [
        model.predict([(text, document) for document in documents]) for text in texts_of(prompts)
    ]
    return np.array(scores, dtype=np.float64)


def length_scores(known: Sequence[Prompt], prompts: Sequence[Prompt]) -> NDArray[np.float64]:
    """Score by length alone: how near a recording is to what so many letters take."""
    line = np.polyfit([len(one.text) for one in known], [one.seconds for one in known], 1)
    expected = np.polyval(line, [len(text) for text in texts_of(prompts)])
    seconds = np.array([prompt.seconds for prompt in prompts])
    return -np.abs(expected[:, None] - seconds[None, :])


def measured(scores: NDArray[np.float64], prompts: Sequence[Prompt]) -> dict[str, float]:
    """The mean average precision and reciprocal rank of scores ``[transcripts, recordings]``."""
    texts = texts_of(prompts)
    run = {
        text: {str(place): float(score) for place, score in enumerate(row)}
        for text, row in zip(texts, scores, strict=True)
    }
    qrels = {
        text: {str(place): 1 for place, prompt in enumerate(prompts) if prompt.text == text}
        for text in texts
    }
    return measure(run, qrels, ["AP", "RR"])


def chance_of(prompts: Sequence[Prompt]) -> dict[str, float]:
    """What random scores reach, the mean of many draws."""
    chance = np.random.default_rng(2)
    shape = len(texts_of(prompts)), len(prompts)
    draws = [measured(chance.random(shape), prompts) for _ in range(CHANCE_DRAWS)]
    return {name: float(np.mean([draw[name] for draw in draws])) for name in draws[0]}


def main() -> None:
    """Train a model, measure it on the transcripts held out, and print it all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="what is made, and the model in it")
    parser.add_argument("--lists", type=int, default=6000, help="training lists of 8 recordings")
    parser.add_argument("--smoke", action="store_true", help="a few steps, to see that it runs")
    options = parser.parse_args()
    started = time.perf_counter()
    prompts = list(read(Path(os.environ["CROSSRANK_DATA"]) / "asterisk-speech"))
    known = [prompt for prompt in prompts if not is_held_out(prompt)]
    held_out = [prompt for prompt in prompts if is_held_out(prompt)]
    count = options.lists
    if options.smoke:
        known, held_out, count = known[:40], held_out[:10], 16
    trained = train_on(known, options.folder, count)
    print(f"trained on {len(known)} prompts in {time.perf_counter() - started:.0f} s")
    print(f"{len(texts_of(held_out))} transcripts held out, {len(held_out)} recordings ranked")
    results = {
        "chance": chance_of(held_out),
        "length alone": measured(length_scores(known, held_out), held_out),
        "the model": measured(model_scores(trained, held_out), held_out),
    }
    for name, values in results.items():
        print(f"{name:12} MAP {values['AP']:.3f}  MRR {values['RR']:.3f}")
    print(f"in {time.perf_counter() - started:.0f} s")


if __name__ == "__main__":
    main()
