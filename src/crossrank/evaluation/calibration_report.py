"""What a calibration shows: measures before and after, the choice of the method, the threshold."""

from dataclasses import asdict
from typing import Any

from crossrank.evaluation.calibration import CalibrationResult
from crossrank.evaluation.calibration_maps import Threshold
from crossrank.evaluation.calibration_measures import BINS, Change
from crossrank.evaluation.judged_pairs import JudgedPairs
from crossrank.evaluation.report import Figure, Section, Table
from crossrank.evaluation.significance import Interval


def calibration_section(found: CalibrationResult) -> Section:
    """Show a calibration in words and tables; the picture comes from ``reliability_figure``."""
    tables = [_changes(found.changes)]
    if found.losses is not None:
        tables.append(_losses(found.losses))
    how = "" if found.losses is None else ", chosen by cross-validation where it was fitted"
    text = [
        f"Method: {found.calibration.method} ({found.calibration.map}){how}. Fitted on "
        f"{_counted(found.fitting)}; judged on {_counted(found.judging)}, none of them the same.",
        "Before is the sigmoid of the logit. Lower is better: NLL is the negative log-likelihood "
        "of a pair in nats; Brier its squared error; ECE the mean distance of the probability "
        f"from the share that is relevant, in {BINS} bins of equally many pairs. Brackets are "
        "95 % intervals for other queries of the same kind (basic bootstrap over queries); an ECE "
        "is above 0 by chance too, and its interval begins at 0 where chance alone explains it. "
        "The order of documents is as it was.",
    ]
    if found.calibration.threshold is not None:
        tables.append(_threshold(found.calibration.threshold))
        text.append(
            "The threshold was chosen on the queries that were fitted on; precision and recall are "
            "those on the others. The lower bound of the precision holds with 95 % confidence: "
            "the lower of a bootstrap over queries and Clopper and Pearson's over pairs."
        )
    return Section("Calibration", text=text, tables=tables, data=_data(found))


def reliability_figure(found: CalibrationResult) -> Figure:
    """Draw the reliability diagram.

    Raises:
        MissingDependencyError: matplotlib is not installed.
    """
    from crossrank.evaluation.reliability_plot import reliability_diagram

    caption = (
        f"Reliability on {found.judging.size} queries that were not fitted on. Each point is one "
        f"of at most {BINS} bins of equally many pairs: their mean probability, and the share that "
        "is relevant, with its 95 % interval over queries. ECE "
        f"{found.changes['ECE'].before.mean:.3f} before, {found.changes['ECE'].after.mean:.3f} "
        "after. On the diagonal probabilities mean what they say."
    )
    return Figure(reliability_diagram(found.before, found.after), caption)


def _counted(pairs: JudgedPairs) -> str:
    counts = pairs.counts()
    share = counts["relevant"] / counts["pairs"]
    return f"{counts['queries']:,} queries ({counts['pairs']:,} pairs, {share:.1%} relevant)"


def _changes(changes: dict[str, Change]) -> Table:
    rows = [
        [name, _shown(change.before), _shown(change.after), _shown(change.change, "+")]
        for name, change in changes.items()
    ]
    return Table(["", "before", "after", "change"], rows, "Before and after calibration")


def _losses(losses: dict[Any, float | None]) -> Table:
    rows = [
        [method, "does not fit" if loss is None else f"{loss:.4f}"]
        for method, loss in losses.items()
    ]
    return Table(["method", "NLL"], rows, "Cross-validation")


def _threshold(threshold: Threshold) -> Table:
    precision = threshold.precision
    row = [
        f"{threshold.wanted:g}",
        f"{threshold.probability:.4f}",
        "none reached it" if precision is None else f"{precision:.3f}",
        f"{threshold.lower_bound:.3f}",
        f"{threshold.recall:.3f}",
    ]
    header = ["wanted precision", "threshold", "precision", "lower bound", "recall"]
    return Table(header, [row], "Relevant from this probability on")


def _shown(value: Interval, sign: str = "") -> str:
    low, high = f"{value.low:{sign}.4f}", f"{value.high:{sign}.4f}"
    return f"{value.mean:{sign}.4f} [{low}, {high}]"


def _data(found: CalibrationResult) -> dict[str, Any]:
    threshold = found.calibration.threshold
    return {
        "method": found.calibration.method,
        "map": asdict(found.calibration.map),
        "fitted_on": found.fitting.counts(),
        "judged_on": found.judging.counts(),
        "measures": {name: asdict(change) for name, change in found.changes.items()},
        "cross_validation_nll": found.losses,
        "threshold": None if threshold is None else asdict(threshold),
        "reliability": {
            "before": [asdict(entry) for entry in found.before],
            "after": [asdict(entry) for entry in found.after],
        },
    }
