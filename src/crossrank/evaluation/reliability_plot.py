"""The reliability diagram: what probabilities say, and what is true."""

from collections.abc import Sequence

from crossrank.evaluation.calibration_measures import Bin
from crossrank.evaluation.plots import COLOURS, INK, LINES, MARKERS, drawing


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
    with drawing("reliability", (5.2, 4.8)) as picture:
        axes = picture.axes
        axes.plot([0, 1], [0, 1], color=INK, alpha=0.5, linewidth=1)
        axes.text(
            *(0.7, 0.715, "as it should be"),
            **{"rotation": 45, "rotation_mode": "anchor", "alpha": 0.75, "ha": "center"},
        )
        for number, (name, bins) in enumerate({"calibrated": after, "before": before}.items()):
            share = [entry.relevant for entry in bins]
            axes.errorbar(
                [entry.probability for entry in bins],
                [value.mean for value in share],
                yerr=[
                    [max(0.0, value.mean - value.low) for value in share],
                    [max(0.0, value.high - value.mean) for value in share],
                ],
                **{"color": COLOURS[number], "marker": MARKERS[number], "label": name},
                **{"linestyle": LINES[number], "markersize": 4.5, "linewidth": 1.4},
                **{"elinewidth": 0.9, "capsize": 2},
            )
        axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")
        axes.set(xlabel="mean probability", ylabel="share that is relevant")
        axes.legend(loc="upper left", fontsize=9)
    return picture.svg
