"""``crossrank explain``: which parts of a document make its score."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from crossrank.cli import options
from crossrank.cli.reporting import bad_usage
from crossrank.text_files import read_lines

if TYPE_CHECKING:
    from crossrank.explanation.explanation import Explanation

Method = Literal["sentences", "tokens", "gradients"]
Format = Literal["terminal", "html", "json"]


def explain(
    query: Annotated[str, typer.Argument(metavar="QUERY", help="The query.")],
    file: Annotated[
        Path | None,
        typer.Argument(
            metavar="FILE",
            help="The document, a text file; - for stdin.",
            dir_okay=False,
            callback=options.existing,
        ),
    ] = None,
    *,
    text: Annotated[
        str | None, typer.Option(help="The document itself, in place of FILE.", metavar="DOCUMENT")
    ] = None,
    method: Annotated[
        Method,
        typer.Option(
            help="Take out sentences or words (tokens), or integrate gradients (on torch)."
        ),
    ] = "sentences",
    format: Annotated[  # noqa: A002  # names the option
        Format, typer.Option("--format", "-f", help="How to write the explanation.")
    ] = "terminal",
    label: Annotated[
        int, typer.Option(min=0, help="Which logit, for models of several labels.")
    ] = 0,
    max_pieces: Annotated[
        int, typer.Option(min=1, help="Join neighbouring words or sentences to so many pieces.")
    ] = 128,
    steps: Annotated[int, typer.Option(min=1, help="Points of the integral of gradients.")] = 50,
    faithfulness: Annotated[
        bool,
        typer.Option("--faithfulness", help="Measure deletion and insertion, against chance."),
    ] = False,
    model: options.Model = None,
    backend: options.Backend = "auto",
    precision: options.Precision = "auto",
    device: options.Device = None,
    max_length: options.MaxLength = None,
    truncation: options.Truncation = None,
    cache: options.Cache = None,
) -> None:
    """Show which parts of a document make its score.

    Numbers are logits: what is lost when the part is taken out. Blue
    raises the score, orange lowers it. HTML is a fragment for any page.

    \b
    Examples:
      crossrank explain "how do magnets work" article.txt
      crossrank explain "who won" notes.txt --method tokens --faithfulness
      crossrank explain "who won" --text "Ada won." -f html > why.html
    """
    document = _document(file, text)
    encoder = options.load_model(
        model,
        backend=backend,
        precision=precision,
        device=device,
        max_length=max_length,
        truncation=truncation,
        cache=cache,
    )
    with encoder, bad_usage():
        explanation = encoder.explain(
            query,
            document,
            method,
            label=label,
            max_pieces=max_pieces,
            steps=steps,
            faithfulness=faithfulness,
        )
    sys.stdout.write(_WRITERS[format](explanation))


def _document(file: Path | None, text: str | None) -> str:
    if (file is None) == (text is None):
        raise typer.BadParameter(
            "One document is required: FILE, - for stdin, or --text; received "
            f"{'none' if file is None else 'both'}."
        )
    return "".join(line for _, line in read_lines(file)) if file is not None else text or ""


def _terminal(explanation: "Explanation") -> str:
    from rich.console import Console

    console = Console()
    with console.capture() as captured:  # written by us, who know what to do about a closed pipe
        console.print(explanation)
    return captured.get()


def _html(explanation: "Explanation") -> str:
    return explanation.to_html() + "\n"


def _json(explanation: "Explanation") -> str:
    import json

    return json.dumps(explanation.to_dict(), ensure_ascii=False, indent=2) + "\n"


_WRITERS = {"terminal": _terminal, "html": _html, "json": _json}
