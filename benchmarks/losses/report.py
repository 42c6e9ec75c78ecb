"""From the values of queries to a table with intervals, and a file of results."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from crossrank.evaluation.measures import measure_per_query
from crossrank.evaluation.significance import bootstrap, compare
from crossrank.types import Qrels, Run

MEASURE = "nDCG@10"
RESULTS = Path(__file__).resolve().parent / "results"

Values = Mapping[str, float]
"""The value of each test query."""


class Row(NamedTuple):
    """What one system reached.

    Attributes:
        title: Its name in the table.
        seeds: The values of each training run, the same queries in each.
        seconds: What all its training runs took.
    """

    title: str
    seeds: Sequence[Values]
    seconds: float

    @property
    def values(self) -> list[float]:
        """The mean over seeds of each query."""
        return [float(np.mean([seed[query] for seed in self.seeds])) for query in self.seeds[0]]


def per_query(run: Run, qrels: Qrels) -> Values:
    """Measure each query of a run."""
    found = measure_per_query(run, qrels, [MEASURE])
    return {query: values[MEASURE] for query, values in found.items()}


def summary(row: Row, reference: Row) -> dict[str, Any]:
    """Put a row's numbers together, and compare it with the reference, query by query."""
    interval, seeds = bootstrap(row.values), [float(np.mean([*s.values()])) for s in row.seeds]
    compared = compare(reference.values, row.values)
    difference = compared.difference
    return {
        "title": row.title,
        MEASURE: interval.mean,
        "interval": [interval.low, interval.high],
        "seeds": seeds,
        "seconds": row.seconds,
        "difference": difference.mean,
        "difference_interval": [difference.low, difference.high],
        "p": compared.p_value,
    }


def table(rows: Sequence[dict[str, Any]], reference: str) -> str:
    """Lay the rows out in Markdown, the best first."""
    lines = [
        f"| | {MEASURE} | 95 % interval | seeds | against {reference} | p | s |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in sorted(rows, key=lambda row: -row[MEASURE]):
        low, high = row["interval"]
        less, more = row["difference_interval"]
        against = f"{row['difference']:+.3f} [{less:+.3f}, {more:+.3f}] | {row['p']:.3f}"
        if row["title"] == reference:
            against = "|"
        seeds = f"{min(row['seeds']):.3f} to {max(row['seeds']):.3f}"
        lines.append(
            f"| {row['title']} | **{row[MEASURE]:.3f}** | {low:.3f} to {high:.3f} | {seeds} "
            f"| {against} | {row['seconds']:.0f} |"
        )
    return "\n".join(lines)


def publish(name: str, setting: dict[str, Any], rows: Sequence[Row], reference: str) -> None:
    """Write ``results/NAME.json`` and print the table."""
    (base,) = (row for row in rows if row.title == reference)
    summaries = [summary(row, base) for row in rows]
    RESULTS.mkdir(exist_ok=True)
    content = {"setting": setting, "reference": reference, "rows": summaries}
    (RESULTS / f"{name}.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    print(table(summaries, reference), flush=True)
