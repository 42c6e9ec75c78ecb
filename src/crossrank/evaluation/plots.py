"""Pictures for reports, as SVG elements that suit light and dark pages.

No state of matplotlib is kept, and the same figures give the same picture.
"""

import io
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from crossrank.evaluation.depth import DepthSweep
from crossrank.optional import require

INK = "#010203"
"""Stands for the colour of the text around the picture."""

COLOURS = ("#2478c7", "#d1730b", "#0f9d6b")
"""Of series: 3:1 or more against white and against a dark page."""

MARKERS = ("o", "s", "^")
LINES = ("-", "--", ":")

_STYLE = {
    "svg.fonttype": "none",  # text stays text
    "font.family": "sans-serif",
    "font.size": 10,
    "text.color": INK,
    "text.parse_math": False,  # a dollar sign is one
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": INK,
    "grid.alpha": 0.12,
    "xtick.color": INK,
    "ytick.color": INK,
    "legend.frameon": False,
}


class Drawing:
    """A picture in the making.

    Attributes:
        axes: What to draw on, by matplotlib.
        svg: The picture, once it is finished.
    """

    def __init__(self, axes: Any) -> None:
        self.axes = axes
        self.svg = ""


@contextmanager
def drawing(name: str, size: tuple[float, float] = (6.4, 3.8)) -> Iterator[Drawing]:
    """Give axes to draw on, and make an SVG element of them at the end.

    Args:
        name: Different for each picture of a page.
        size: Width and height in inches.

    Raises:
        MissingDependencyError: matplotlib is not installed.

    Example:
        >>> with drawing("line") as picture:
        ...     lines = picture.axes.plot([0, 1], [0, 1], color=COLOURS[0])
        >>> picture.svg[:4], "currentColor" in picture.svg
        ('<svg', True)
    """
    style = require("matplotlib.style", extra="evaluation")
    figure = require("matplotlib.figure", extra="evaluation").Figure(figsize=size)
    require("matplotlib.backends.backend_svg", extra="evaluation").FigureCanvasSVG(figure)
    with style.context(["default", _STYLE | {"svg.hashsalt": name}]):
        picture = Drawing(figure.subplots())
        yield picture
        file = io.StringIO()
        figure.savefig(
            file, format="svg", transparent=True, bbox_inches="tight", metadata={"Date": None}
        )
    picture.svg = _inline(file.getvalue())


def depth_plot(sweep: DepthSweep) -> str:
    """Draw quality by the number of candidates that are reranked.

    Args:
        sweep: What was measured.

    Raises:
        MissingDependencyError: matplotlib is not installed.
    """
    with drawing("depth") as picture:
        axes = picture.axes
        _curves(axes, sweep, {point.depth: point.depth for point in sweep.curves[0].points})
        axes.set(xlabel="candidates reranked", ylabel=sweep.measure)
    return picture.svg


def time_plot(sweep: DepthSweep) -> str:
    """Draw quality by the time that a query takes.

    Args:
        sweep: What was measured, with seconds.

    Raises:
        MissingDependencyError: matplotlib is not installed.
    """
    with drawing("time") as picture:
        _curves(picture.axes, sweep, {d: 1000 * seconds for d, seconds in sweep.seconds.items()})
        picture.axes.set(xlabel="milliseconds a query", ylabel=sweep.measure)
    return picture.svg


def differences_plot(differences: Sequence[float], measure: str) -> str:
    """Draw what each query gained or lost, most first.

    Args:
        differences: One a query.
        measure: What they are differences of.

    Raises:
        MissingDependencyError: matplotlib is not installed.
    """
    ordered = sorted(differences, reverse=True)
    # Two points an edge make steps, one a query, in a single shape whatever their number.
    edges = [edge for place in range(len(ordered)) for edge in (place, place + 1)]
    heights = [height for height in ordered for _ in range(2)]
    with drawing("differences") as picture:
        axes = picture.axes
        for colour, keep in ((COLOURS[0], max), (COLOURS[1], min)):
            shown = [keep(height, 0.0) for height in heights]
            axes.fill_between(edges, shown, color=colour, linewidth=0)
        axes.axhline(0, color=INK, linewidth=0.8)
        axes.set(xlabel="queries, most gained first", ylabel=f"change of {measure}")
        axes.set(xlim=(0, len(ordered)))
        axes.xaxis.get_major_locator().set_params(integer=True)
    return picture.svg


def _curves(axes: Any, sweep: DepthSweep, places: dict[int, float]) -> None:
    for number, curve in enumerate(sweep.curves):
        colour = COLOURS[number]
        where = [places[point.depth] for point in curve.points]
        means = [point.mean for point in curve.points]
        axes.plot(
            *(where, [mean.mean for mean in means]),
            **{"color": colour, "marker": MARKERS[number], "linestyle": LINES[number]},
            **{"markersize": 5, "linewidth": 1.6, "label": curve.name},
        )
        if number == 0:  # the others' intervals are about as wide
            low, high = [mean.low for mean in means], [mean.high for mean in means]
            axes.fill_between(where, low, high, color=colour, alpha=0.15, linewidth=0)
    best = sweep.curves[0].recommended
    axes.plot(
        *([places[best.depth]], [best.mean.mean]),
        **{"marker": "o", "markersize": 12, "color": INK, "fillstyle": "none", "linestyle": ""},
        label="recommended",
    )
    axes.axhline(
        sweep.first_stage.mean, color=INK, alpha=0.6, linewidth=1, label="first stage alone"
    )
    _ticks(axes, list(places.values()))
    axes.legend(loc="best", fontsize=9)


def _ticks(axes: Any, places: list[float]) -> None:
    """Show the depths themselves: they mostly grow by factors."""
    axes.set_xscale("log")
    axes.set_xticks(places, labels=[f"{place:,.0f}" for place in places])
    axes.minorticks_off()


def _inline(svg: str) -> str:
    """Keep the element only, without ids that would be there twice on a page."""
    element = svg[svg.index("<svg") :]
    element = re.sub(r"<metadata>.*?</metadata>", "", element, flags=re.DOTALL)
    element = re.sub(r'<g id="[^"]*"', "<g", element)
    return element.replace(INK, "currentColor").strip()
