"""``crossrank demo``: what reranking gains, on a collection that comes with the package."""

from typing import Annotated

import typer


def demo(
    *,
    queries: Annotated[
        int | None,
        typer.Option(
            min=1, help="Use only so many of the questions, evenly spaced.", show_default="all"
        ),
    ] = None,
) -> None:
    """Show what reranking gains on real search results.

    \b
    Examples:
      crossrank demo
      crossrank demo --queries 100
    """
    from crossrank.demo import run_demo

    run_demo(queries=queries)
