"""``crossrank compare``: models and run files on one collection."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from crossrank.cli import options
from crossrank.cli.reporting import bad_usage, say
from crossrank.cli.reports import check_reports, tell
from crossrank.errors import InputError

if TYPE_CHECKING:
    from crossrank.cross_encoder import CrossEncoder
    from crossrank.evaluation.comparison import System
    from crossrank.evaluation.evaluation_set import EvaluationSet
    from crossrank.types import Run

MEASURES = ("nDCG@10", "RR@10", "AP")
FIRST_STAGE = "first-stage"
RUN_SUFFIXES = (".txt", ".run", ".trec", ".tsv", ".gz")
"""What a run file's name may end in: a missing one is not to be looked for on the hub."""

WIDTH = 160
"""Characters of a table: a terminal that has fewer wraps it better than rich does."""


def compare(
    collection: Annotated[
        Path,
        typer.Argument(
            metavar="COLLECTION",
            help="Folder with queries.jsonl, corpus.jsonl, qrels.txt, and a run or none.",
            exists=True,
            file_okay=False,
        ),
    ],
    systems: Annotated[
        list[str],
        typer.Argument(
            metavar="SYSTEM...",
            help="Models (folder, hub id, default, small), TREC run files, or first-stage.",
        ),
    ],
    *,
    measure: Annotated[
        list[str] | None,
        typer.Option(
            help="As in ir-measures; may be given again.", show_default="nDCG@10, RR@10, AP"
        ),
    ] = None,
    depth: Annotated[int, typer.Option(min=1, help="Candidates a model reranks.")] = 100,
    first_stage: Annotated[
        Path | None,
        typer.Option(
            help="Run with the candidates.",
            show_default="the collection's, else BM25",
            exists=True,
            dir_okay=False,
        ),
    ] = None,
    all_pairs: Annotated[
        bool, typer.Option("--all-pairs", help="Compare each with each, not with the first only.")
    ] = False,
    show: Annotated[int, typer.Option(min=0, help="Queries to show that differ most.")] = 3,
    report: options.HtmlReport = None,
    json_report: options.JsonReport = None,
    overwrite: options.OverwriteReports = False,
    backend: options.Backend = "auto",
    precision: options.Precision = "auto",
    device: options.Device = None,
    max_length: options.MaxLength = None,
    truncation: options.Truncation = None,
    cache: options.Cache = None,
) -> None:
    """Compare models and runs on one collection.

    Each model reranks the same candidates. The first system is what the others
    are compared with: means with intervals, tests corrected for their number,
    wins and losses, and the queries that differ most with their documents.

    \b
    Examples:
      crossrank compare scifact first-stage default
      crossrank compare dl21 runs/bm25.txt runs/splade.txt ./mine --all-pairs
      crossrank compare dl21 default ./mine --report compared.html
    """
    measures = tuple(dict.fromkeys(measure or MEASURES))
    names = _names(systems)
    check_reports(report, json_report, overwrite)
    task, runs = _open(collection, depth, first_stage, systems, measures)

    def load(model: str) -> "CrossEncoder":
        return options.load_model(
            model,
            backend=backend,
            precision=precision,
            device=device,
            max_length=max_length,
            truncation=truncation,
            cache=cache,
        )

    from crossrank.evaluation.comparison import System, compare_systems
    from crossrank.evaluation.comparison_report import comparison_section, queries_section
    from crossrank.evaluation.report import Report

    found = compare_systems(
        [
            System(name, runs[system]) if system in runs else _rerank(name, load(system), task)
            for name, system in zip(names, systems, strict=True)
        ],
        task.qrels,
        measures,
        all_pairs=all_pairs,
    )
    sections = {"comparison": comparison_section(found, task)}
    widths: dict[str, int | None] = {"comparison": WIDTH}
    if show:
        sections["queries"] = queries_section(found, task, show)
        widths["queries"] = None
    title = f"{', '.join(names)} on {collection.name}"
    tell(Report(title, sections), report, json_report, widths)


def _names(systems: list[str]) -> list[str]:
    """What tables call the systems: the last parts of their paths, as many as tell them apart.

    Raises:
        typer.BadParameter: There is one system only, or one is there twice.
    """
    if len(systems) < 2:
        raise typer.BadParameter(f"Two or more systems are required, received {systems[0]!r} only.")
    paths = [Path(system).resolve() for system in systems]
    twice = next((s for s, path in zip(systems, paths, strict=True) if paths.count(path) > 1), None)
    if twice is not None:
        raise typer.BadParameter(f"Different systems are required, received {twice!r} twice.")
    names: list[str] = []
    parts = 0
    while len(set(names)) < len(systems):
        parts += 1
        names = ["/".join(path.parts[-parts:]) for path in paths]
    return names


def _open(
    collection: Path,
    depth: int,
    first_stage: Path | None,
    systems: list[str],
    measures: Sequence[str],
) -> "tuple[EvaluationSet, dict[str, Run]]":
    """Read all files, and find their mistakes, before any model works."""
    from crossrank.cli.collections import open_collection
    from crossrank.evaluation.comparison import check_run
    from crossrank.evaluation.measures import check_measures
    from crossrank.evaluation.trec import read_run

    with bad_usage():
        check_measures(measures)
    runs = {system: read_run(system) for system in systems if _is_run(system)}
    task = open_collection(collection, depth, first_stage)
    if FIRST_STAGE in systems:
        runs[FIRST_STAGE] = task.candidates
    for name, run in runs.items():
        check_run(name, run, task.qrels)
    return task, runs


def _is_run(system: str) -> bool:
    """Tell a run file from a model.

    Raises:
        InputError: It is named like a run file, and there is none.
    """
    from crossrank.models.source import EMBEDDED

    path = Path(system)
    if path.suffix in RUN_SUFFIXES and not path.exists():
        raise InputError(f"There is no run file {system}.")
    return path.is_file() and system not in (FIRST_STAGE, *EMBEDDED)


def _rerank(name: str, model: "CrossEncoder", task: "EvaluationSet") -> "System":
    from crossrank.cli.collections import score_collection
    from crossrank.evaluation.comparison import System

    with model:
        run, seconds, truncated = score_collection(model, task)
    if truncated:
        say(f"Note: {name} did not read {truncated:,} of {len(task.pairs()):,} pairs to their end.")
    return System(name, run, seconds)
