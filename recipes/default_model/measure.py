"""How well a model reorders BM25's best 100, and how fast."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ir_measures
import numpy as np
import openvino as ov
import torch
from inputs import Encoder, Inputs, Scorer, apply
from ir_measures import nDCG
from numpy.typing import NDArray

Run = dict[str, dict[str, float]]


@dataclass(frozen=True)
class Collection:
    """Queries, documents and judgements, and the candidates that BM25 found."""

    queries: dict[str, str]
    documents: dict[str, str]
    candidates: Run
    qrels: list[Any]

    @classmethod
    def read(cls, folder: Path, depth: int = 100) -> "Collection":
        """Read a collection in BEIR's layout with the TREC run ``runs/bm25.txt``."""
        candidates: Run = {}
        for line in (folder / "runs/bm25.txt").read_text().splitlines():
            query, _, document, rank, score, _ = line.split()
            if int(rank) <= depth:
                candidates.setdefault(query, {})[document] = float(score)
        return cls(
            queries=texts(folder / "queries.jsonl"),
            documents=texts(folder / "corpus.jsonl"),
            candidates=candidates,
            qrels=list(ir_measures.read_trec_qrels(str(folder / "qrels.txt"))),
        )

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """Every query with each of its candidates."""
        return [
            (self.queries[query], self.documents[document])
            for query, found in self.candidates.items()
            for document in found
        ]

    def ndcg(self, scores: NDArray[np.float32] | None = None) -> float:
        """nDCG@10 of the candidates in the order of these scores, or in BM25's own."""
        run = self.candidates
        if scores is not None:
            left = iter(scores.ravel().tolist())
            run = {query: {d: next(left) for d in found} for query, found in run.items()}
        return float(ir_measures.calc_aggregate([nDCG @ 10], self.qrels, run)[nDCG @ 10])


def texts(file: Path) -> dict[str, str]:
    """Read ``_id`` and ``title`` with ``text`` of a JSONL file."""
    entries = map(json.loads, file.read_text().splitlines())
    return {e["_id"]: f"{e.get('title', '')} {e['text']}".strip() for e in entries}


def torch_scorer(function: Callable[..., torch.Tensor]) -> Scorer:
    """Wrap a function of tensors."""

    def score(inputs: Inputs) -> NDArray[np.float32]:
        with torch.inference_mode():
            return function(**{n: torch.from_numpy(v) for n, v in inputs.items()}).float().numpy()

    return score


def openvino_scorer(file: Path) -> Scorer:
    """Load an ONNX file in OpenVINO, in the precision it is stored in."""
    settings = {"INFERENCE_PRECISION_HINT": "f32"}
    model = ov.Core().compile_model(file, "CPU", settings)
    return lambda inputs: model(inputs)[0]


def pairs_per_second(file: Path, encoder: Encoder, pairs: list[tuple[str, str]]) -> float:
    """Measure OpenVINO on two streams, tokenisation left out."""
    settings = {"INFERENCE_PRECISION_HINT": "f32", "NUM_STREAMS": "2"}
    queue = ov.AsyncInferQueue(ov.Core().compile_model(file, "CPU", settings), 2)
    batches = [inputs for _, inputs in encoder.batches(pairs)]
    seconds = []
    for _ in range(4):  # the first run warms up
        start = time.perf_counter()
        for inputs in batches:
            queue.start_async(inputs)
        queue.wait_all()
        seconds.append(time.perf_counter() - start)
    return len(pairs) / float(np.median(seconds[1:]))


def quality(
    scorer: Scorer, encoder: Encoder, collections: dict[str, Collection]
) -> dict[str, float]:
    """nDCG@10 of each collection."""
    return {name: c.ndcg(apply(scorer, encoder, c.pairs)) for name, c in collections.items()}
