"""The teacher: what the backbone says of a pair without any training.

The cosine of the two texts' mean states and MaxSim (the mean over query tokens of the best cosine
with a document token), each divided by about its spread over the documents of a query.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from inputs import Encoder
from tokenizers import Tokenizer
from torch import Tensor
from torch.nn.functional import cosine_similarity, normalize
from torch.nn.utils.rnn import pad_sequence
from transformers import BertModel, PreTrainedModel

LONGEST = 96  # tokens of a text that are read
COSINE_SPREAD, MAXSIM_SPREAD = 0.10, 0.14  # MaxSim counts half

List = tuple[str, list[str]]
States = dict[str, Tensor]


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

    def states(self, texts: list[str]) -> States:
        """Compute the final token states of each text, bf16 ``[tokens, size]``."""
        return token_states(self.network, self.tokenizer, texts, LONGEST)


@torch.inference_mode()
def token_states(
    network: PreTrainedModel, tokenizer: Tokenizer, texts: list[str], longest: int, batch: int = 64
) -> States:
    """Compute the final states, bf16 ``[tokens, size]``, of each text's first tokens."""
    encoded = [e.ids[:longest] for e in tokenizer.encode_batch(texts)]
    order = sorted(range(len(texts)), key=lambda i: len(encoded[i]))
    found = {}
    for start in range(0, len(order), batch):
        places = order[start : start + batch]
        ids = [torch.tensor(encoded[i]) for i in places]
        padded = pad_sequence(ids, batch_first=True)
        mask = pad_sequence([torch.ones_like(row) for row in ids], batch_first=True)
        with torch.autocast("cpu", torch.bfloat16):
            states = network(padded, attention_mask=mask).last_hidden_state.bfloat16()
        for i, row, tokens in zip(places, states, ids, strict=True):
            found[texts[i]] = row[: len(tokens)].clone()
    return found


def fused(query: Tensor, document: Tensor) -> float:
    """Add cosine and MaxSim of the states of two texts."""
    query, document = query.float(), document.float()
    return mean(query, document) / COSINE_SPREAD + forth(query, document) / MAXSIM_SPREAD


def mean(query: Tensor, document: Tensor) -> float:
    """Compute the cosine of the mean states."""
    return float(cosine_similarity(query.mean(0), document.mean(0), dim=0))


def forth(query: Tensor, document: Tensor) -> float:
    """Compute MaxSim from the query to the document."""
    return float((normalize(query, dim=-1) @ normalize(document, dim=-1).T).amax(1).mean())
