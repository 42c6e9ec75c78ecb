"""``crossrank search``: search an index, and rerank what was found."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from crossrank.cli import options
from crossrank.cli.index import INDEX, IndexFolder
from crossrank.cli.reporting import say

if TYPE_CHECKING:
    from crossrank.cross_encoder import CrossEncoder
    from crossrank.retrieval.index import SearchIndex
    from crossrank.retrieval.pipeline import SearchResult

SHOWN = 300
"""Characters of a chunk that the list shows."""


def search(
    query: Annotated[str, typer.Argument(metavar="QUERY", help="What to search for.")],
    *,
    index: IndexFolder = INDEX,
    top_k: Annotated[int, typer.Option("--top-k", "-k", min=1, help="Most chunks to show.")] = 5,
    depth: Annotated[int, typer.Option(min=1, help="How many chunks are reranked.")] = 100,
    budget_ms: Annotated[
        float | None,
        typer.Option(
            min=0,
            help="Rerank only as deep as this many milliseconds allow: 32 chunks at least, if the "
            "first stage leaves any time.",
        ),
    ] = None,
    unique: Annotated[
        float | None,
        typer.Option(min=0.01, max=1, help="Leave out what shares so much with something better."),
    ] = None,
    format: Annotated[  # noqa: A002  # names the option
        Literal["text", "jsonl"], typer.Option("--format", "-f")
    ] = "text",
    model: options.Model = None,
    backend: options.Backend = "auto",
    precision: options.Precision = "auto",
    device: options.Device = None,
    max_length: options.MaxLength = None,
    cache: options.Cache = None,
) -> None:
    """Search what crossrank index has indexed.

    \b
    Examples:
      crossrank search "what is a calibrated score"
      crossrank search "refunds" --index papers-index -k 3 --format jsonl
    """
    from crossrank.retrieval.index import SearchIndex
    from crossrank.retrieval.pipeline import RetrieveAndRerank

    opened = SearchIndex(Path(index))
    encoder = options.load_model(
        model,
        backend=backend,
        precision=precision,
        device=device,
        max_length=max_length,
        cache=cache,
    )
    pipeline = RetrieveAndRerank(
        opened.retriever, encoder, opened.texts, depth=depth, top_k=top_k, unique=unique
    )
    with encoder:
        result = pipeline(query, budget_ms=budget_ms)
        rows = _rows(opened, result, encoder)
    sys.stdout.writelines(f"{line}\n" for line in _WRITERS[format](rows))
    stages = ", ".join(f"{name} {1000 * value:.0f} ms" for name, value in result.seconds.items())
    say(f"{len(opened):,} chunks; {result.depth} of them reranked; {stages}.")


Rows = list[dict[str, Any]]


def _rows(index: "SearchIndex", result: "SearchResult", model: "CrossEncoder") -> Rows:
    """Say of each hit where it is; scores are the model's, after its activation."""
    import numpy as np

    logits = np.array([[hit.score] for hit in result.hits if hit.score is not None], np.float32)
    scores = iter(model.finisher()(logits).tolist() if len(logits) else [])
    rows: Rows = []
    for rank, hit in enumerate(result.hits, 1):
        found = index[hit.id]
        chunk = found.chunk
        rows.append(
            {
                "rank": rank,
                "score": None if hit.score is None else next(scores),
                "first_stage_rank": hit.first_stage_rank,
                "path": found.path,
                "place": chunk.place,
                "heading": chunk.heading,
                "start": chunk.start,
                "end": chunk.end,
                "text": chunk.text,
            }
        )
    return rows


def _jsonl(rows: Rows) -> list[str]:
    return [json.dumps(row, ensure_ascii=False) for row in rows]


def _text(rows: Rows) -> list[str]:
    lines = []
    for row in rows:
        score = "not reranked" if row["score"] is None else f"{row['score']:.2f}"
        where = ", ".join(filter(None, [row["path"], row["place"], row["heading"]]))
        shown = " ".join(row["text"].split())
        lines.append(f"{row['rank']}. {where} ({score})")
        lines.append(f"   {shown[:SHOWN]}{'…' if len(shown) > SHOWN else ''}")
    return lines


_WRITERS = {"text": _text, "jsonl": _jsonl}
