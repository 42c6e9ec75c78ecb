"""``crossrank index``: make a folder of documents searchable."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from crossrank.cli.reporting import bad_usage, say

INDEX = Path("crossrank-index")

IndexFolder = Annotated[Path, typer.Option(file_okay=False, help="Folder of the index.")]


def index(
    documents: Annotated[
        Path,
        typer.Argument(
            metavar="DOCS",
            exists=True,
            help="A folder of text, Markdown, HTML, PDF, DOCX, JSONL, CSV and TSV files, or one "
            "file.",
        ),
    ],
    *,
    index: IndexFolder = INDEX,
    retriever: Annotated[
        Literal["bm25", "dense", "both"] | None,
        typer.Option(help="Search by words, by vectors, or by both.", show_default="bm25"),
    ] = None,
    bi_encoder: Annotated[
        str | None,
        typer.Option(help="Model of the vectors: a folder or hub id.", metavar="NAME"),
    ] = None,
    words: Annotated[
        int | None, typer.Option(min=1, help="Most words a chunk.", show_default="200")
    ] = None,
    overlap: Annotated[
        int | None,
        typer.Option(min=0, help="Words that chunks share with the one before.", show_default="40"),
    ] = None,
) -> None:
    """Index documents for crossrank search and ask, or take in what has changed.

    JSONL, CSV and TSV need a column text, and may have a title.
    Files that cannot be read, or have no text, are named and left out.

    \b
    Examples:
      crossrank index notes
      crossrank index papers --index papers-index --retriever both --bi-encoder all-MiniLM-L6-v2
    """
    from crossrank.retrieval.index import update
    from crossrank.retrieval.index_files import IndexSettings
    from crossrank.retrieval.on_disk import check_retriever

    given = {
        "retriever": retriever,
        "bi_encoder": bi_encoder,
        "words": words,
        "overlap": overlap,
    }
    chosen = {name: value for name, value in given.items() if value is not None}
    settings = IndexSettings(**chosen) if chosen else None  # type: ignore[arg-type]
    if settings is not None:
        with bad_usage():
            check_retriever(settings.retriever, settings.bi_encoder)
    done = update(documents, index, settings, progress=say)
    for name, reason in done.failed.items():
        say(f"Left out: {reason if name in reason else f'{name}: {reason}'}", "yellow")
    for name in done.empty:
        say(f"No text: {name}", "yellow")
    left_out = len(done.failed)
    say(
        f"{index}: {done.chunks:,} chunks of {done.read + done.kept - left_out:,} files "
        f"({done.read - left_out:,} read, {done.kept:,} unchanged, {done.removed:,} removed, "
        f"{left_out:,} left out)."
    )
