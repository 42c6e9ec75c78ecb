"""``crossrank score``: a score for each pair of a file."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from crossrank.cli import options
from crossrank.cli.reporting import bad_usage

if TYPE_CHECKING:
    from crossrank.cli.journal import Journal
    from crossrank.cli.pair_files import PairFile, Score
    from crossrank.cross_encoder import CrossEncoder

WINDOW = 1024
"""Pairs scored together: some windows make a chunk, so that tokenisation can run ahead."""


def score(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            help="Pairs: .jsonl, .csv, .tsv (each with .gz or without) or .parquet.",
            exists=True,
            dir_okay=False,
        ),
    ],
    *,
    out: Annotated[
        Path,
        typer.Option("--out", "-o", help="File to write, in the input's format.", dir_okay=False),
    ],
    query_field: options.QueryField = "query",
    document_field: options.DocumentField = "document",
    score_field: Annotated[
        str | None,
        typer.Option(
            help="Column to add.", show_default="score, or scores when the model has several labels"
        ),
    ] = None,
    calibrated: options.Calibrated = False,
    overwrite: options.Overwrite = False,
    restart: options.Restart = False,
    model: options.Model = None,
    backend: options.Backend = "auto",
    precision: options.Precision = "auto",
    device: options.Device = None,
    max_length: options.MaxLength = None,
    truncation: options.Truncation = None,
    cache: options.Cache = None,
) -> None:
    """Score the pairs of a file; every other column is kept.

    Memory does not grow with the file. After Ctrl-C or a crash the same
    command continues where it stopped, and ends with the same bytes.
    An empty file gives an empty file.

    \b
    Examples:
      crossrank score pairs.jsonl -o scored.jsonl
      crossrank score faq.csv.gz -o scored.csv.gz --query-field question
      crossrank score pairs.jsonl -o scored.jsonl --model ./mine --calibrated
    """
    _check_out(file, out, overwrite)
    encoder = options.load_model(
        model,
        backend=backend,
        precision=precision,
        device=device,
        max_length=max_length,
        truncation=truncation,
        cache=cache,
    )
    from crossrank.cli.journal import Journal, resumable
    from crossrank.cli.pair_files import open_pairs

    with bad_usage():
        pairs = open_pairs(
            file,
            query_field=query_field,
            document_field=document_field,
            score_field=score_field or ("score" if encoder.num_labels == 1 else "scores"),
        )
    job = _job(pairs, encoder, truncation or encoder.spec.truncation, calibrated)
    with encoder, Journal(out, job, restart=restart) as journal, resumable(journal):
        _score_all(encoder, pairs, journal, calibrated)
        pairs.publish(journal.partial, out)
        journal.forget()


def _check_out(file: Path, out: Path, overwrite: bool) -> None:
    from crossrank.text_files import is_gzip, stem_suffix

    form = stem_suffix(file), is_gzip(file)
    if form != (stem_suffix(out), is_gzip(out)):
        raise typer.BadParameter(
            f"The output has the input's format: a name that ends in {_ending(*form)!r} is "
            f"required, received {out.name!r}."
        )
    options.check_out(out, overwrite, file)


def _ending(suffix: str, compressed: bool) -> str:
    return f"{suffix}.gz" if compressed else suffix


def _job(
    pairs: "PairFile", encoder: "CrossEncoder", truncation: str, calibrated: bool
) -> dict[str, Any]:
    """All that decides the output, for a later call to compare with."""
    from crossrank.models import digest

    found = pairs.path.stat()
    return {
        "input": str(pairs.path.resolve()),
        "input size": found.st_size,
        "input modified": found.st_mtime_ns,
        "fields": [pairs.query_field, pairs.document_field, pairs.score_field],
        "model": str(digest(encoder.spec, encoder.runtime.files)),
        "backend": encoder.runtime.name,
        "precision": encoder.runtime.precision,
        "device": encoder.runtime.device,
        "max length": encoder.max_length,
        "truncation": truncation,
        "calibration": _calibration(encoder) if calibrated else None,
    }


def _calibration(encoder: "CrossEncoder") -> str:
    """Name a calibration: one that was fitted anew meanwhile is another."""
    from hashlib import blake2b

    found = encoder.calibration
    return f"{found.method} {blake2b(repr(found.map).encode(), digest_size=8).hexdigest()}"


def _score_all(
    encoder: "CrossEncoder", pairs: "PairFile", journal: "Journal", calibrated: bool
) -> None:
    """Score what is left, chunk by chunk."""
    from crossrank.progress import progress_bar

    header = b"" if journal.rows else pairs.header()
    with progress_bar(None, show=None, unit="pair") as progress:
        progress(journal.rows)
        for chunk in pairs.chunks(skip=journal.rows):
            scores: list[Score] = []
            for value in encoder.stream(
                (pair for rows in chunk for pair in rows.pairs),
                window=WINDOW,
                calibrated=calibrated,
            ):
                scores.append(_fp32(value))
                progress(1)
            journal.append(header + pairs.encode(chunk, scores), rows=len(scores))
            header = b""
    if header:  # there were no rows
        journal.append(header, rows=0)


def _fp32(value: Any) -> "Score":
    """The shortest numbers that are these scores in fp32."""
    return [float(str(label)) for label in value] if value.ndim else float(str(value))
