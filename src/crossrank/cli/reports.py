"""Reports of what was measured: printed, and written to files."""

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from crossrank.cli.options import check_out
from crossrank.cli.reporting import as_table, say
from crossrank.optional import require

if TYPE_CHECKING:
    from collections.abc import Mapping

    from crossrank.evaluation.report import Report, Section


def print_section(section: "Section", width: int | None = None) -> None:
    """Print tables and text of a section.

    Args:
        section: What to print.
        width: Of the tables, in characters; by default the terminal's.
    """
    for table in section.tables:
        typer.echo(f"{table.caption}\n")
        typer.echo(as_table(table.header, table.rows, justify="left", width=width))
    for paragraph in section.text:
        typer.echo(f"{paragraph}\n")


def check_reports(page: Path | None, machine: Path | None, overwrite: bool) -> None:
    """See that the files that are wanted can be made, before the work for them is done.

    Args:
        page: An HTML page.
        machine: JSON.
        overwrite: Whether they may be replaced.

    Raises:
        typer.BadParameter: A folder does not exist.
        InputError: A file exists, and is not to be replaced.
        MissingDependencyError: What draws the page is not installed.
    """
    for out in filter(None, (page, machine)):
        check_out(out, overwrite)
    for package in ("jinja2", "matplotlib") if page is not None else ():
        require(package, extra="evaluation")


def tell(
    report: "Report",
    page: Path | None,
    machine: Path | None,
    widths: "Mapping[str, int | None]",
) -> None:
    """Write a report to the files that are wanted, then print sections of it.

    In this order, since who reads may leave early; and both in any case, since a disk may be full.

    Args:
        report: What to write.
        page: An HTML page.
        machine: JSON.
        widths: Of the tables of each section that is printed, as ``print_section`` has it.
    """
    try:
        _write(report, page, machine)
    finally:
        for name, width in widths.items():
            print_section(report.sections[name], width)


def _write(report: "Report", page: Path | None, machine: Path | None) -> None:
    if page is not None:
        from crossrank.evaluation.report import write_html

        write_html(report, page)
    if machine is not None:
        from crossrank.evaluation.report import write_json

        write_json(report, machine)
    for path in filter(None, (page, machine)):
        say(f"Written to {path}.")
