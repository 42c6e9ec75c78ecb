"""Options that several subcommands share."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from crossrank.cli.reporting import bad_usage
from crossrank.errors import InputError
from crossrank.text_files import STDIN

if TYPE_CHECKING:
    from crossrank.cross_encoder import CrossEncoder

PrecisionChoice = Literal["auto", "fp32", "fp16", "bf16", "int8", "int4"]
TruncationChoice = Literal["longest_first", "only_document"]

Model = Annotated[
    str | None,
    typer.Option(
        "--model",
        "-m",
        help="A folder, a hub id, or `small`, the smaller embedded model.",
        show_default="the embedded model",
        metavar="NAME",
    ),
]
Backend = Annotated[str, typer.Option(help="Engine.", metavar="auto|openvino|onnx|torch")]
Precision = Annotated[PrecisionChoice, typer.Option(help="What weights are computed in.")]
Device = Annotated[
    str | None,
    typer.Option(help="E.g. cpu or cuda:0.", show_default="the best there is", metavar="NAME"),
]
MaxLength = Annotated[
    int | None,
    typer.Option(min=1, help="Longest pair in tokens.", show_default="the model's own"),
]
Truncation = Annotated[
    TruncationChoice | None,
    typer.Option(
        help="What is cut of a pair that is too long; only_document keeps queries whole.",
        show_default="the model's own, or longest_first",
    ),
]


def _a_file(path: Path | None) -> Path | None:
    if path is not None and re.match(r"[a-z]{2,}:/", str(path)):
        raise typer.BadParameter(f"a file is required, received {path}: only a server uses Redis.")
    return path


Cache = Annotated[
    Path | None,
    typer.Option(
        dir_okay=False, callback=_a_file, help="File that remembers scores from call to call."
    ),
]
Calibrated = Annotated[
    bool,
    typer.Option("--calibrated", help="Let scores be the model's calibrated probabilities."),
]
QueryField = Annotated[str, typer.Option(help="Column of the query.")]
DocumentField = Annotated[str, typer.Option(help="Column of the document.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace OUT.")]
HtmlReport = Annotated[
    Path | None,
    typer.Option("--report", help="HTML page to write.", dir_okay=False, metavar="FILE"),
]
JsonReport = Annotated[
    Path | None,
    typer.Option("--json", help="The same for machines.", dir_okay=False, metavar="FILE"),
]
OverwriteReports = Annotated[
    bool, typer.Option("--overwrite", help="Replace the files of --report and --json.")
]
Restart = Annotated[
    bool, typer.Option("--restart", help="Forget what an interrupted call has done.")
]


def existing(file: Path | None) -> Path | None:
    """Refuse a missing file; typer's own check does not know ``-`` as a ``Path``.

    Raises:
        typer.BadParameter: It does not exist.
    """
    if file not in (None, STDIN) and not file.exists():
        raise typer.BadParameter(f"file {str(file)!r} does not exist.")
    return file


def check_out(out: Path, overwrite: bool, *sources: Path | None) -> None:
    """See that a file can be written.

    Args:
        out: The file.
        overwrite: Whether it may be replaced.
        sources: Files that are read.

    Raises:
        typer.BadParameter: Its folder does not exist, or it is one that is read.
        InputError: It exists, and is not to be replaced.
    """
    if not out.parent.is_dir():
        raise typer.BadParameter(f"The folder {out.parent} does not exist.")
    if out.exists() and any(out.samefile(source) for source in sources if source):
        raise typer.BadParameter(f"Input and output must be two files, received {out} for both.")
    if out.exists() and not overwrite:
        raise InputError(f"{out} exists already. Use --overwrite to replace it.")


def load_model(
    model: str | None,
    *,
    backend: str,
    precision: PrecisionChoice,
    device: str | None,
    max_length: int | None = None,
    truncation: TruncationChoice | None = None,
    cache: Path | None = None,
) -> "CrossEncoder":
    """Load the model that the options name.

    Raises:
        typer.BadParameter: An option cannot be used.
        CrossRankError: The model cannot be loaded.
    """
    from crossrank.cross_encoder import CrossEncoder

    with bad_usage():
        return CrossEncoder(
            model,
            backend=backend,  # type: ignore[arg-type]  # checked there, with the list of names
            precision=precision,
            device=device,
            max_length=max_length,
            truncation=truncation,
            cache=cache,
        )
