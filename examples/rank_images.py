"""Make a reranker of images: in seconds it learns what colours are called, and ranks by them."""

import tempfile

from datasets import Dataset
from PIL import Image
from transformers import BertConfig, ViTConfig

from crossrank import CrossEncoder
from crossrank.models.source import DEFAULT, EMBEDDED
from crossrank.multimodal.create import create_fusion
from crossrank.training.arguments import CrossEncoderTrainingArguments
from crossrank.training.trainer import CrossEncoderTrainer

COLOURS = {"a red coat": (200, 40, 30), "a green one": (40, 160, 50), "a blue one": (30, 60, 190)}
rows = []
for shade in range(-20, 20):
    colours = [tuple(value + shade for value in colour) for colour in COLOURS.values()]
    images = [Image.new("RGB", (16, 16), colour) for colour in colours]
    for query in COLOURS:
        labels = [float(query == other) for other in COLOURS]
        rows.append({"query": query, "images": images, "labels": labels})

# Small encoders of random weights; for real pictures name folders of trained ones instead.
SIZE = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
text, document = BertConfig(**SIZE), ViTConfig(image_size=16, patch_size=8, **SIZE)
words = EMBEDDED[DEFAULT] / "tokenizer.json"
image = {"image_processor_type": "ViTImageProcessor", "size": {"height": 16, "width": 16}}
how = {"tokenizer": words, "processor": image, "modality": "image", "join": "pooled"}
with tempfile.TemporaryDirectory() as made:
    create_fusion(made, text=text, document=document, **how)
    arguments = CrossEncoderTrainingArguments(made, num_train_epochs=12, learning_rate=3e-3)
    trainer = CrossEncoderTrainer(made, arguments, Dataset.from_list(rows), "listnet")
    trainer.train()
    trainer.save_model(f"{made}/trained")
    model = CrossEncoder(f"{made}/trained", backend="torch")
    seen = [Image.new("RGB", (40, 30), colour) for colour in ("crimson", "navy", "seagreen")]
    for query in COLOURS:
        print(query, "->", [entry["corpus_id"] for entry in model.rank(query, seen)])
