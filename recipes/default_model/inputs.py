"""Pairs of texts to the model's inputs."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer
from tokenizers.processors import TemplateProcessing

MAX_LENGTH = 512

Inputs = dict[str, NDArray[np.int64]]
Scorer = Callable[[Inputs], NDArray[np.float32]]


def write_tokenizer(source: Path, target: Path) -> None:
    """Save a folder's tokenizer with a pair form in which both sides look like single texts."""
    tokenizer = Tokenizer.from_file(str(source / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    tokenizer.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] [CLS]:1 $B:1 [SEP]:1",
        special_tokens=[(token, tokenizer.token_to_id(token)) for token in ("[CLS]", "[SEP]")],
    )
    tokenizer.save(str(target))


class Encoder:
    """Turns pairs into padded batches, longest pairs first.

    Args:
        file: The ``tokenizer.json`` of the model.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        self.tokenizer = Tokenizer.from_file(str(file))
        self.tokenizer.enable_truncation(MAX_LENGTH)

    def batches(
        self, pairs: Sequence[tuple[str, str]], tokens: int = 4096
    ) -> Iterator[tuple[list[int], Inputs]]:
        """Yield (places of the pairs, their inputs), at most ``tokens`` a batch."""
        encodings = self.tokenizer.encode_batch(list(pairs))
        order = sorted(range(len(pairs)), key=lambda i: len(encodings[i].ids), reverse=True)
        while order:
            length = len(encodings[order[0]].ids)
            size = max(1, tokens // length)
            places, order = order[:size], order[size:]
            rows = {
                "input_ids": [encodings[i].ids for i in places],
                "attention_mask": [encodings[i].attention_mask for i in places],
                "token_type_ids": [encodings[i].type_ids for i in places],
            }
            yield places, {name: padded(values, length) for name, values in rows.items()}


def padded(rows: list[list[int]], length: int) -> NDArray[np.int64]:
    """Fill rows with zeros on the right."""
    return np.array([row + [0] * (length - len(row)) for row in rows], dtype=np.int64)


def apply(
    scorer: Scorer, encoder: Encoder, pairs: Sequence[tuple[str, str]]
) -> NDArray[np.float32]:
    """Score pairs, ``[pairs, outputs]``, in their own order."""
    found: dict[int, NDArray[np.float32]] = {}
    for places, inputs in encoder.batches(pairs):
        found.update(zip(places, scorer(inputs), strict=True))
    return np.stack([found[i] for i in range(len(pairs))])
