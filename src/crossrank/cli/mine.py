"""``crossrank mine``: hard negatives for pairs of a query and a relevant document."""

import json
import shutil
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from crossrank.cli import options
from crossrank.cli.reporting import bad_usage, say
from crossrank.optional import require

if TYPE_CHECKING:
    from collections.abc import Iterator

    from crossrank.cli.journal import Journal
    from crossrank.cross_encoder import CrossEncoder
    from crossrank.training.negatives import Mined
    from crossrank.types import Pair

RetrieverChoice = Literal["bm25", "dense", "both"]
LayoutChoice = Literal["labeled-list", "n-tuple"]
SamplingChoice = Literal["top", "random"]


def mine(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="PAIRS",
            help="Queries and positives: .jsonl, .csv, .tsv (with .gz or without) or .parquet.",
            exists=True,
            dir_okay=False,
        ),
    ],
    *,
    out: Annotated[
        Path, typer.Option("--out", "-o", help="File to write, .jsonl.", dir_okay=False)
    ],
    documents: Annotated[
        Path | None,
        typer.Option(
            help="Where to look for negatives, in the same formats.",
            show_default="the positives",
            exists=True,
            dir_okay=False,
        ),
    ] = None,
    query_field: options.QueryField = "query",
    positive_field: Annotated[str, typer.Option(help="Column of the positive.")] = "positive",
    document_field: Annotated[str, typer.Option(help="Column of --documents.")] = "text",
    retriever: Annotated[RetrieverChoice, typer.Option(help="What finds candidates.")] = "bm25",
    bi_encoder: Annotated[
        str | None,
        typer.Option(help="A folder or hub id, for dense and both.", metavar="NAME"),
    ] = None,
    cross_encoder: Annotated[
        str | None,
        typer.Option(help="A folder or hub id, to judge what was found.", metavar="NAME"),
    ] = None,
    device: options.Device = None,
    num_negatives: Annotated[
        int, typer.Option("--num-negatives", "-n", min=1, help="Negatives a pair.")
    ] = 3,
    range_min: Annotated[int, typer.Option(min=0, help="Leave out so many of the best.")] = 0,
    range_max: Annotated[
        int | None,
        typer.Option(min=1, help="Last rank.", show_default="range-min + 10 x num-negatives"),
    ] = None,
    absolute_margin: Annotated[
        float | None, typer.Option(min=0, help="Least distance to the positive's score.")
    ] = None,
    relative_margin: Annotated[
        float | None, typer.Option(min=0, help="The same as a share of that score.")
    ] = None,
    min_score: Annotated[float | None, typer.Option(help="Lowest score of a negative.")] = None,
    max_score: Annotated[float | None, typer.Option(help="Highest score of a negative.")] = None,
    sampling: Annotated[SamplingChoice, typer.Option(help="Which of what is left.")] = "top",
    seed: Annotated[int, typer.Option(min=0, help="Of random sampling.")] = 0,
    layout: Annotated[
        LayoutChoice,
        typer.Option(help="query, documents, labels; or query, positive, negative_1 ..."),
    ] = "labeled-list",
    index: Annotated[
        Path | None,
        typer.Option(
            help="Folder for the index, to use it again.",
            show_default="OUT.index, removed at the end",
            file_okay=False,
        ),
    ] = None,
    overwrite: options.Overwrite = False,
    restart: options.Restart = False,
) -> None:
    """Find hard negatives: documents that look relevant, and are not.

    Each query is searched for; what is found is a candidate, unless it is one
    of the query's positives. Margins and limits compare scores: those of the
    cross-encoder, else of the bi-encoder, else BM25's. Pairs with too few
    negatives are left out. After Ctrl-C or a crash the same command continues
    where it stopped. Documents, index and vectors stay on disk.

    \b
    Examples:
      crossrank mine pairs.jsonl -o train.jsonl
      crossrank mine faq.csv -o train.jsonl --documents texts.csv --range-min 5
      crossrank mine pairs.jsonl -o train.jsonl --retriever both \\
        --bi-encoder all-MiniLM-L6-v2 --cross-encoder ./mine --relative-margin 0.05
    """
    source = _Source(file, (query_field, positive_field), documents, document_field)
    with bad_usage():
        from crossrank.retrieval.on_disk import check_retriever
        from crossrank.training.selection import Selection

        source.check()
        check_retriever(retriever, bi_encoder)
        if retriever != "dense":
            require("bm25s", extra="train")
        selection = Selection(
            num_negatives=num_negatives,
            range_min=range_min,
            range_max=range_max,
            absolute_margin=absolute_margin,
            relative_margin=relative_margin,
            min_score=min_score,
            max_score=max_score,
            sampling=sampling,
            seed=seed,
        )
    _check_out(out, overwrite, file, documents)
    folder = index or _scratch(out)
    judge = _judge(cross_encoder, device)
    from crossrank.cli.journal import Journal, resumable
    from crossrank.training.negatives import mine_negatives

    job = source.state() | {
        "retriever": [retriever, bi_encoder],
        "cross-encoder": _digest(judge),
        "selection": repr(selection),
        "layout": layout,
    }
    with Journal(out, job, restart=restart) as journal, resumable(journal):
        mined = mine_negatives(
            source.pairs(),
            source.documents(),
            folder=folder,
            retriever=retriever,
            bi_encoder=bi_encoder,
            cross_encoder=judge,
            selection=selection,
            skip=journal.rows,
            progress=lambda step: say(f"{step} ..."),
        )
        _write(mined, journal, layout, num_negatives)
        journal.partial.replace(out)
        journal.forget()
    if index is None:
        shutil.rmtree(folder)
    with out.open("rb") as lines:
        say(f"{sum(1 for _ in lines)} of {journal.rows} pairs have negatives: {out}")


