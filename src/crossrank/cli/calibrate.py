"""``crossrank calibrate``: probabilities that mean what they say."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from crossrank.cli import options
from crossrank.cli.reporting import say
from crossrank.cli.reports import check_reports, tell
from crossrank.errors import InputError
from crossrank.optional import require

if TYPE_CHECKING:
    from crossrank.cli.labelled_pairs import LabelledPairs
    from crossrank.cross_encoder import CrossEncoder
    from crossrank.evaluation.calibration import CalibrationResult
    from crossrank.evaluation.judged_pairs import JudgedPairs

WIDTH = 100
"""Characters of a table, as for ``crossrank compare``."""

MethodChoice = Literal["auto", "temperature", "platt", "isotonic"]


def calibrate(
    data: Annotated[
        Path,
        typer.Argument(
            metavar="DATA",
            help="Collection (folder with queries.jsonl, corpus.jsonl, qrels.txt), or file of "
            "pairs with labels: .jsonl, .csv, .tsv (each with .gz or without) or .parquet.",
            exists=True,
        ),
    ],
    *,
    model: options.Model = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            help="Folder to write the calibrated model to.",
            show_default="the model's own folder",
            file_okay=False,
        ),
    ] = None,
    method: Annotated[
        MethodChoice, typer.Option(help="auto chooses by cross-validation.")
    ] = "auto",
    judge_on: Annotated[
        Path | None,
        typer.Option(
            help="Collection or file with other queries to judge on.",
            show_default="half of DATA's queries",
            exists=True,
            metavar="DATA",
        ),
    ] = None,
    relevant_from: Annotated[
        float, typer.Option(help="Least grade, or label, of what counts as relevant.")
    ] = 1,
    judged_only: Annotated[
        bool,
        typer.Option(
            "--judged-only", help="Leave out unjudged candidates, which else count as irrelevant."
        ),
    ] = False,
    depth: Annotated[int, typer.Option(min=1, help="Candidates a query of a collection.")] = 100,
    wanted_precision: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="Find the threshold that gives it, e.g. 0.9."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the division of queries.")] = 0,
    query_field: options.QueryField = "query",
    document_field: options.DocumentField = "document",
    label_field: Annotated[str, typer.Option(help="Column of the label.")] = "label",
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
    """Fit what makes probabilities of a model's logits, and judge it.

    It is fitted on some queries and judged on others, and saved with the
    model for the precision in use: predict(..., calibrated=True) applies it.
    The order of documents never changes.

    \b
    Examples:
      crossrank calibrate answers.csv --out calibrated
      crossrank calibrate scifact --model ./mine --wanted-precision 0.9
      crossrank calibrate dl21 --judge-on dl19 --relevant-from 2 -o calibrated
    """
    _check_target(model, out)
    check_reports(report, json_report, overwrite)
    require("scipy", extra="evaluation")
    columns = (query_field, document_field, label_field)

    def read(source: Path) -> "LabelledPairs":
        return _read(source, columns, depth, relevant_from, judged_only)

    fitted_on, judged_on = read(data), read(judge_on) if judge_on else None
    if judged_on is not None:
        fitted_on.check_apart(judged_on)
    encoder = options.load_model(
        model,
        backend=backend,
        precision=precision,
        device=device,
        max_length=max_length,
        truncation=truncation,
        cache=cache,
    )
    from crossrank.evaluation.calibration import calibrate as fit
    from crossrank.evaluation.calibration_report import calibration_section, reliability_figure
    from crossrank.evaluation.judged_pairs import split
    from crossrank.evaluation.report import Report

    with encoder:
        fitting = _score(encoder, fitted_on)
        fitting, judging = (
            (fitting, _score(encoder, judged_on)) if judged_on else split(fitting, seed)
        )
        found = fit(fitting, judging, method, wanted_precision=wanted_precision, seed=seed)
        section = calibration_section(found)
        _save(encoder, found, out)
    if report is not None:
        section.figures.append(reliability_figure(found))
    title = f"Calibration on {data.name}"
    tell(Report(title, {"calibration": section}), report, json_report, {"calibration": WIDTH})


def _check_target(model: str | None, out: Path | None) -> None:
    """See that there is a folder to write to.

    Raises:
        typer.BadParameter: There is none.
        InputError: There is something in it already.
    """
    from crossrank.models.source import EMBEDDED

    if out is None:
        folder = Path(model or "")
        if model is None or not folder.is_dir() or any(map(folder.samefile, EMBEDDED.values())):
            raise typer.BadParameter(
                f"{model or 'the embedded model'} has no folder of yours: name one with --out, "
                "where a copy with the calibration is written."
            )
    elif out.exists() and any(out.iterdir()):
        raise InputError(
            f"{out} is not empty. Name another folder; to calibrate the model in it, give it as "
            "--model, and no --out."
        )


def _read(
    source: Path,
    columns: tuple[str, str, str],
    depth: int,
    relevant_from: float,
    judged_only: bool,
) -> "LabelledPairs":
    from crossrank.cli.labelled_pairs import read_collection, read_file

    if source.is_dir():
        return read_collection(
            source, depth=depth, relevant_from=relevant_from, judged_only=judged_only
        )
    return read_file(source, columns, relevant_from)


def _score(encoder: "CrossEncoder", labelled: "LabelledPairs") -> "JudgedPairs":
    from crossrank.cli.collections import score_pairs

    labelled.judged([0.0] * len(labelled.pairs))  # finds what is wrong before the model works
    logits, _, truncated = score_pairs(encoder, labelled.pairs)
    if truncated:
        say(f"Note: {truncated:,} of {len(logits):,} pairs were not read to their end.")
    return labelled.judged(logits)


def _save(encoder: "CrossEncoder", found: "CalibrationResult", out: Path | None) -> None:
    from dataclasses import asdict

    from crossrank.models.calibrations import write_calibration

    if out is not None:
        encoder.save_pretrained(out)
    folder, precision = out or encoder.spec.folder, encoder.runtime.precision
    about = {
        "fitted_on": found.fitting.counts(),
        "judged_on": found.judging.counts(),
        "measures": {name: asdict(change) for name, change in found.changes.items()},
    }
    write_calibration(folder, precision, found.calibration, about)
    say(f"The calibration for {precision} is saved in {folder}.")
