"""``crossrank rank``: order documents by relevance to a query."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from crossrank.cli import options
from crossrank.cli.reporting import bad_usage, say
from crossrank.text_files import (
    name_of,
    read_lines,
    read_objects,
    stem_suffix,
    text_field,
)

Format = Literal["table", "json", "jsonl", "tsv"]
LongDocumentsChoice = Literal["truncate", "max", "first", "mean_top3"]
SHOWN_CHARACTERS = 240
"""How much of a document the table shows."""


def rank(
    query: Annotated[str, typer.Argument(metavar="QUERY", help="The query.")],
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            help="Documents, one a line; JSONL when the name ends in .jsonl; - for stdin.",
            dir_okay=False,
            callback=options.existing,
        ),
    ],
    *,
    field: Annotated[
        str | None,
        typer.Option(help="Read JSONL, and take documents from this field.", show_default="text"),
    ] = None,
    format: Annotated[  # noqa: A002  # names the option
        Format | None,
        typer.Option("--format", "-f", show_default="table on a terminal, else tsv"),
    ] = None,
    top_k: Annotated[
        int | None, typer.Option("--top-k", "-k", min=1, help="Most documents to show.")
    ] = None,
    calibrated: options.Calibrated = False,
    model: options.Model = None,
    backend: options.Backend = "auto",
    precision: options.Precision = "auto",
    device: options.Device = None,
    max_length: options.MaxLength = None,
    truncation: options.Truncation = None,
    long_documents: Annotated[
        LongDocumentsChoice,
        typer.Option(help="Cut long documents, or score windows of them and combine these."),
    ] = "truncate",
    window: Annotated[
        int | None,
        typer.Option(min=1, help="Tokens a window.", show_default="what fits beside the query"),
    ] = None,
    stride: Annotated[
        int | None,
        typer.Option(
            min=1, help="Tokens from one window to the next.", show_default="half a window"
        ),
    ] = None,
    cache: options.Cache = None,
) -> None:
    """Rank the documents of a file by relevance to a query.

    Documents are named by their line in FILE, blank lines left out.
    JSON keeps the fields of JSONL input, and sets line, rank, score and, of long documents, span.
    TSV is rank, score, line and text, without a header.

    \b
    Examples:
      crossrank rank "how do magnets work" documents.txt --top-k 10
      crossrank rank "sparse attention" papers.jsonl --field abstract | head
      cat notes.txt | crossrank rank "what I promised" - --format json
    """
    lines, documents, rows = _read(file, field)
    if not documents:
        raise typer.BadParameter(f"{name_of(file)} holds no documents: one a line is required.")
    with bad_usage():
        from crossrank.long_documents import check_long_documents

        check_long_documents(long_documents, window, stride)
    encoder = options.load_model(
        model,
        backend=backend,
        precision=precision,
        device=device,
        max_length=max_length,
        truncation=truncation,
        cache=cache,
    )
    with encoder:
        ranking = encoder.rank(
            query,
            documents,
            top_k,
            return_truncation=True,
            long_documents=long_documents,
            window=window,
            stride=stride,
            calibrated=calibrated,
        )
    entries = []
    for position, entry in enumerate(ranking, 1):
        index = entry["corpus_id"]
        span = {"span": entry["span"]} if "span" in entry else {}
        ours = {"line": lines[index], "rank": position, "score": _fp32(entry["score"]), **span}
        entries.append((rows[index] | ours, documents[index]))
    chosen = format or ("table" if sys.stdout.isatty() else "tsv")
    sys.stdout.writelines(_WRITERS[chosen](entries))
    _say_what_was_cut([entry["truncated_tokens"] for entry in ranking], long_documents)


Entries = list[tuple[dict[str, Any], str]]
"""Each document's fields with ours, and its text; best first."""


def _read(file: Path, field: str | None) -> tuple[list[int], list[str], list[dict[str, Any]]]:
    """Read line numbers, documents and the fields to keep; blank lines are left out."""
    if field is not None or stem_suffix(file) in (".jsonl", ".ndjson"):
        name = field or "text"
        found = [
            (number, text_field(file, f"line {number}", row, name), row)
            for number, row in read_objects(file)
        ]
    else:
        found = [
            (number, text, {"text": text})
            for number, line in read_lines(file)
            if (text := line.strip())
        ]
    numbers, documents, rows = zip(*found, strict=True) if found else ((), (), ())
    return list(numbers), list(documents), list(rows)


def _fp32(score: float) -> float:
    """The shortest number that is this score in fp32."""
    import numpy as np

    return float(str(np.float32(score)))


def _jsonl(entries: Entries) -> Iterator[str]:
    for row, _ in entries:
        yield json.dumps(row, ensure_ascii=False) + "\n"


def _json(entries: Entries) -> Iterator[str]:
    yield json.dumps([row for row, _ in entries], ensure_ascii=False, indent=2) + "\n"


def _tsv(entries: Entries) -> Iterator[str]:
    for row, text in entries:
        yield f"{row['rank']}\t{row['score']}\t{row['line']}\t{' '.join(text.split())}\n"


def _table(entries: Entries) -> Iterator[str]:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table("#", "score", "line", "document", box=None, header_style="bold", padding=(0, 1))
    for column in table.columns[:3]:
        column.justify = "right"
        column.no_wrap = True
    for row, text in entries:
        start, end = row.get("span", (0, len(text)))
        shown = " ".join(text[start:end].split())
        if len(shown) > SHOWN_CHARACTERS:
            shown = shown[:SHOWN_CHARACTERS] + "…"
        table.add_row(str(row["rank"]), f"{row['score']:.4f}", str(row["line"]), Text(shown))
    console = Console()
    with console.capture() as captured:  # written by us, who know what to do about a closed pipe
        console.print(table)
    yield captured.get()


_WRITERS = {"table": _table, "json": _json, "jsonl": _jsonl, "tsv": _tsv}


def _say_what_was_cut(cut: list[int], long_documents: str) -> None:
    count = sum(tokens > 0 for tokens in cut)
    if count:
        hint = "; --long-documents max reads all of them" if long_documents == "truncate" else ""
        say(
            f"Note: {count} of these {len(cut)} documents were longer than the model reads: "
            f"{sum(cut)} tokens were cut{hint}."
        )
