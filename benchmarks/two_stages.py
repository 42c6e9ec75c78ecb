"""Bi-encoder against cross-encoder: quality, time, and where one overtakes the other.

    python benchmarks/two_stages.py --bi-encoder FOLDER

On ``trec-dl/dl21``: all 10,553 passages are searched by BM25 and by the bi-encoder, and the best
100 of each are reranked by the embedded model; those of BM25 also to other depths. Quality is
nDCG@10 with 95 % intervals over queries.
Time is that of one query on two cores. The crossover is the number of documents below which it is
faster to read all of them with the cross-encoder than to embed them once for a single query.
"""

import argparse
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from data import data_folder
from settings import pin

from crossrank import CrossEncoder
from crossrank.evaluation.evaluation_set import EvaluationSet
from crossrank.evaluation.measures import measure_per_query
from crossrank.evaluation.significance import bootstrap, compare
from crossrank.retrieval.base import Hits
from crossrank.retrieval.bm25 import BM25
from crossrank.retrieval.dense import BiEncoder
from crossrank.retrieval.pipeline import RetrieveAndRerank
from crossrank.types import Floats, Pair, Run

MEASURE = "nDCG@10"
DEPTH = 100
DEPTHS = (50, 100, 300, 1000)
SIZES = (10, 30, 100, 300, 1000)


class Vectors:
    """A first stage by vectors in memory."""

    def __init__(self, encoder: BiEncoder, documents: Sequence[str]) -> None:
        self._encoder = encoder
        self._vectors = encoder.encode(documents, role="document")

    def search_many(self, queries: Sequence[str], k: int) -> list[Hits]:
        """Search for each query."""
        scores = self._encoder.encode(queries, role="query") @ self._vectors.T
        order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
        return [
            [(position, float(row[position])) for position in best]
            for row, best in zip(scores, order.tolist(), strict=True)
        ]

    def score(self, pairs: Sequence[Pair]) -> Floats:
        """Score pairs."""
        return self._encoder.score(pairs)


def main() -> None:
    """Measure, and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bi-encoder", type=Path, required=True)
    chosen = parser.parse_args()
    pin()
    task = EvaluationSet.read(data_folder() / "trec-dl/dl21")
    model, encoder = CrossEncoder(), BiEncoder.load(chosen.bi_encoder)
    ids, documents = list(task.documents), list(task.documents.values())
    start = time.perf_counter()
    dense = Vectors(encoder, documents)
    print(f"embedding {len(documents)} passages: {time.perf_counter() - start:.0f} s")
    quality(task, {"BM25": BM25(documents), "bi-encoder": dense}, model, ids, documents)
    crossover(task, model, encoder, documents)
    with TemporaryDirectory() as folder, CrossEncoder(cache=Path(folder, "scores")) as cached:
        depths(task, BM25(documents), cached, ids, documents)


def quality(
    task: EvaluationSet,
    stages: dict[str, BM25 | Vectors],
    model: CrossEncoder,
    ids: list[str],
    documents: list[str],
) -> None:
    """Compare first stages, alone and reranked."""
    queries = [query for query in task.qrels if query in task.queries]
    texts = [task.queries[query] for query in queries]
    values: dict[str, list[float]] = {}
    for name, stage in stages.items():
        seconds: list[float] = []
        found = [timed(seconds, stage.search_many, [text], DEPTH) for text in texts]
        values[name] = scores_of(task, queries, ids, [hits for (hits,) in found])
        say(name, values[name], seconds)
        search = RetrieveAndRerank(stage, model, documents, depth=DEPTH, top_k=DEPTH)
        seconds = []
        results = [timed(seconds, search, text) for text in texts]
        ranked = [[(hit.id, hit.score or 0.0) for hit in result.hits] for result in results]
        values[f"{name}, reranked"] = scores_of(task, queries, ids, ranked)
        say(f"{name}, reranked", values[f"{name}, reranked"], seconds)
    for first, second in (
        ("BM25", "BM25, reranked"),
        ("bi-encoder", "bi-encoder, reranked"),
        ("bi-encoder", "BM25, reranked"),
    ):
        found = compare(values[first], values[second])
        print(f"{second} less {first}: {found.difference}, p = {found.p_value:.4f}")


def depths(
    task: EvaluationSet, stage: BM25, model: CrossEncoder, ids: list[str], documents: list[str]
) -> None:
    """Compare how many of BM25's documents are reranked; the cache scores each pair once."""
    queries = [query for query in task.qrels if query in task.queries]
    values: dict[int, list[float]] = {}
    for depth in DEPTHS:
        search = RetrieveAndRerank(stage, model, documents, depth=depth, top_k=10)
        results = search.search_many([task.queries[query] for query in queries])
        ranked = [[(hit.id, hit.score or 0.0) for hit in result.hits] for result in results]
        values[depth] = scores_of(task, queries, ids, ranked)
        print(f"BM25, reranked to {depth:5} {bootstrap(values[depth])}", flush=True)
    found = compare(values[DEPTH], values[DEPTHS[-1]])
    print(f"{DEPTHS[-1]} less {DEPTH}: {found.difference}, p = {found.p_value:.4f}")


def timed(seconds: list[float], work: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Do work, and note how long it took."""
    start = time.perf_counter()
    result = work(*args, **kwargs)
    seconds.append(time.perf_counter() - start)
    return result


def scores_of(
    task: EvaluationSet, queries: list[str], ids: list[str], found: list[Hits]
) -> list[float]:
    """Measure rankings."""
    run: Run = {
        query: {ids[position]: score for position, score in hits}
        for query, hits in zip(queries, found, strict=True)
    }
    each = measure_per_query(run, {query: task.qrels[query] for query in queries}, [MEASURE])
    return [each[query][MEASURE] for query in queries]


def say(name: str, values: list[float], seconds: list[float]) -> None:
    """Print a row."""
    print(f"{name:24} {bootstrap(values)}  {1000 * median(seconds):.0f} ms a query", flush=True)


def crossover(
    task: EvaluationSet, model: CrossEncoder, encoder: BiEncoder, documents: list[str]
) -> None:
    """Time one query over documents that nothing is known of yet."""
    query = next(iter(task.queries.values()))
    rows = []
    for size in SIZES:
        some = documents[:size]
        both: tuple[list[float], list[float], list[float]] = ([], [], [])
        for _ in range(3):
            timed(both[0], model.rank, query, some)
            timed(both[1], encoder.encode, some, role="document")
            timed(both[2], encoder.encode, [query], role="query")
        rows.append(
            {
                "documents": size,
                "cross_encoder_ms": round(1000 * median(both[0]), 1),
                "embedding_ms": round(1000 * median(both[1]), 1),
                "query_ms": round(1000 * median(both[2]), 1),
            }
        )
    print(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
