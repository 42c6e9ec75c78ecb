"""One training run of one library; prints what it measured as JSON on the last line.

    python throughput_worker.py {crossrank,sentence-transformers} {fp32,bf16} SEED STEPS MODEL

Both get the same lists of documents, model, loss (ListNet), learning rate and batch of 16 queries,
and each library's defaults for the rest. ``STEPS`` 0 is one epoch.
"""

import json
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import datasets
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "losses"))
from league_data import Question, test_set, training_lists

from crossrank.evaluation.measures import measure_per_query

QUERIES, HELD_OUT = 160, 120
BATCH = 16
RATE = 5e-5
Pairs = Sequence[tuple[str, str]]


def main() -> None:
    library, precision, seed, steps, model = sys.argv[1:]
    questions = training_lists(QUERIES)
    options = {
        "output_dir": tempfile.mkdtemp(),
        "num_train_epochs": 1,
        "max_steps": int(steps) or -1,
        "per_device_train_batch_size": BATCH,
        "learning_rate": RATE,
        "warmup_steps": 0.1,
        "bf16": precision == "bf16",
        "use_cpu": True,
        "seed": int(seed),
        "save_strategy": "no",
        "logging_strategy": "no",
        "report_to": "none",
        "disable_tqdm": True,
    }
    train = train_crossrank if library == "crossrank" else train_sentence_transformers
    start = time.perf_counter()
    pairs, seconds, predict = train(model, options, questions)
    result: dict[str, Any] = {
        "library": library,
        "precision": precision,
        "seed": int(seed),
        "pairs": pairs,
        "seconds": seconds,
        "pairs_per_s": pairs / seconds,
        "start_to_end_s": time.perf_counter() - start,
    }
    if not int(steps):
        result["ndcg"] = quality(predict)
    print(json.dumps(result))


def train_crossrank(
    model: str, options: dict[str, Any], questions: list[Question]
) -> tuple[int, float, Callable[[Pairs], Any]]:
    """Train with crossrank; give the pairs computed, the seconds, and what scores pairs."""
    from crossrank.training.arguments import CrossEncoderTrainingArguments
    from crossrank.training.trainer import CrossEncoderTrainer

    args = CrossEncoderTrainingArguments(**options)
    trainer = CrossEncoderTrainer(model, args, rows(questions), "listnet")
    seconds = trainer.train().metrics["train_runtime"]
    return computed(questions, trainer.state.global_step), seconds, trainer.predict_pairs


def train_sentence_transformers(
    model: str, options: dict[str, Any], questions: list[Question]
) -> tuple[int, float, Callable[[Pairs], Any]]:
    """The same with sentence-transformers."""
    from sentence_transformers.cross_encoder import (
        CrossEncoder,
        CrossEncoderTrainer,
        CrossEncoderTrainingArguments,
    )
    from sentence_transformers.cross_encoder.losses import ListNetLoss

    encoder = CrossEncoder(model, num_labels=1, device="cpu")
    args = CrossEncoderTrainingArguments(**options)
    trainer = CrossEncoderTrainer(
        model=encoder, args=args, train_dataset=rows(questions), loss=ListNetLoss(encoder)
    )
    seconds = trainer.train().metrics["train_runtime"]
    pairs = computed(questions, trainer.state.global_step)
    return pairs, seconds, lambda texts: encoder.predict(list(texts))


def rows(questions: list[Question]) -> Any:
    """The dataset, in the columns that both libraries know."""
    return datasets.Dataset.from_dict(
        {
            "query": [question.text for question in questions],
            "docs": [question.documents for question in questions],
            "labels": [question.labels for question in questions],
        }
    )


def computed(questions: list[Question], steps: int) -> int:
    """How many pairs so many steps compute; an epoch has all of them."""
    pairs = sum(len(question.documents) for question in questions)
    return round(pairs * min(1.0, steps * BATCH / len(questions)))


def quality(predict: Callable[[Pairs], Any]) -> dict[str, float]:
    """nDCG@10 of each held-out query."""
    whole = test_set()
    kept = dict(islice(whole.candidates.items(), HELD_OUT))
    test = replace(whole, candidates=kept, qrels={query: whole.qrels[query] for query in kept})
    run = test.run(np.asarray(predict(test.pairs())).reshape(-1).tolist())
    values = measure_per_query(run, test.qrels, ["nDCG@10"])
    return {query: value["nDCG@10"] for query, value in values.items()}


if __name__ == "__main__":
    main()
