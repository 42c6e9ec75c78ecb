"""What the command line says on stderr, and the exit code that goes with it."""

import codecs
import io
import os
import sys
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Literal

import typer

from crossrank.errors import CrossRankError, InputError

INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells have it: 128 and the number of the signal."""


@contextmanager
def reporting() -> Iterator[None]:
    """Turn errors into one line on stderr and an exit code.

    Raises:
        typer.Exit: With 1 after a ``CrossRankError`` or an ``OSError``, 130 after Ctrl-C, 0 when
            the reader of stdout has gone away (``| head``).
    """
    if sys.stdout is None:  # closed by the caller (>&-): nobody reads it
        sys.stdout = io.TextIOWrapper(io.BytesIO())
    # What the encoding lacks, and a lone surrogate, is written as \u00e9, as in JSON.
    codecs.register_error("json", _in_json_notation)
    sys.stdout.reconfigure(errors="json")  # type: ignore[union-attr]
    try:
        with _plain_warnings():
            yield
            sys.stdout.flush()
    except BrokenPipeError as error:
        # What is left in the buffer would fail again when Python flushes it at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(0) from error
    except (CrossRankError, OSError) as error:
        say(f"Error: {describe(error)}", "red")
        raise typer.Exit(1) from error
    except KeyboardInterrupt as error:
        say("Interrupted.")
        raise typer.Exit(INTERRUPTED) from error


def _in_json_notation(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeEncodeError)
    units = error.object[error.start : error.end].encode("utf-16-be", "surrogatepass")
    return "".join(
        f"\\u{high:02x}{low:02x}" for high, low in zip(units[::2], units[1::2], strict=True)
    ), error.end


@contextmanager
def bad_usage() -> Iterator[None]:
    """Let what crossrank refuses in the options count as bad usage.

    Raises:
        typer.BadParameter: With the message of an ``InputError``.
    """
    try:
        yield
    except InputError as error:
        raise typer.BadParameter(str(error)) from error


def say(message: str, style: str = "") -> None:
    """Write one line to stderr, in colour where a terminal wants it."""
    from rich.console import Console

    Console(stderr=True).print(message, style=style, markup=False, highlight=False, soft_wrap=True)


def as_table(
    header: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    justify: Literal["left", "right"] = "right",
    width: int | None = None,
) -> str:
    """Lay out figures in columns, the first with their names.

    Args:
        header: Of each column.
        rows: A text for each column.
        justify: Where figures stand in their columns.
        width: Of the table, in characters; by default the terminal's.
    """
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(*header, box=None, header_style="bold", padding=(0, 1))
    for column in table.columns[1:]:
        column.justify = justify
    for row in rows:
        table.add_row(*map(Text, row))  # texts, not rich's markup
    console = Console(width=width)
    with console.capture() as captured:
        console.print(table)
    return captured.get()


def describe(error: BaseException) -> str:
    """Say what went wrong, without Python's error numbers.

    Example:
        >>> describe(FileNotFoundError(2, "No such file or directory", "pairs.csv"))
        'No such file or directory: pairs.csv'
    """
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}: {error.filename}" if error.filename else error.strerror
    return str(error) or type(error).__name__


@contextmanager
def _plain_warnings() -> Iterator[None]:
    """Show warnings as one line, without the place in the code that gave them."""
    with warnings.catch_warnings():
        warnings.showwarning = lambda message, *_, **__: say(f"Warning: {message}", "yellow")
        yield
