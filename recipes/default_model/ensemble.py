"""A teacher to try: what three bi-encoders say of a pair, added up.

    CROSSRANK_DATA=FOLDER python recipes/default_model/ensemble.py

prints how it ranks the development set. None of the three saw pairs. Of each, two or three numbers
count: the cosine of the texts' vectors as it was trained to give, and MaxSim of the token states,
the mean over query tokens of the best cosine with a document token. Each number is divided by its
usual spread over the documents of a query.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import openvino
import torch
from bi_encoders import BGE, E5, MPNET, BiEncoder, unpack
from measure import trec
from numpy.typing import NDArray
from tokenizers import Tokenizer
from torch import nn
from transformers import AutoModel

from crossrank.evaluation.significance import bootstrap

LONGEST = 256  # tokens of a text that are read
BATCH, STEP = 16, 16  # texts a batch, and what its length is a multiple of

List = tuple[str, list[str]]
States = dict[str, NDArray[np.float16]]
Similarity = Callable[[NDArray[np.float32], NDArray[np.float32]], float]


def main() -> None:
    """Measure it on BM25's best 100 of dl21."""
    task = trec(Path(os.environ["CROSSRANK_DATA"]) / "trec-dl/dl21")
    lists = [
        (task.queries[query], [task.documents[document] for document in found])
        for query, found in task.candidates.items()
    ]
    scores = teach(lists, Path(__file__).parents[2] / "build/default_model")
    for measure, values in task.values(scores[~np.isnan(scores)].tolist()).items():
        print(f"{measure} {bootstrap(values)}")


def first(query: NDArray[np.float32], document: NDArray[np.float32]) -> float:
    """Compute the cosine of the first states."""
    return float(unit(query[0]) @ unit(document[0]))


def mean(query: NDArray[np.float32], document: NDArray[np.float32]) -> float:
    """Compute the cosine of the mean states."""
    return float(unit(query.mean(axis=0)) @ unit(document.mean(axis=0)))


def forth(query: NDArray[np.float32], document: NDArray[np.float32]) -> float:
    """Compute MaxSim from the query to the document."""
    return float((unit(query) @ unit(document).T).max(axis=1).mean())


def back(query: NDArray[np.float32], document: NDArray[np.float32]) -> float:
    """Compute MaxSim from the document to the query."""
    return forth(document, query)


COUNTED: dict[BiEncoder, tuple[Similarity, ...]] = {
    BGE: (first, forth),
    E5: (mean, forth),
    MPNET: (mean, forth, back),
}


def teach(lists: Sequence[List], build: Path) -> NDArray[np.float64]:
    """Score lists, ``[lists, documents]``; NaN where a list is shorter than the longest.

    Args:
        lists: Queries, each with its documents.
        build: Where bi-encoders are unpacked to.
    """
    parts = [
        spread_out(measured(lists, bi_encoder, similarities, build))
        for bi_encoder, similarities in COUNTED.items()
    ]
    return np.sum(parts, axis=0)


def measured(
    lists: Sequence[List],
    bi_encoder: BiEncoder,
    similarities: Sequence[Similarity],
    build: Path,
) -> NDArray[np.float64]:
    """Compute similarities of one bi-encoder, ``[similarities, lists, documents]``."""
    ask, answer = bi_encoder.prefixes
    texts = dict.fromkeys(t for q, found in lists for t in (ask + q, *(answer + d for d in found)))
    states = token_states(unpack(bi_encoder, build), list(texts))
    longest = max(len(found) for _, found in lists)
    values = np.full((len(similarities), len(lists), longest), np.nan)
    for row, (query, found) in enumerate(lists):
        asked = states[ask + query].astype(np.float32)
        for column, document in enumerate(found):
            answered = states[answer + document].astype(np.float32)
            values[:, row, column] = [alike(asked, answered) for alike in similarities]
    return values


def spread_out(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Centre each similarity on its lists, divide by its mean spread, and add all up."""
    centred = values - np.nanmean(values, axis=2, keepdims=True)
    spreads = np.nanmean(np.nanstd(centred, axis=2), axis=1)
    summed: NDArray[np.float64] = (centred / spreads[:, None, None]).sum(axis=0)
    return summed


def token_states(folder: Path, texts: list[str]) -> States:
    """Compute the final token states of texts, in bf16 where the processor can."""
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(LONGEST)
    padding = tokenizer.token_to_id("<pad>") or 0  # BERT's is 0
    ids = [encoding.ids for encoding in tokenizer.encode_batch(texts)]
    order = sorted(range(len(texts)), key=lambda i: len(ids[i]), reverse=True)
    found: States = {}

    def keep(request: openvino.InferRequest, places: list[int]) -> None:
        for place, states in zip(places, request.get_output_tensor(0).data, strict=True):
            found[texts[place]] = states[: len(ids[place])].astype(np.float16)

    queue = openvino.AsyncInferQueue(compiled(folder))
    queue.set_callback(keep)
    for places in batches(order):
        length = -(-len(ids[places[0]]) // STEP) * STEP
        rows = np.full((len(places), length), padding, np.int64)
        mask = np.zeros_like(rows)
        for row, place in enumerate(places):
            rows[row, : len(ids[place])] = ids[place]
            mask[row, : len(ids[place])] = 1
        queue.start_async([rows, mask], places)
    queue.wait_all()
    return found


def batches(order: list[int]) -> Iterator[list[int]]:
    """Cut an order into batches."""
    for start in range(0, len(order), BATCH):
        yield order[start : start + BATCH]


def compiled(folder: Path) -> openvino.CompiledModel:
    """Compile an encoder for OpenVINO."""
    ids = torch.ones(2, STEP, dtype=torch.long)
    model = openvino.convert_model(Encoder(folder), example_input=(ids, ids))
    hints = {"INFERENCE_PRECISION_HINT": "bf16", "PERFORMANCE_HINT": "THROUGHPUT"}
    return openvino.Core().compile_model(model, "CPU", hints)


class Encoder(nn.Module):
    """An encoder with tensors alone going in and out, as exporters want it."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.network = AutoModel.from_pretrained(folder, add_pooling_layer=False).eval()

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """Compute the final states."""
        states: torch.Tensor = self.network(
            input_ids, attention_mask=attention_mask
        ).last_hidden_state
        return states


def unit(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Scale the last axis to length 1."""
    scaled: NDArray[np.float32] = values / np.linalg.norm(values, axis=-1, keepdims=True)
    return scaled


if __name__ == "__main__":
    main()
