"""Options that several subcommands share."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from crossrank.cli.reporting import bad_usage

if TYPE_CHECKING:
    from crossrank.cross_encoder import CrossEncoder

PrecisionChoice = Literal["auto", "fp32", "fp16", "bf16", "int8", "int4"]
TruncationChoice = Literal["longest_first", "only_document"]

Model = Annotated[
    str | None,
    typer.Option(
        "--model",
        "-m",
        help="A folder or hub id.",
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
    TruncationChoice,
    typer.Option(help="What is cut of a pair that is too long; only_document keeps queries whole."),
]
Cache = Annotated[
    Path | None,
    typer.Option(dir_okay=False, help="File that remembers scores from call to call."),
]


def load_model(
    model: str | None,
    *,
    backend: str,
    precision: PrecisionChoice,
    device: str | None,
    max_length: int | None = None,
    truncation: TruncationChoice = "longest_first",
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
