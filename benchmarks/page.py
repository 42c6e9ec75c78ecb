"""Tables in the terminal, and the same in ``RESULTS.md`` between two marks."""

from pathlib import Path
from typing import Any

from goals import Rows, absences, goal_rows, scaling_rows, speed_rows

BEGIN, END = "<!-- written by make bench -->", "<!-- end of what make bench writes -->"


def aligned(rows: Rows) -> str:
    """Lay rows out for a terminal."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for first, *others in rows:
        cells = [cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True)]
        lines.append("  ".join([first.ljust(widths[0]), *cells]).rstrip())
    return "\n".join(["", *lines, ""])


def markdown(rows: Rows) -> str:
    """Lay rows out for a page."""
    head, *body = rows
    lines = [head, ("---",) * len(head), *body]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def rewrite(page: Path, results: dict[str, Any]) -> None:
    """Put the tables of a whole run where the page has its marks."""
    before, _, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    parts = [before + BEGIN, *sections(results), END + after]
    page.write_text("\n\n".join(parts), encoding="utf-8")


def sections(results: dict[str, Any]) -> list[str]:
    """Write a whole run down: the machine, the goals, every contender, the curves."""
    machine, speed, scaling = results["machine"], results["speed"], results["scaling"]
    features = ", ".join(machine["cpu_features"]) or "none of the features that matter here"
    return [
        f"{machine['date']}, commit {machine['commit']}: {machine['cpu']} ({features}), "
        f"{machine['cores']} cores, load before the start {machine['load_before']:.2f}. "
        "Numbers and pictures are of one run: `results/latest.json`.",
        markdown(goal_rows(results)),
        "![Pairs per second](results/speed.svg)",
        markdown(speed_rows(speed["rows"])),
        absences(speed["failed"]) or "Every contender could be measured.",
        "![Pairs per second over candidates, tokens and cores](results/scaling.svg)",
        markdown(scaling_rows(scaling["panels"])),
        "![Memory over streamed pairs](results/memory.svg)",
    ]
