"""Trains a small model for 10,000 steps on lists of changing lengths, and watches the memory."""

import json
import random
import sys
import tempfile
from pathlib import Path
from typing import Any

import datasets
from transformers import BertConfig, BertForSequenceClassification, TrainerCallback

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from settings import MODEL, memory_mb

from crossrank import CrossEncoder
from crossrank.training.arguments import CrossEncoderTrainingArguments
from crossrank.training.trainer import CrossEncoderTrainer

STEPS = 10_000
WIDTH = 64


class Watch(TrainerCallback):
    """Notes the resident memory every hundred steps."""

    def __init__(self) -> None:
        self.course: list[float] = []

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Look at the memory."""
        if state.global_step % 100 == 0:
            self.course.append(memory_mb("VmRSS"))


def main() -> None:
    folder = Path(tempfile.mkdtemp()) / "small"
    CrossEncoder(MODEL, backend="torch").save_pretrained(folder)  # for its tokenizer
    vocabulary = json.loads((folder / "config.json").read_text())["vocab_size"]
    sizes = {"hidden_size": WIDTH, "intermediate_size": WIDTH, "num_hidden_layers": 2}
    config = BertConfig(vocab_size=vocabulary, num_attention_heads=2, num_labels=1, **sizes)
    BertForSequenceClassification(config).save_pretrained(folder)
    arguments = CrossEncoderTrainingArguments(
        output_dir=str(folder / "run"),
        max_steps=STEPS,
        per_device_train_batch_size=2,
        save_strategy="no",
        logging_strategy="no",
        disable_tqdm=True,
        collapse_patience=STEPS,
    )
    watch = Watch()
    trainer = CrossEncoderTrainer(folder, arguments, lists(), "ranknet", callbacks=[watch])
    trainer.train()
    tenth = len(watch.course) // 10
    early, late = watch.course[tenth : 2 * tenth], watch.course[-tenth:]
    print(
        f"{STEPS} steps: {early[0]:.0f} MB after a tenth, {late[-1]:.0f} MB at the end, growth "
        f"{sum(late) / tenth - sum(early) / tenth:.1f} MB, peak {memory_mb('VmHWM'):.0f} MB"
    )


def lists() -> Any:
    """Random words: lists of 2 to 6 documents of 3 to 120 words."""
    draw = random.Random(0)
    words = ["one", "two", "three", "red", "green", "blue", "water", "fire", "air", "stone"]
    rows = []
    for _ in range(4000):
        documents = [" ".join(draw.choices(words, k=draw.randint(3, 120))) for _ in range(4)]
        documents = documents[: draw.randint(2, 4)]
        labels = [int("water" in text) + n for n, text in enumerate(documents)]
        rows.append(
            {"query": " ".join(draw.choices(words, k=3)), "docs": documents, "labels": labels}
        )
    return datasets.Dataset.from_list(rows)


if __name__ == "__main__":
    main()
