"""Rerank the demo's collection and print what it gained."""

import time
from dataclasses import dataclass
from itertools import islice

import numpy as np
from rich.console import Console
from rich.table import Table
from rich.text import Text

from crossrank.cross_encoder import CrossEncoder
from crossrank.demo.collection import load
from crossrank.evaluation.measures import measure
from crossrank.optional import require
from crossrank.retrieval.bm25 import BM25
from crossrank.types import Qrels, Run

MEASURES = ["RR@10", "nDCG@10"]
TITLES = {"RR@10": "MRR@10", "nDCG@10": "nDCG@10"}

Rankings = dict[str, list[str]]
"""The ids of each query's documents, best first."""


@dataclass(frozen=True)
class DemoResult:
    """What the demo measured.

    Attributes:
        before: The measures of BM25's order.
        after: The measures of the reranked order.
        pairs: How many pairs were scored.
        seconds: How long that took, model loading aside.
    """

    before: dict[str, float]
    after: dict[str, float]
    pairs: int
    seconds: float


def run_demo(
    *,
    model: CrossEncoder | None = None,
    depth: int = 10,
    queries: int | None = None,
    console: Console | None = None,
) -> DemoResult:
    """Search the demo's collection with BM25, rerank, and print what that changed.

    Args:
        model: What reranks; the embedded model by default.
        depth: How many documents of each query are reranked.
        queries: Use so many of the queries, evenly spaced; all 1,190 by default.
        console: Where to print; the terminal by default.

    Returns:
        The numbers that were printed.

    Raises:
        MissingDependencyError: bm25s or ir-measures is not installed.
    """
    for package in ("bm25s", "ir_measures"):
        require(package, extra="demo")
    console = console or Console()
    documents, every_query, qrels = load()
    texts = _evenly(every_query, queries or len(every_query))
    qrels = {query: qrels[query] for query in texts}
    console.print(
        f"[bold]XQuAD English[/bold]: {len(documents):,} sentences, {len(texts):,} questions. "
        f"BM25 finds {depth} sentences for each question, and crossrank reranks them."
    )
    before = _search(documents, texts, depth)
    model = model or CrossEncoder()
    start = time.perf_counter()
    after = _rerank(model, documents, texts, before)
    seconds = time.perf_counter() - start
    result = DemoResult(
        before=measure(_as_run(before), qrels, MEASURES),
        after=measure(_as_run(after), qrels, MEASURES),
        pairs=sum(map(len, before.values())),
        seconds=seconds,
    )
    _print_changes(console, documents, texts, before, after, qrels)
    _print_measures(console, result)
    return result


def _evenly(texts: dict[str, str], count: int) -> dict[str, str]:
    """So many of the texts, from all parts of the collection."""
    items, count = list(texts.items()), min(count, len(texts))
    return dict(items[number * len(items) // count] for number in range(count))


def _search(documents: dict[str, str], queries: dict[str, str], depth: int) -> Rankings:
    ids, index = list(documents), BM25(list(documents.values()))
    return {
        query: [ids[position] for position, _ in index.search(text, depth)]
        for query, text in queries.items()
    }


def _rerank(
    model: CrossEncoder, documents: dict[str, str], queries: dict[str, str], rankings: Rankings
) -> Rankings:
    """One call for the pairs of all queries, so that batches are full."""
    pairs = [(queries[q], documents[d]) for q, ranking in rankings.items() for d in ranking]
    scores = iter(model.predict(pairs, activation_fn="identity"))
    reranked = {}
    for query, ranking in rankings.items():
        order = np.argsort([-score for score in islice(scores, len(ranking))], kind="stable")
        reranked[query] = [ranking[position] for position in order]
    return reranked


def _as_run(rankings: Rankings) -> Run:
    """Scores that order documents as ranked, so that measuring breaks no ties of its own."""
    return {
        query: {document: -float(rank) for rank, document in enumerate(ranking)}
        for query, ranking in rankings.items()
    }


def _first_relevant(ranking: list[str], grades: dict[str, int]) -> int:
    """The rank of the first relevant document; one below the last when there is none."""
    ranks = (rank for rank, document in enumerate(ranking, start=1) if grades.get(document, 0) > 0)
    return next(ranks, len(ranking) + 1)


def _print_changes(
    console: Console,
    documents: dict[str, str],
    queries: dict[str, str],
    before: Rankings,
    after: Rankings,
    qrels: Qrels,
) -> None:
    """How many answers moved, and one that came from below the third rank to the first."""
    ranks = {
        query: (_first_relevant(before[query], grades), _first_relevant(after[query], grades))
        for query, grades in qrels.items()
    }
    for query, (old, new) in ranks.items():
        if 3 < old <= len(before[query]) and new == 1:
            console.print(Text.assemble("\nA question that gained: ", (queries[query], "bold")))
            console.print(_example(documents, before[query], after[query], qrels[query]))
            break
    better = sum(new < old for old, new in ranks.values())
    worse = sum(new > old for old, new in ranks.values())
    console.print(
        f"The answer moved up for {better:,} questions, down for {worse:,}, and stayed for "
        f"{len(ranks) - better - worse:,}."
    )


def _example(
    documents: dict[str, str], before: list[str], after: list[str], grades: dict[str, int]
) -> Table:
    table = Table("", "BM25", "reranked", caption="green: holds the answer", show_lines=True)
    for rank, row in enumerate(zip(before[:5], after[:5], strict=True), start=1):
        cells = [Text(documents[entry], style="green" if entry in grades else "") for entry in row]
        table.add_row(str(rank), *cells)
    return table


def _print_measures(console: Console, result: DemoResult) -> None:
    table = Table("over all questions", "BM25", "reranked", "gain")
    for name in MEASURES:
        old, new = result.before[name], result.after[name]
        table.add_row(TITLES[name], f"{old:.3f}", f"{new:.3f}", f"{new - old:+.3f}")
    console.print(table)
    console.print(
        f"Scored {result.pairs:,} pairs in {result.seconds:.1f} s: "
        f"[bold]{result.pairs / result.seconds:,.0f} pairs per second[/bold]."
    )
