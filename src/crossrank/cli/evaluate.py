"""``crossrank evaluate``: what reranking gains on a collection, or what a run is worth."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from crossrank.cli import options
from crossrank.cli.reporting import bad_usage, say
from crossrank.cli.reports import check_reports, tell
from crossrank.errors import InputError

if TYPE_CHECKING:
    from crossrank.cross_encoder import CrossEncoder
    from crossrank.evaluation.comparison import SystemComparison
    from crossrank.evaluation.evaluation_report import Speed
    from crossrank.evaluation.evaluation_set import EvaluationSet
    from crossrank.evaluation.report import Report, Section
    from crossrank.types import Run

MEASURES = ("nDCG@10", "RR@10", "AP", "R@100")

KEPT = 1000
"""Documents a query of the first stage's that are measured, as in TREC."""

TIMED_ALONE = 10
"""Queries that are reranked by themselves, for their time."""

WIDTH = 150
"""Characters of a table: a terminal that has fewer wraps it better than rich does."""


def evaluate(
    data: Annotated[
        list[Path],
        typer.Argument(
            metavar="FOLDER | QRELS RUN",
            help="Collection (queries.jsonl, corpus.jsonl, qrels.txt, and a run or none) to "
            "rerank; or judgements and a run, to measure as it is.",
            exists=True,
        ),
    ],
    *,
    measure: Annotated[
        list[str] | None,
        typer.Option(
            help="As in ir-measures; may be given again.", show_default=", ".join(MEASURES)
        ),
    ] = None,
    depth: Annotated[
        str,
        typer.Option(
            help="Candidates reranked; several, as 10,20,50,100, find how many are enough.",
            metavar="K[,K...]",
        ),
    ] = "100",
    first_stage: Annotated[
        Path | None,
        typer.Option(
            help="Run with the candidates.",
            show_default="the collection's, else BM25",
            exists=True,
            dir_okay=False,
        ),
    ] = None,
    run: Annotated[
        Path | None,
        typer.Option(help="File to write the reranked run to.", dir_okay=False, metavar="FILE"),
    ] = None,
    report: options.HtmlReport = None,
    json_report: options.JsonReport = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the files of --run, --report and --json.")
    ] = False,
    model: options.Model = None,
    backend: options.Backend = "auto",
    precision: options.Precision = "auto",
    device: options.Device = None,
    max_length: options.MaxLength = None,
    truncation: options.Truncation = None,
    cache: options.Cache = None,
) -> None:
    """Measure what reranking a collection gains, and how sure that is.

    The first stage and the reranked run are compared with all its misses
    counted, and with them left out. With two files, a run is measured as it is.

    \b
    Examples:
      crossrank evaluate scifact
      crossrank evaluate dl19 --model ./mine --report mine.html --run mine.txt
      crossrank evaluate dl21 --depth 10,20,50,100,200
      crossrank evaluate qrels.txt run.txt --measure "P(rel=2)@5"
    """
    measures = list(dict.fromkeys(measure or MEASURES))
    depths = _depths(depth)
    _check_data(data, [("--model", model), ("--first-stage", first_stage), ("--run", run)])
    check_reports(report, json_report, overwrite)
    if run is not None:
        options.check_out(run, overwrite)
    from crossrank.evaluation.measures import check_measures

    with bad_usage():
        check_measures(measures)
    if len(data) == 2:
        measured = _measure_run(data[0], data[1], measures)
        tell(measured, report, json_report, dict.fromkeys(measured.sections, WIDTH))
        return
    from crossrank.cli.collections import open_collection

    task = open_collection(data[0], max(KEPT, *depths), first_stage)
    if run is not None:
        _check_run(run, task)
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
        name = _name(model)
        logits, speed = _score(encoder, name, task, depths, timed=cache is None)
    sections = _measure(task, logits, measures, depths, speed, draw=report is not None)
    if run is not None:
        _write_run(task, logits, depths[-1], run)
    from crossrank.evaluation.report import Report

    title = f"Evaluation of {name} on {data[0].resolve().name}"
    printed = [name for name in sections if name != "queries"]
    tell(Report(title, sections), report, json_report, dict.fromkeys(printed, WIDTH))


def _depths(text: str) -> list[int]:
    try:
        depths = sorted({int(part) for part in text.split(",")})
    except ValueError:
        depths = [0]
    if depths[0] < 1:
        raise typer.BadParameter(
            f"--depth must be whole numbers from 1, such as 10,20,50, received {text!r}."
        )
    return depths


def _name(model: str | None) -> str:
    """What reports call a model."""
    from crossrank.models.source import DEFAULT, EMBEDDED

    if model in (None, DEFAULT):
        return "the embedded model"
    if model in EMBEDDED:
        return f"the embedded model {model!r}"
    return Path(model).resolve().name if Path(model).is_dir() else model


def _check_data(data: list[Path], for_folders: list[tuple[str, object]]) -> None:
    """See that there is a folder, or two files without options that need a folder.

    Raises:
        typer.BadParameter: There is not.
    """
    if [path.is_dir() for path in data] == [True]:
        return
    if [path.is_dir() for path in data] != [False, False]:
        raise typer.BadParameter(
            f"A folder, or two files QRELS RUN are required, received {' '.join(map(str, data))}."
        )
    given = [name for name, value in for_folders if value is not None]
    if given:
        raise typer.BadParameter(f"{given[0]} is for a folder: a run file is measured as it is.")


