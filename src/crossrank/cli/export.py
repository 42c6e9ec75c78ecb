"""``crossrank export``: a smaller, faster model file, judged before it is written."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from crossrank.cli import options
from crossrank.cli.reporting import as_table, say

if TYPE_CHECKING:
    from crossrank.evaluation.evaluation_set import EvaluationSet
    from crossrank.types import Pair

PrecisionChoice = Literal["fp32", "fp16", "bf16", "int8", "int4"]

DEMO_EVALUATED = 60
"""Questions of the demo collection that an export is judged on, when nothing else is named."""

DEMO_CALIBRATED = 150
"""Other questions of it that int8 is calibrated on: two pairs each."""

DEMO_DEPTH = 10


def export(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A folder or hub id.")],
    out: Annotated[
        Path, typer.Argument(metavar="OUT", help="The folder to write.", file_okay=False)
    ],
    *,
    precision: Annotated[
        PrecisionChoice, typer.Option("--precision", "-p", help="What to write.")
    ] = "int8",
    pairs: Annotated[
        Path | None,
        typer.Option(
            help="Pairs like yours, .jsonl, .csv or .parquet: int8 is calibrated on them.",
            show_default="the demo's",
            exists=True,
            dir_okay=False,
        ),
    ] = None,
    query_field: options.QueryField = "query",
    document_field: options.DocumentField = "document",
    evaluation: Annotated[
        Path | None,
        typer.Option(
            help="Folder to judge nDCG@10 on: queries.jsonl, corpus.jsonl, qrels.txt, run.txt.",
            show_default="the demo's collection, unless --pairs is given",
            exists=True,
            file_okay=False,
        ),
    ] = None,
    max_ndcg_loss: Annotated[
        float | None,
        typer.Option(
            min=0, max=1, help="Share of nDCG@10 that may be lost, e.g. 0.005; else it fails."
        ),
    ] = None,
    overwrite: options.Overwrite = False,
    rounds: Annotated[int, typer.Option(min=1, help="How often speed is measured.")] = 3,
) -> None:
    """Write a model in another precision, and report what that costs.

    Both models are scored in turn. OUT holds all that other tools need, and
    export-report.json. Nothing is written when more is lost than allowed.

    \b
    Examples:
      crossrank export cross-encoder/ms-marco-MiniLM-L6-v2 minilm-int8
      crossrank export ./mine ./mine-int8 --max-ndcg-loss 0.005
      crossrank export ./mine ./mine-int8 --pairs faq.csv --evaluation judged
    """
    from crossrank.evaluation.evaluation_set import EvaluationSet
    from crossrank.quantization import export as write

    judged = EvaluationSet.read(evaluation) if evaluation else None
    report = write(
        model,
        out,
        precision,
        pairs=_read(pairs, query_field, document_field) if pairs else _demo_pairs(),
        evaluation=judged or (None if pairs else _demo_evaluation()),
        max_ndcg_loss=max_ndcg_loss,
        overwrite=overwrite,
        rounds=rounds,
        progress=lambda step: say(f"{step} ..."),
    )
    typer.echo(as_table(("", "fp32", report.precision, ""), report.rows()), nl=False)
    say(f"Written to {out}.")


def _read(file: Path, query_field: str, document_field: str) -> "list[Pair]":
    from crossrank.cli.pair_files import read_pairs
    from crossrank.cli.reporting import bad_usage

    with bad_usage():
        pairs = read_pairs(file, query_field, document_field)
    return list(pairs)


def _demo_evaluation() -> "EvaluationSet":
    """Evenly spaced questions of the demo collection, each with what BM25 finds."""
    from crossrank.demo import load
    from crossrank.evaluation.evaluation_set import EvaluationSet
    from crossrank.retrieval.bm25 import BM25

    documents, queries, qrels = load()
    chosen = _evaluated(list(queries))
    ids = list(documents)
    index = BM25(list(documents.values()))
    candidates = {
        query: {ids[place]: score for place, score in index.search(queries[query], DEMO_DEPTH)}
        for query in chosen
    }
    return EvaluationSet(queries, documents, {query: qrels[query] for query in chosen}, candidates)


def _demo_pairs() -> "list[Pair]":
    """Other questions, each with the sentence that answers it and with one that hardly does."""
    import random

    from crossrank.demo import load

    documents, queries, qrels = load()
    evaluated = set(_evaluated(list(queries)))
    chance = random.Random(0)  # noqa: S311  # the same pairs in every call
    chosen = chance.sample([query for query in queries if query not in evaluated], DEMO_CALIBRATED)
    ids = list(documents)
    return [
        (queries[query], documents[document])
        for query in chosen
        for document in (next(iter(qrels[query])), chance.choice(ids))
    ]


def _evaluated(queries: list[str]) -> list[str]:
    return queries[:: len(queries) // DEMO_EVALUATED][:DEMO_EVALUATED]
