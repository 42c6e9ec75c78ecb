"""The command ``crossrank``: one file a subcommand.

Typing a command must not cost what another one needs, so modules here import nothing heavy (numpy,
rich, an engine) before they have work for it.
"""

from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from crossrank import __version__
from crossrank.cli.ask import ask
from crossrank.cli.batch import batch
from crossrank.cli.calibrate import calibrate
from crossrank.cli.compare import compare
from crossrank.cli.demo import demo
from crossrank.cli.distill import distill
from crossrank.cli.evaluate import evaluate
from crossrank.cli.explain import explain
from crossrank.cli.export import export
from crossrank.cli.index import index
from crossrank.cli.info import info
from crossrank.cli.mine import mine
from crossrank.cli.rank import rank
from crossrank.cli.reporting import reporting
from crossrank.cli.score import score
from crossrank.cli.search import search
from crossrank.cli.serve import serve
from crossrank.cli.train import train


class _ReportingGroup(TyperGroup):
    """Runs every subcommand so that a user's mistake gets one line, not a traceback."""

    def invoke(self, ctx: typer.Context) -> Any:  # type: ignore[override]
        with reporting():
            return super().invoke(ctx)


app = typer.Typer(
    cls=_ReportingGroup,
    name="crossrank",
    no_args_is_help=True,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"crossrank {__version__}")
        raise typer.Exit


@app.callback()
def crossrank(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_show_version, is_eager=True, help="Show the version and exit."
        ),
    ] = False,
) -> None:
    """Score and rank documents with cross-encoders, fast and offline.

    \b
    Example:
      crossrank rank "how do magnets work" documents.txt
    """


COMMANDS = (
    demo,
    rank,
    score,
    batch,
    explain,
    evaluate,
    compare,
    calibrate,
    info,
    export,
    mine,
    distill,
    train,
    serve,
    index,
    search,
    ask,
)

for command in COMMANDS:
    app.command()(command)


def main() -> None:
    """Run the command line; exits with 0, 1 (failure), 2 (bad usage) or 130 (Ctrl-C)."""
    app()
