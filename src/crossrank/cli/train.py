"""``crossrank train``: a model of one's own, from one recipe file."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from crossrank.cli import options
from crossrank.cli.reporting import INTERRUPTED, as_table, bad_usage, describe, say
from crossrank.errors import CrossRankError, InputError

if TYPE_CHECKING:
    from crossrank.training.recipe import Recipe

WIDTH = 160
"""Characters of the table at the end: a terminal that has fewer wraps it better than rich does."""


def train(
    file: Annotated[
        Path, typer.Argument(metavar="RECIPE", help="The recipe.", dir_okay=False)
    ] = Path("recipe.yaml"),
    *,
    init: Annotated[
        bool, typer.Option("--init", help="Write a recipe with every option explained.")
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the model that the recipe makes.")
    ] = False,
    restart: options.Restart = False,
) -> None:
    """Train a cross-encoder on your own queries and documents.

    Ends with a model folder, its int8 file, and a model card that says how
    much better the model has become. After Ctrl-C or a crash the same command
    continues from the last checkpoint, and ends with the same weights.

    \b
    Examples:
      crossrank train --init
      crossrank train recipe.yaml
    """
    if init:
        _write_template(file)
        return
    if not file.is_file():
        raise typer.BadParameter(
            f"There is no recipe {file}. Write one with: crossrank train --init"
        )
    from crossrank.optional import require

    for package in ("torch", "datasets", "pydantic", "yaml"):
        require(package, extra="train")
    from crossrank.training.recipe import Recipe
    from crossrank.training.run import run_recipe

    with bad_usage():
        recipe = Recipe.read(file)
    _quieten()
    with _resumable(recipe):
        report = run_recipe(recipe, overwrite=overwrite, restart=restart, tell=say)
    if report is None:  # one of several processes, and not the first
        return
    quality = report.quality
    typer.echo(as_table(quality.header(), quality.rows(), justify="left", width=WIDTH), nl=False)
    say(f"Written to {recipe.output.folder}; its README.md says more.")


def _write_template(file: Path) -> None:
    from importlib import resources

    if file.exists():
        raise InputError(f"{file} exists already: name another file.")
    template = resources.files("crossrank.training").joinpath("recipe.yaml")
    file.write_text(template.read_text(encoding="utf-8"), encoding="utf-8")
    say(f"Written to {file}. Name your data and your model in it, then: crossrank train {file}")


def _quieten() -> None:
    """What libraries remark on their way is not for users of a command."""
    import datasets
    import transformers

    transformers.logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    transformers.logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    datasets.disable_progress_bars()


@contextmanager
def _resumable(recipe: "Recipe") -> Iterator[None]:
    """Say after Ctrl-C or a failure what is kept and how to go on.

    Raises:
        typer.Exit: With 130 after Ctrl-C, 1 after an error.
    """
    from crossrank.training.workplace import Workplace

    place = Workplace.of(recipe)
    try:
        yield
    except (KeyboardInterrupt, CrossRankError, OSError) as error:
        interrupted = isinstance(error, KeyboardInterrupt)
        told = "Interrupted." if interrupted else f"Error: {describe(error)}"
        say(told, "" if interrupted else "red")
        if place.step is not None and not isinstance(error, InputError):
            say(
                f"{place.folder} has what was trained up to step {place.step}: the same command "
                "continues from there."
            )
        raise typer.Exit(INTERRUPTED if interrupted else 1) from error
