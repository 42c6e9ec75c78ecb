"""The reliability diagram: what probabilities say, and what is true."""

import io
from collections.abc import Sequence

from crossrank.evaluation.calibration_measures import Bin
from crossrank.optional import require

_INK = "#010203"
"""Stands for the colour of the text around the picture, in light pages and dark ones."""

_STYLE = {
    "svg.fonttype": "none",  # text stays text
    "svg.hashsalt": "crossrank",  # the same bins give the same picture
    "font.family": "sans-serif",
    "text.color": _INK,
    "axes.edgecolor": _INK,
    "axes.labelcolor": _INK,
    "xtick.color": _INK,
    "ytick.color": _INK,
}


def reliability_diagram(before: Sequence[Bin], after: Sequence[Bin]) -> str:
    """Draw the share that is relevant against the probability, before and after calibration.

    Args:
        before: Bins of the probabilities before.
        after: Bins of those after.

    Returns:
        A picture as an SVG element, for light pages and dark ones.

    Raises:
        MissingDependencyError: matplotlib is not installed.
    """
    matplotlib = require("matplotlib", extra="evaluation")
    figure = require("matplotlib.figure", extra="evaluation").Figure(figsize=(5.4, 5.0))
    with matplotlib.rc_context(_STYLE):
        axes = figure.subplots()
        axes.plot([0, 1], [0, 1], color=_INK, alpha=0.45, linewidth=1, linestyle="--")
        axes.text(
            *(0.7, 0.715, "as it should be"),
            **{"rotation": 45, "rotation_mode": "anchor", "alpha": 0.75, "ha": "center"},
        )
        for bins, name, colour, marker in (
            (before, "before", "#d1730b", "s"),
            (after, "calibrated", "#2478c7", "o"),
        ):
            share = [entry.relevant for entry in bins]
            axes.errorbar(
                [entry.probability for entry in bins],
                [value.mean for value in share],
                yerr=[
                    [max(0.0, value.mean - value.low) for value in share],
                    [max(0.0, value.high - value.mean) for value in share],
                ],
                **{"color": colour, "marker": marker, "label": name},
                **{"markersize": 4.5, "linewidth": 1.4, "elinewidth": 0.9, "capsize": 2},
            )
        axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")
        axes.set(xlabel="mean probability", ylabel="share that is relevant")
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False, loc="upper left")
        file = io.StringIO()
        figure.savefig(
            file, format="svg", transparent=True, bbox_inches="tight", metadata={"Date": None}
        )
    text = file.getvalue()
    return text[text.index("<svg") :].replace(_INK, "currentColor")
