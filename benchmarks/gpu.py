"""Pairs per second on an NVIDIA GPU, beside sentence-transformers in the same process.

    CROSSRANK_DATA=FOLDER python benchmarks/gpu.py --pairs 10000 -o benchmarks/results/gpu.json

The models are BERT classifiers with random weights, in the sizes of well-known rerankers: what they
have learnt does not change their speed. Texts are BM25's best of ``trec-dl/dl19``. Every contender
scores all pairs once to warm up; then all take turns.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
import transformers
from data import Pair, first_stage_pairs
from ratios import compare
from sentence_transformers import CrossEncoder as Theirs
from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast

from crossrank import CrossEncoder as Ours
from crossrank.models.source import EMBEDDED

ROUNDS = 3
SIZES = {
    "MiniLM-L6": {"num_hidden_layers": 6, "hidden_size": 384, "intermediate_size": 1536},
    "BERT-base": {"num_hidden_layers": 12, "hidden_size": 768, "intermediate_size": 3072},
}
Predict = Callable[[list[Pair]], Any]


def main() -> None:
    """Print what every model gives, and write it all as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=10_000)
    parser.add_argument("-o", "--out", type=Path, help="a JSON file")
    chosen = parser.parse_args()
    if not torch.cuda.is_available():
        parser.error("an NVIDIA GPU is required, and torch sees none")
    transformers.logging.set_verbosity_error()
    pairs = first_stage_pairs("dl19", chosen.pairs)
    report: dict[str, Any] = {
        "gpu": torch.cuda.get_device_name(),
        "versions": {
            name: version(name) for name in ("torch", "transformers", "sentence-transformers")
        },
        "pairs": len(pairs),
        "models": {},
    }
    for name, size in SIZES.items():
        report["models"][name] = measured(size, pairs)
        print(json.dumps({name: report["models"][name]}, indent=1), flush=True)
    if chosen.out:
        chosen.out.write_text(json.dumps(report, indent=1) + "\n")


def measured(size: dict[str, int], pairs: list[Pair]) -> dict[str, Any]:
    """Let all contenders score the pairs, in turns."""
    with tempfile.TemporaryDirectory() as folder:
        make_model(Path(folder), size)
        running = contenders(folder)
        scores = {name: np.asarray(predict(pairs)) for name, predict in running.items()}
        times: dict[str, list[float]] = {name: [] for name in running}
        for _ in range(ROUNDS):
            for name, predict in running.items():
                start = time.perf_counter()
                predict(pairs)
                times[name].append(time.perf_counter() - start)
    first = next(iter(running))
    return {
        name: {
            "pairs_per_s": round(len(pairs) / median(taken)),
            "ratio": round(compare(times[first], taken)["ratio"], 2),
            "largest_difference": float(f"{np.abs(scores[name] - scores[first]).max():.1e}"),
        }
        for name, taken in times.items()
    }


def make_model(folder: Path, size: dict[str, int]) -> None:
    """Save a random classifier whose logits vary by about 1."""
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_file=str(EMBEDDED["default"] / "tokenizer.json"),
        model_max_length=512,
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
        **{f"{name.lower()}_token": f"[{name}]" for name in ("CLS", "SEP", "PAD", "UNK")},
    )
    torch.manual_seed(0)
    model = BertForSequenceClassification(
        BertConfig(vocab_size=len(tokenizer), num_attention_heads=12, num_labels=1, **size)
    )
    torch.nn.init.normal_(model.classifier.weight, std=2 * size["hidden_size"] ** -0.5)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def contenders(folder: str) -> dict[str, Predict]:
    """Load the model with each library and setting; the first is what ratios are to."""
    running: dict[str, Predict] = {}
    for precision, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
        theirs = Theirs(folder, device="cuda", model_kwargs={"torch_dtype": dtype})
        for size in (32, 256):
            running[f"sentence-transformers {precision}, batches of {size}"] = (
                lambda pairs, model=theirs, size=size: model.predict(
                    pairs, batch_size=size, show_progress_bar=False
                )
            )
    padded = {"attn_implementation": "sdpa"}
    for name, precision, settings in (
        ("crossrank fp32", "fp32", {}),
        ("crossrank bf16, padded", "bf16", padded),
        ("crossrank bf16", "bf16", {}),
        ("crossrank fp16", "fp16", {}),
    ):
        ours = Ours(
            folder, precision=precision, model_kwargs=settings, device="cuda", backend="torch"
        )
        running[name] = lambda pairs, model=ours: model.predict(pairs, show_progress_bar=False)
    return running


if __name__ == "__main__":
    main()
