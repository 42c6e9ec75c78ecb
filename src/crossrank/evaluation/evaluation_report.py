"""What an evaluation shows: a run's measures, what reranking gains, on which queries, how fast."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from crossrank.evaluation.comparison import Contrast, SystemComparison
from crossrank.evaluation.comparison_report import shown_interval, shown_number, shown_p_value
from crossrank.evaluation.coverage import Coverage
from crossrank.evaluation.plots import differences_plot
from crossrank.evaluation.report import Figure, Section, Table
from crossrank.evaluation.significance import bootstrap

INTERVALS = (
    "Brackets are 95 % intervals for other queries of the same kind (percentile bootstrap over "
    "queries)."
)


@dataclass(frozen=True)
class Speed:
    """How fast a model was.

    Attributes:
        model: Its name, and what it ran on.
        queries: How many queries were scored.
        pairs: How many pairs were scored, all in one go.
        seconds: How long that took; ``None`` where scores may be older.
        truncated: Pairs that were not read to their end.
        max_length: Tokens of a pair that the model reads.
        alone: By depth, the seconds of some queries, each reranked by itself.
    """

    model: str
    queries: int
    pairs: int
    seconds: float | None
    truncated: int
    max_length: int
    alone: Mapping[int, Sequence[float]]

    def typical(self) -> dict[int, float]:
        """The median seconds of a query, by depth."""
        return {depth: median(found) for depth, found in self.alone.items()}


def measures_section(values: Mapping[str, Mapping[str, float]]) -> Section:
    """Show the means of a run.

    Args:
        values: ``values[query_id][measure]``; at least one query.
    """
    names = list(next(iter(values.values())))
    means = {name: bootstrap([found[name] for found in values.values()]) for name in names}
    return Section(
        "Measures",
        text=[f"Means over {len(values):,} judged queries. {INTERVALS}"],
        tables=[
            Table(["measure", "mean"], [[name, shown_interval(means[name])] for name in names])
        ],
        data={
            "queries": len(values),
            "means": {name: asdict(mean) for name, mean in means.items()},
            "values": values,
        },
    )


def reranking_section(
    counted: SystemComparison, found: SystemComparison | None, depth: int
) -> Section:
    """Show what reranking gains.

    Args:
        counted: The first stage and the reranked run, by all judgements.
        found: Both by the judgements of what was reranked; ``None`` if none of that is relevant.
        depth: How many candidates were reranked.
    """
    captions = {
        "counted": "With the first stage's misses: what users of both stages get",
        "found": "Without its misses: what the reranker makes of its candidates",
    }
    parts = {"counted": counted} | ({} if found is None else {"found": found})
    return Section(
        "Reranking",
        text=[
            f"The best {depth:,} candidates of each query were reranked; all others follow in the "
            "first stage's order. Without misses, only these candidates are ranked and judged, and "
            "queries without a relevant one do not count: a first stage that finds less makes that "
            "easier.",
            f"{INTERVALS} p: paired randomisation test, with Holm's correction for the "
            f"{len(counted.measures)} measures of a table. d: Cohen's d of the paired differences; "
            "0.2 is small, 0.5 medium, 0.8 large.",
        ],
        tables=[
            Table(
                ["measure", "first stage", "reranked", "difference", "p", "d", "won", "lost"],
                [_gain(part, contrast) for contrast in part.contrasts],
                f"{captions[name]} ({len(part.queries):,} queries)",
            )
            for name, part in parts.items()
        ],
        data={"depth": depth} | {name: _gain_data(part) for name, part in parts.items()},
    )


def queries_section(counted: SystemComparison, texts: Mapping[str, str]) -> Section:
    """Show every query, most gained first.

    Args:
        counted: The first stage and the reranked run.
        texts: Of the queries.
    """
    measure = counted.measures[0]
    before, after = counted.values
    changes = {query: after[query][measure] - before[query][measure] for query in before}
    ordered = sorted(changes, key=lambda query: -changes[query])
    return Section(
        "Queries",
        text=[f"By {measure}, most gained first."],
        tables=[
            Table(
                ["query", "text", "first stage", "reranked", "change"],
                [
                    [
                        query,
                        texts.get(query, ""),
                        f"{before[query][measure]:.4f}",
                        f"{after[query][measure]:.4f}",
                        f"{changes[query]:+.4f}",
                    ]
                    for query in ordered
                ],
                f"{measure} of each query",
            )
        ],
        data={query: {"first_stage": before[query], "reranked": after[query]} for query in ordered},
    )


def differences_figure(counted: SystemComparison) -> Figure:
    """Draw what each query gained or lost.

    Args:
        counted: The first stage and the reranked run.

    Raises:
        MissingDependencyError: matplotlib is not installed.
    """
    measure, (before, after) = counted.measures[0], counted.values
    changes = [after[query][measure] - before[query][measure] for query in before]
    gained, lost = (sum(sign * change > 0 for change in changes) for sign in (1, -1))
    return Figure(
        differences_plot(changes, measure),
        f"What reranking changed in the {measure} of each query: {gained:,} gained, {lost:,} lost, "
        f"{len(changes) - gained - lost:,} stayed.",
    )


def speed_section(speed: Speed) -> Section:
    """Show how fast a model was, and what it did not read.

    Args:
        speed: What was measured.
    """
    read = (
        f"{speed.truncated:,} of {speed.pairs:,} pairs ({_percent(speed.truncated, speed.pairs)}) "
        f"were longer than the {speed.max_length:,} tokens that the model reads."
    )
    if speed.seconds is None:
        told = ["Not timed: scores may come from the cache."]
    else:
        told = [
            f"{speed.pairs:,} pairs of {speed.queries:,} queries in {speed.seconds:.1f} s, all "
            f"together: {speed.pairs / speed.seconds:,.0f} pairs a second, "
            f"{1000 * speed.seconds / speed.queries:,.0f} ms a query."
        ]
    tables = []
    if speed.alone:
        count = len(next(iter(speed.alone.values())))
        tables = [
            Table(
                ["candidates", "median", "slowest"],
                [
                    [f"{depth:,}", f"{1000 * median(found):,.0f}", f"{1000 * max(found):,.0f}"]
                    for depth, found in speed.alone.items()
                ],
                f"Milliseconds of a query that is reranked by itself ({count} queries)",
            )
        ]
    return Section(
        "Speed",
        text=[f"{speed.model[:1].upper()}{speed.model[1:]}.", *told, read],
        tables=tables,
        data=asdict(speed),
    )


def coverage_section(coverage: Coverage, counts: Mapping[str, float]) -> Section:
    """Show what was measured on, and what did not fit together.

    Args:
        coverage: What a run and its collection do not have in common.
        counts: How much there is, by name.
    """
    return Section(
        "Data",
        text=[
            "; ".join(f"{name}: {count:,g}" for name, count in counts.items()) + ".",
            *(coverage.lines() or ["Nothing is missing, and all of the best 10 are judged."]),
        ],
        data={**counts, **asdict(coverage)},
    )


def _gain(part: SystemComparison, contrast: Contrast) -> list[str]:
    return [
        contrast.measure,
        *(shown_interval(means[contrast.measure]) for means in part.means),
        shown_interval(contrast.comparison.difference, "+"),
        shown_p_value(contrast.corrected),
        shown_number(contrast.effect, "+.2f"),
        f"{contrast.comparison.wins:,}",
        f"{contrast.comparison.losses:,}",
    ]


def _gain_data(part: SystemComparison) -> dict[str, Any]:
    return {
        "queries": len(part.queries),
        "measures": {
            contrast.measure: {
                "first_stage": asdict(part.means[0][contrast.measure]),
                "reranked": asdict(part.means[1][contrast.measure]),
                **asdict(contrast.comparison),
                "p_value_holm": contrast.corrected,
                "effect_size": contrast.effect
                if contrast.effect is not None and math.isfinite(contrast.effect)
                else None,
            }
            for contrast in part.contrasts
        },
    }


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f} %"