def _measure_run(qrels_file: Path, run_file: Path, measures: list[str]) -> "Report":
    from crossrank.evaluation.comparison import check_run
    from crossrank.evaluation.coverage import coverage
    from crossrank.evaluation.evaluation_report import coverage_section, measures_section
    from crossrank.evaluation.measures import measure_per_query
    from crossrank.evaluation.report import Report
    from crossrank.evaluation.trec import read_qrels, read_run

    qrels, run = read_qrels(qrels_file), read_run(run_file)
    if not qrels:
        raise InputError(f"{qrels_file}: at least one judgement is required, and there is none.")
    check_run(str(run_file), run, qrels)
    counts = {"judged queries": len(qrels), "documents a query": _candidates(run)}
    sections = {
        "measures": measures_section(measure_per_query(run, qrels, measures)),
        "data": coverage_section(coverage(run, qrels), counts),
    }
    return Report(f"Evaluation of {run_file.name}", sections)


def _score(
    encoder: "CrossEncoder", name: str, task: "EvaluationSet", depths: list[int], *, timed: bool
) -> "tuple[Run, Speed]":
    """Score to the largest depth, once; and time some queries by themselves at each depth."""
    from dataclasses import replace

    from crossrank.cli.collections import score_collection
    from crossrank.evaluation.evaluation_report import Speed
    from crossrank.evaluation.runs import best_candidates

    candidates = best_candidates(task.candidates, depths[-1])
    answered = [query for query, found in candidates.items() if found]
    alone: dict[int, list[float]] = {}
    if timed:
        step = max(1, len(answered) // TIMED_ALONE)
        lists = [
            (task.queries[query], [task.documents[document] for document in candidates[query]])
            for query in answered[::step][:TIMED_ALONE]
        ]
        alone = _time_alone(encoder, lists, depths)
    logits, seconds, truncated = score_collection(encoder, replace(task, candidates=candidates))
    runtime = encoder.runtime
    return logits, Speed(
        f"{name}, {runtime.name} in {runtime.precision} on {runtime.device}",
        len(answered),
        sum(map(len, candidates.values())),
        seconds if timed else None,
        truncated,
        encoder.max_length,
        alone,
    )


def _time_alone(
    encoder: "CrossEncoder", lists: list[tuple[str, list[str]]], depths: list[int]
) -> dict[int, list[float]]:
    """Rerank queries one by one; the very first time, which is slower, does not count."""
    times: dict[int, list[float]] = {depth: [] for depth in depths}
    for query, documents in [lists[0], *lists]:
        for depth in depths:  # in turn, so that they share the machine's good and bad moments
            start = time.perf_counter()
            encoder.rank(query, documents[:depth], show_progress_bar=False)
            times[depth].append(time.perf_counter() - start)
    return {depth: found[1:] for depth, found in times.items()}


def _measure(
    task: "EvaluationSet",
    logits: "Run",
    measures: list[str],
    depths: list[int],
    speed: "Speed",
    *,
    draw: bool,
) -> "dict[str, Section]":
    """Measure the first stage and the reranked run."""
    from crossrank.evaluation.depth import sweep_depths
    from crossrank.evaluation.depth_report import depth_figures, depth_section
    from crossrank.evaluation.evaluation_report import (
        coverage_section,
        differences_figure,
        queries_section,
        reranking_section,
        speed_section,
    )

    counted, found = _compare(task, logits, measures, depths[-1])
    sections = {"reranking": reranking_section(counted, found, depths[-1])}
    if len(depths) > 1:
        sweep = sweep_depths(
            *(task.candidates, logits, task.qrels, measures[0], depths), seconds=speed.typical()
        )
        sections["depth"] = depth_section(sweep)
        if draw:
            sections["depth"].figures.extend(depth_figures(sweep))
    sections["speed"] = speed_section(speed)
    assert task.coverage is not None  # the collection was read from files
    counts = {
        "judged queries": len(task.qrels),
        "documents": len(task.documents),
        "candidates a query": _candidates(task.candidates),
    }
    sections["data"] = coverage_section(task.coverage, counts)
    sections["queries"] = queries_section(counted, task.queries)
    if draw:
        sections["queries"].figures.append(differences_figure(counted))
    return sections


def _compare(
    task: "EvaluationSet", logits: "Run", measures: list[str], depth: int
) -> "tuple[SystemComparison, SystemComparison | None]":
    """Compare the first stage with the reranked run: by all judgements, and by those of
    candidates only.
    """
    from dataclasses import replace

    from crossrank.evaluation.comparison import System, compare_systems
    from crossrank.evaluation.depth import rerank
    from crossrank.evaluation.runs import best_candidates

    def compared(task: "EvaluationSet", reranked: "Run") -> "SystemComparison":
        systems = [System("first stage", task.candidates), System("reranked", reranked)]
        return compare_systems(systems, task.qrels, measures)

    candidates = best_candidates(task.candidates, depth)
    found = replace(task, candidates=candidates).without_misses()
    return (
        compared(task, rerank(task.candidates, logits, depth)),
        compared(found, logits) if found.qrels else None,
    )


def _candidates(run: "Run") -> float:
    return round(sum(map(len, run.values())) / max(1, len(run)), 1)


def _check_run(out: Path, task: "EvaluationSet") -> None:
    """Write the first stage there, so that what no file can hold is told before the model works."""
    from crossrank.evaluation.trec import write_run

    trial = _partial(out)
    write_run(trial, task.candidates)
    trial.unlink()


def _partial(out: Path) -> Path:
    return out.with_name(f"partial.{out.name}")  # its ending says what is written


def _write_run(task: "EvaluationSet", logits: "Run", depth: int, out: Path) -> None:
    from crossrank.evaluation.depth import rerank
    from crossrank.evaluation.trec import write_run

    partial = _partial(out)
    write_run(partial, rerank(task.candidates, logits, depth))
    partial.replace(out)
    say(f"Written to {out}.")