@dataclass(frozen=True)
class _Source:
    """The files that are read."""

    file: Path
    fields: tuple[str, str]
    texts: Path | None
    text_field: str

    def check(self) -> None:
        """Refuse endings that say nothing, before there is any work."""
        from crossrank.cli.pair_files import read_pairs

        for path in filter(None, (self.file, self.texts)):
            read_pairs(path, *self.fields)

    def state(self) -> dict[str, Any]:
        """All that a later call must find unchanged."""
        paths = [path for path in (self.file, self.texts) if path]
        found = [path.stat() for path in paths]
        return {
            "input": [str(path.resolve()) for path in paths],
            "input size": [state.st_size for state in found],
            "input modified": [state.st_mtime_ns for state in found],
            "fields": [*self.fields, self.text_field],
        }

    def pairs(self) -> "Iterator[Pair]":
        from crossrank.cli.pair_files import read_pairs

        return read_pairs(self.file, *self.fields)

    def documents(self) -> "Iterator[str] | None":
        if self.texts is None:
            return None
        from crossrank.cli.pair_files import read_pairs

        return (text for text, _ in read_pairs(self.texts, self.text_field, self.text_field))


def _check_out(out: Path, overwrite: bool, *sources: Path | None) -> None:
    if out.suffix != ".jsonl":
        raise typer.BadParameter(f"A name that ends in .jsonl is required, received {out.name!r}.")
    options.check_out(out, overwrite, *sources)


def _scratch(out: Path) -> Path:
    """Name the folder that is deleted at the end; what a killed call has left may be in it."""
    folder = out.with_name(f"{out.name}.index")
    if folder.exists() and not out.with_name(f"{out.name}.partial").exists():
        raise typer.BadParameter(
            f"{folder} would be deleted at the end, and it is not of an interrupted call: delete "
            "it, or name it as --index, which is kept."
        )
    return folder


def _judge(name: str | None, device: str | None) -> "CrossEncoder | None":
    if name is None:
        return None
    return options.load_model(name, backend="auto", precision="auto", device=device)


def _digest(judge: "CrossEncoder | None") -> str | None:
    from crossrank.models import digest

    return None if judge is None else digest(judge.spec, judge.runtime.files)


def _write(
    mined: "Iterator[Mined]", journal: "Journal", layout: LayoutChoice, num_negatives: int
) -> None:
    """Write what is left, block by block."""
    from crossrank.progress import progress_bar
    from crossrank.training.negatives import BLOCK

    with progress_bar(None, show=None) as progress:
        progress(journal.rows)
        while block := list(islice(mined, BLOCK)):
            rows = [entry.row(layout, num_negatives) for entry in block]
            lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in rows if row]
            data = "".join(lines).encode("utf-8", "backslashreplace")
            journal.append(data, rows=len(block))
            progress(len(block))
