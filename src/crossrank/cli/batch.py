"""``crossrank batch``: Parquet files of pairs, scored on a Ray cluster."""

from typing import Annotated

import typer

from crossrank.cli import options
from crossrank.cli.reporting import INTERRUPTED, say

_KEPT = "What is written is kept: the same command does the rest."


def batch(
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE", help="Folder of Parquet files, or a URL such as s3://bucket/pairs."
        ),
    ],
    target: Annotated[str, typer.Argument(metavar="TARGET", help="Folder or URL to write.")],
    *,
    query_field: options.QueryField = "query",
    document_field: options.DocumentField = "document",
    score_field: Annotated[str, typer.Option(help="Column to add.")] = "score",
    calibrated: options.Calibrated = False,
    workers: Annotated[
        int | None,
        typer.Option(min=1, help="How many.", show_default="as many as the cluster has room for"),
    ] = None,
    cpus_per_worker: Annotated[float, typer.Option(min=0, help="Cores of each.")] = 1,
    gpus_per_worker: Annotated[
        float, typer.Option(min=0, help="GPUs of each; of 0.5, two share one.")
    ] = 0,
    rows_per_part: Annotated[
        int, typer.Option(min=1, help="Rows that are scored and written together.")
    ] = 10_000,
    model: options.Model = None,
    backend: options.Backend = "auto",
    precision: options.Precision = "auto",
    device: options.Device = None,
    max_length: options.MaxLength = None,
    truncation: options.Truncation = None,
) -> None:
    """Score the pairs of many Parquet files on a Ray cluster; every other column is kept.

    The cluster is the one that RAY_ADDRESS names, or one that runs on this
    machine; without any, Ray starts here.
    Workers that are lost are replaced. After Ctrl-C or a crash the same command
    does what is left. All machines need the model under the same name.

    \b
    Examples:
      crossrank batch pairs scored
      RAY_ADDRESS=head:6379 crossrank batch s3://data/pairs s3://data/scored
      crossrank batch pairs scored --gpus-per-worker 1 --device cuda
    """
    from crossrank.optional import require

    require("ray.data", extra="ray")
    from crossrank.progress import progress_bar
    from crossrank.scale.job import score_files

    chosen = {
        "backend": backend,
        "precision": precision,
        "device": device,
        "max_length": max_length,
        "truncation": truncation,
    }
    try:
        with progress_bar(None, show=None) as progress:
            report = score_files(
                source,
                target,
                model,
                query=query_field,
                document=document_field,
                score=score_field,
                calibrated=calibrated,
                rows_per_part=rows_per_part,
                workers=workers,
                cpus_per_worker=cpus_per_worker,
                gpus_per_worker=gpus_per_worker,
                progress=progress,
                **{name: value for name, value in chosen.items() if value not in (None, "auto")},
            )
    except KeyboardInterrupt as error:
        say(f"Interrupted. {_KEPT}")
        raise typer.Exit(INTERRUPTED) from error
    say(
        f"{target}: {report.rows:,} rows of {report.files:,} files, {report.scored:,} of them "
        "scored now."
    )
