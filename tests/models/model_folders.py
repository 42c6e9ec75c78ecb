"""Parts of tiny model folders."""

import json
from pathlib import Path
from typing import Any

CONFIG = {
    "architectures": ["BertForSequenceClassification"],
    "model_type": "bert",
    "id2label": {"0": "LABEL_0"},
    "max_position_embeddings": 512,
    "pad_token_id": 0,
    "type_vocab_size": 2,
}


def write_json(file: Path, value: object) -> None:
    """Write a file of a model's folder."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(value), encoding="utf-8")


def set_config(folder: Path, **values: Any) -> None:
    """Write ``config.json`` with some values of its own."""
    write_json(folder / "config.json", CONFIG | values)
