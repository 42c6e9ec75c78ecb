"""A tiny model folder without any weights library."""

from pathlib import Path

import pytest
from tests.models.model_folders import CONFIG, write_json
from tokenizers import Tokenizer, models, pre_tokenizers, processors


@pytest.fixture
def model_folder(tmp_path: Path) -> Path:
    """A BERT classifier's folder: ``config.json``, ``tokenizer.json``, no weights."""
    folder = tmp_path / "model"
    folder.mkdir()
    write_json(folder / "config.json", CONFIG)
    write_json(folder / "tokenizer_config.json", {"model_max_length": 10**30, "pad_token": "[PAD]"})
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "a", "b", "c", "yes", "no", "0", "1", "Yes"]
    vocabulary = {word: index for index, word in enumerate(words)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder
