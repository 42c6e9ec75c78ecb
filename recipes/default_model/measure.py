"""How well a model reorders what a first stage found, and how fast."""

import csv
import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import ir_measures
import numpy as np
import openvino as ov
import torch
from inputs import Encoder, Inputs, Scorer, apply
from ir_measures import AP, RR, ScoredDoc, nDCG
from numpy.typing import NDArray

from crossrank.evaluation.significance import bootstrap
from crossrank.retrieval.bm25 import BM25

Run = dict[str, dict[str, float]]


@dataclass(frozen=True)
class Collection:
    """Queries, documents and judgements, and the candidates that a first stage found."""

    queries: dict[str, str]
    documents: dict[str, str]
    candidates: Run
    qrels: list[Any]
    measures: tuple[Any, ...] = (nDCG @ 10,)

    def head(self, pairs: int | None) -> "Collection":
        """Leave out the queries after so many pairs; nothing by default."""
        kept: Run = {}
        for query, found in self.candidates.items():
            if pairs is None or sum(map(len, kept.values())) < pairs:
                kept[query] = found
        qrels = [judged for judged in self.qrels if judged.query_id in kept]
        return replace(self, candidates=kept, qrels=qrels)

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """Every query with each of its candidates."""
        return [
            (self.queries[query], self.documents[document])
            for query, found in self.candidates.items()
            for document in found
        ]

    def values(self, scores: Sequence[float] | None = None) -> dict[str, list[float]]:
        """Compute each measure, a value a query, of these scores or of the first stage's."""
        left = iter(self.scores() if scores is None else scores)
        run = [
            ScoredDoc(query, document, next(left))
            for query, found in self.candidates.items()
            for document in found
        ]
        values: dict[str, list[float]] = {str(measure): [] for measure in self.measures}
        for metric in ir_measures.iter_calc(list(self.measures), self.qrels, run):
            values[str(metric.measure)].append(metric.value)
        return values

    def scores(self) -> list[float]:
        """Give the first stage's scores."""
        return [score for found in self.candidates.values() for score in found.values()]


def collections(data: Path) -> dict[str, Collection]:
    """Read all that the card reports on."""
    return {
        "dl21": trec(data / "trec-dl/dl21"),
        "dl19": trec(data / "trec-dl/dl19"),
        "scifact": scifact(data / "scifact"),
        "wikiqa": wikiqa(data / "answer-selection/wikiqa-test.tsv"),
    }


def trec(folder: Path, depth: int = 100) -> Collection:
    """Read a collection with the TREC run ``runs/bm25.txt``."""
    candidates: Run = {}
    for line in (folder / "runs/bm25.txt").read_text().splitlines():
        query, _, document, rank, score, _ = line.split()
        if int(rank) <= depth:
            candidates.setdefault(query, {})[document] = float(score)
    qrels = list(ir_measures.read_trec_qrels(str(folder / "qrels.txt")))
    return Collection(
        texts(folder / "queries.jsonl"), texts(folder / "corpus.jsonl"), candidates, qrels
    )


def scifact(folder: Path, depth: int = 50) -> Collection:
    """Read the test claims of SciFact with the best abstracts of crossrank's own BM25."""
    queries, documents = texts(folder / "queries.jsonl"), texts(folder / "corpus.jsonl")
    rows = list(csv.DictReader((folder / "qrels/test.tsv").open(), delimiter="\t"))
    qrels = [ir_measures.Qrel(r["query-id"], r["corpus-id"], int(r["score"])) for r in rows]
    names, index = list(documents), BM25(list(documents.values()))
    judged = dict.fromkeys(row["query-id"] for row in rows)
    candidates = {
        query: {names[place]: score for place, score in index.search(queries[query], depth)}
        for query in judged
    }
    return Collection(queries, documents, candidates, qrels)


def wikiqa(file: Path) -> Collection:
    """Read questions that have an answer, with all their sentences; they have no first stage."""
    questions: dict[str, dict[str, int]] = {}
    for line in file.read_text().splitlines():
        question, sentence, label = line.split("\t")
        questions.setdefault(question, {})[sentence] = int(label)
    answered = {q: labels for q, labels in questions.items() if any(labels.values())}
    return Collection(
        {q: q for q in answered},
        {sentence: sentence for labels in answered.values() for sentence in labels},
        {q: dict.fromkeys(labels, 0.0) for q, labels in answered.items()},
        [ir_measures.Qrel(q, s, n) for q, labels in answered.items() for s, n in labels.items()],
        (AP, RR),
    )


def texts(file: Path) -> dict[str, str]:
    """Read ``_id`` and ``title`` with ``text`` of a JSONL file."""
    entries = map(json.loads, file.read_text().splitlines())
    return {e["_id"]: f"{e.get('title', '')} {e['text']}".strip() for e in entries}


def quality(scorer: Scorer, encoder: Encoder, collection: Collection) -> Iterator[tuple[str, str]]:
    """Yield each measure with its mean and the interval that holds it with 95 %."""
    scores = apply(scorer, encoder, collection.pairs).ravel().tolist()
    for measure, values in collection.values(scores).items():
        found = bootstrap(values)
        yield measure, f"{np.mean(values):.4f} [{found.low:.3f}, {found.high:.3f}]"


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
