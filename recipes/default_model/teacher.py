"""The teacher: what the backbone says of a pair without any training.

The cosine of the two texts' mean states and MaxSim (the mean over query tokens of the best cosine
with a document token), each divided by about its spread over the documents of a query.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from inputs import Encoder
from torch import Tensor
from torch.nn.functional import cosine_similarity, normalize
from transformers import BertModel

LONGEST = 96  # tokens of a text that are read
COSINE_SPREAD, MAXSIM_SPREAD = 0.10, 0.14  # MaxSim counts half

List = tuple[str, list[str]]


class Teacher:
    """Scores lists; every text is computed once for all lists scored together.

    Args:
        backbone: Folder of the bi-encoder.
        encoder: Its tokenizer.
    """

    def __init__(self, backbone: Path, encoder: Encoder) -> None:
        self.network = BertModel.from_pretrained(backbone, add_pooling_layer=False).eval()
        self.tokenizer = encoder.tokenizer

    def score(self, lists: Sequence[List]) -> Iterator[tuple[List, list[float]]]:
        """Yield each list with a score a document."""
        texts = dict.fromkeys(text for query, found in lists for text in (query, *found))
        states = self.states(list(texts))
        for query, found in lists:
            yield (query, found), [fused(states[query], states[text]) for text in found]

    @torch.inference_mode()
    def states(self, texts: list[str], batch: int = 64) -> dict[str, Tensor]:
        """Compute the final token states of each text, bf16 ``[tokens, size]``."""
        encoded = [e.ids[:LONGEST] for e in self.tokenizer.encode_batch(texts)]
        order = sorted(range(len(texts)), key=lambda i: len(encoded[i]))
        found = {}
        for start in range(0, len(order), batch):
            places = order[start : start + batch]
            ids = [torch.tensor(encoded[i]) for i in places]
            padded = torch.nn.utils.rnn.pad_sequence(ids, batch_first=True)
            mask = (padded != 0).long()
            with torch.autocast("cpu", torch.bfloat16):
                states = self.network(padded, attention_mask=mask).last_hidden_state.bfloat16()
            for i, row, tokens in zip(places, states, ids, strict=True):
                found[texts[i]] = row[: len(tokens)].clone()
        return found


def fused(query: Tensor, document: Tensor) -> float:
    """Add cosine and MaxSim of the states of two texts."""
    query, document = query.float(), document.float()
    cosine = cosine_similarity(query.mean(0), document.mean(0), dim=0)
    best = (normalize(query, dim=-1) @ normalize(document, dim=-1).T).amax(1).mean()
    return float(cosine / COSINE_SPREAD + best / MAXSIM_SPREAD)
