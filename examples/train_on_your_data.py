"""Train a reranker on questions of your own, each with a right and a wrong answer."""

import sys
import tempfile

from datasets import Dataset

from crossrank import CrossEncoder
from crossrank.training.arguments import CrossEncoderTrainingArguments
from crossrank.training.trainer import CrossEncoderTrainer

ROWS = [
    ("Can I send it back?", "Returns are free for 30 days.", "We ship from Berlin."),
    ("What if it does not fit?", "Returns are free for 30 days.", "The stove burns gas."),
    ("How long do I have to return it?", "Returns are free for 30 days.", "It weighs 2 kg."),
    ("What does it burn?", "The stove burns gas.", "Returns are free for 30 days."),
    ("Which fuel do I need?", "The stove burns gas.", "We ship from Berlin."),
    ("Does it run on wood?", "The stove burns gas.", "It weighs 2 kg."),
]
# A folder or a hub id: a cross-encoder, or an encoder such as this one.
base = sys.argv[1] if len(sys.argv) > 1 else "sentence-transformers/all-MiniLM-L6-v2"

rows = [dict(zip(("query", "positive", "negative"), row, strict=True)) for row in ROWS]
with tempfile.TemporaryDirectory() as folder:
    arguments = CrossEncoderTrainingArguments(
        f"{folder}/checkpoints",
        num_train_epochs=20,
        learning_rate=1e-4,
        logging_strategy="no",
    )
    trainer = CrossEncoderTrainer(base, arguments, Dataset.from_list(rows), "ranknet")
    trainer.train()
    trainer.save_model(f"{folder}/reranker")
    model = CrossEncoder(f"{folder}/reranker")
    answers = sorted({answer for row in ROWS for answer in row[1:]})
    for question in ("Can I return it?", "Does it burn gas?"):
        best = model.rank(question, answers, return_documents=True)[0]
        print(question, "->", best["text"])
