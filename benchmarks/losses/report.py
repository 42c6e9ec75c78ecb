"""From the values of queries to a table with intervals, and a file of results.

Prints the tables of all results when run by itself.

    python benchmarks/losses/report.py
"""

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


def table(results: dict[str, Any]) -> str:
    """Lay the rows out in Markdown, the best first."""
    reference = results["reference"]
    lines = [
        f"| | {MEASURE} | 95 % interval | seeds | against {reference} |",
        "|---|---|---|---|---|",
    ]
    for row in sorted(results["rows"], key=lambda row: -row[MEASURE]):
        seeds, difference = row["seeds"], f"{row['difference']:+.3f}"
        cells = [
            row["title"],
            f"**{row[MEASURE]:.3f}**",
            _range(row["interval"], ".3f"),
            _range([min(seeds), max(seeds)], ".3f") if len(seeds) > 1 else "",
            f"{difference} ({_range(row['difference_interval'], '+.3f')})",
        ]
        if row["title"] == reference:
            cells[-1] = ""
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _range(ends: Sequence[float], form: str) -> str:
    low, high = ends
    return f"{low:{form}} to {high:{form}}"


def publish(name: str, setting: dict[str, Any], rows: Sequence[Row], reference: str) -> None:
    """Write ``results/NAME.json`` and print the table."""
    (base,) = (row for row in rows if row.title == reference)
    summaries = [summary(row, base) for row in rows]
    RESULTS.mkdir(exist_ok=True)
    content = {"setting": setting, "reference": reference, "rows": summaries}
    (RESULTS / f"{name}.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    print(table(content), flush=True)


if __name__ == "__main__":
    for file in sorted(RESULTS.glob("*.json")):
        print(f"{file.stem}\n\n{table(json.loads(file.read_text(encoding='utf-8')))}\n")
