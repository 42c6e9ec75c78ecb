"""What a sweep over depths shows: a table, curves, and how many candidates to rerank."""

from dataclasses import asdict
from statistics import median
from typing import Any

from crossrank.evaluation.comparison_report import shown_interval
from crossrank.evaluation.depth import FOLDS, MARGIN, DepthCurve, DepthSweep
from crossrank.evaluation.plots import depth_plot, time_plot
from crossrank.evaluation.report import Figure, Section, Table


def depth_section(sweep: DepthSweep) -> Section:
    """Show quality at each depth, and what is recommended.

    Args:
        sweep: What was measured.
    """
    about = (
        f"✓ is the recommended depth of its column: the smallest whose {sweep.measure} is, with "
        f"95 % confidence, less than {MARGIN} below that of the best depth (bootstrap of the "
        "paired differences). Fewer queries make it more careful."
    )
    fusions = (
        "Fused: the candidates' order by interpolated scores, min-max normalised, and by "
        "reciprocal ranks (k = 60). The reranker's weight for a query is the best one on the other "
        f"queries ({FOLDS} folds); the table has the median of the folds."
    )
    timed = "Milliseconds are measured: the median of queries that are reranked by themselves."
    return Section(
        "Depth",
        text=[
            *(_recommendation(curve, sweep) for curve in sweep.curves),
            about,
            fusions,
            *([timed] if sweep.seconds else []),
        ],
        tables=[_table(sweep)],
        data={
            "measure": sweep.measure,
            "margin": MARGIN,
            "first_stage": asdict(sweep.first_stage),
            "curves": {curve.name: _curve_data(curve) for curve in sweep.curves},
            "seconds": sweep.seconds,
        },
    )


def depth_figures(sweep: DepthSweep) -> list[Figure]:
    """Draw quality by depth and, where that was measured, by time.

    Args:
        sweep: What was measured.

    Raises:
        MissingDependencyError: matplotlib is not installed.
    """
    alone = sweep.curves[0]
    means = ", ".join(f"{point.mean.mean:.3f} at {point.depth:,}" for point in alone.points)
    figures = [
        Figure(
            depth_plot(sweep),
            f"{sweep.measure} by the number of candidates reranked; the reranker alone has "
            f"{means}, the first stage {sweep.first_stage.mean:.3f}. The band is the reranker's "
            "95 % interval.",
        )
    ]
    if sweep.seconds:
        times = ", ".join(f"{1000 * s:,.0f} ms at {d:,}" for d, s in sweep.seconds.items())
        figures.append(
            Figure(
                time_plot(sweep),
                f"{sweep.measure} by the time of a query that is reranked by itself: {times}.",
            )
        )
    return figures


def _table(sweep: DepthSweep) -> Table:
    header = ["candidates", "pairs"]
    first = ["0", "0"]
    for curve in sweep.curves:
        header += [curve.name, *(["weight"] if curve.points[0].weights else [])]
        first += ["", *([""] if curve.points[0].weights else [])]
    first[2] = shown_interval(sweep.first_stage)
    rows = [first]
    for place, point in enumerate(sweep.curves[0].points):
        row = [f"{point.depth:,}", f"{point.pairs:,}"]
        for curve in sweep.curves:
            found = curve.points[place]
            mark = " ✓" if found is curve.recommended else ""
            row.append(f"{shown_interval(found.mean)}{mark}")
            if found.weights:
                row.append(f"{median(found.weights):.1f}")
        rows.append(row)
    if sweep.seconds:
        header.append("ms")
        times = [0.0, *(sweep.seconds[point.depth] for point in sweep.curves[0].points)]
        for row, seconds in zip(rows, times, strict=True):
            row.append(f"{1000 * seconds:,.0f}")
    return Table(header, rows, f"{sweep.measure} by depth; 0 is the first stage alone")


def _recommendation(curve: DepthCurve, sweep: DepthSweep) -> str:
    chosen, best, deepest = curve.recommended, curve.best, curve.points[-1]
    told = f"{curve.name.capitalize()}: rerank {chosen.depth:,}"
    if chosen is not best:
        told += (
            f", which loses {shown_interval(chosen.loss)} against the best depth, {best.depth:,}"
        )
    elif chosen is not curve.points[0]:
        smaller = curve.points[curve.points.index(chosen) - 1]
        told += f", the best depth; {smaller.depth:,} loses {shown_interval(smaller.loss)}"
    else:
        told += ", the best depth"
    if chosen is deepest:
        return f"{told}."
    saved = f"{_saved(chosen.pairs, deepest.pairs)} of the pairs"
    if sweep.seconds:
        before, after = sweep.seconds[deepest.depth], sweep.seconds[chosen.depth]
        saved += f" and {_saved(after, before)} of the time"
    return f"{told}. That saves {saved} of depth {deepest.depth:,}."


def _saved(after: float, before: float) -> str:
    return f"{100 * (1 - after / before):.0f} %"


def _curve_data(curve: DepthCurve) -> dict[str, Any]:
    return {
        "recommended": curve.recommended.depth,
        "best": curve.best.depth,
        "points": [asdict(point) for point in curve.points],
    }
