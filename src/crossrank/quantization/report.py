"""What an export cost: size, time, memory and ranking quality beside fp32."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

import numpy as np

from crossrank.evaluation.evaluation_set import EvaluationSet
from crossrank.evaluation.measures import measure as measure_run
from crossrank.optional import require
from crossrank.quantization.measure import Measurement
from crossrank.types import Floats, Precision

MEASURE = "nDCG@10"


@dataclass(frozen=True)
class Figures:
    """One model's side of the report.

    Attributes:
        bytes: Size of the weight file.
        load_seconds: From the files to the first score, median over the rounds.
        pairs_per_second: Median over the rounds.
        peak_bytes: Largest resident memory, median over the rounds.
        ndcg: nDCG@10 on the evaluation set, when there is one.
    """

    bytes: int
    load_seconds: float
    pairs_per_second: float
    peak_bytes: int
    ndcg: float | None


@dataclass(frozen=True)
class ExportReport:
    """What an export cost.

    Attributes:
        precision: What was written.
        pairs: How many pairs were scored.
        fp32: The model before.
        exported: The model after, measured in turn with it.
        kendall_tau: Rank correlation of both models' logits: the mean over the evaluation set's
            queries, or over all pairs where there is none. 1 is the same order.
        largest_score_change: Of any logit.
    """

    precision: Precision
    pairs: int
    fp32: Figures
    exported: Figures
    kendall_tau: float
    largest_score_change: float

    @property
    def ndcg_loss(self) -> float | None:
        """The share of fp32's nDCG@10 that was lost; negative when it was gained."""
        if self.fp32.ndcg is None or self.exported.ndcg is None:
            return None
        return 1 - self.exported.ndcg / self.fp32.ndcg if self.fp32.ndcg else 0.0

    def write(self, file: Path) -> None:
        """Write the report as JSON."""
        text = json.dumps(asdict(self) | {"ndcg_loss": self.ndcg_loss}, indent=2)
        file.write_text(text + "\n", encoding="utf-8")

    def rows(self) -> list[tuple[str, str, str, str]]:
        """The report as a table: what, fp32, exported, and how they compare."""
        before, after = self.fp32, self.exported
        rows = [
            _row("size (MB)", before.bytes / 1e6, after.bytes / 1e6, 1),
            _row("load (s)", before.load_seconds, after.load_seconds, 2),
            _row("pairs/s", before.pairs_per_second, after.pairs_per_second, 0),
            _row("peak memory (MB)", before.peak_bytes / 1e6, after.peak_bytes / 1e6, 0),
        ]
        if before.ndcg is not None and after.ndcg is not None:
            loss = f"{-(self.ndcg_loss or 0):+.2%}"
            rows.append((MEASURE, f"{before.ndcg:.4f}", f"{after.ndcg:.4f}", loss))
        rows.append(("Kendall's tau", "", f"{self.kendall_tau:.4f}", ""))
        rows.append(("largest score change", "", f"{self.largest_score_change:.4f}", ""))
        return rows


def _row(name: str, before: float, after: float, digits: int) -> tuple[str, str, str, str]:
    return name, f"{before:.{digits}f}", f"{after:.{digits}f}", f"{after / before:.2f} x"


def make_report(
    precision: Precision,
    sizes: tuple[int, int],
    rounds: list[tuple[Measurement, Measurement]],
    logits: tuple[Floats, Floats],
    evaluation: EvaluationSet | None,
) -> ExportReport:
    """Put the measurements of both models together.

    Args:
        precision: What was written.
        sizes: Bytes of the weight files, fp32 and exported.
        rounds: Both models, measured in turn.
        logits: Of both models, ``[pairs, labels]``.
        evaluation: Where the pairs come from, when they can be judged.
    """
    ndcg: list[float | None] = [None, None]
    if evaluation is not None:
        runs = [evaluation.run(values[:, 0].tolist()) for values in logits]
        ndcg = [measure_run(run, evaluation.qrels, [MEASURE])[MEASURE] for run in runs]
    groups = [len(found) for found in evaluation.candidates.values()] if evaluation else []
    before, after = (
        Figures(
            bytes=sizes[side],
            load_seconds=median(both[side].load_seconds for both in rounds),
            pairs_per_second=median(both[side].pairs_per_second for both in rounds),
            peak_bytes=int(median(both[side].peak_bytes for both in rounds)),
            ndcg=ndcg[side],
        )
        for side in (0, 1)
    )
    return ExportReport(
        precision=precision,
        pairs=len(logits[0]),
        fp32=before,
        exported=after,
        kendall_tau=mean_tau(logits[0][:, 0], logits[1][:, 0], groups),
        largest_score_change=float(np.abs(logits[0] - logits[1]).max()),
    )


def mean_tau(one: Floats, other: Floats, groups: list[int]) -> float:
    """Average Kendall's tau-b over consecutive groups; one group when none are given.

    Args:
        one: Logits of one model.
        other: Logits of the other for the same pairs.
        groups: How many pairs belong to each query.

    Example:
        >>> mean_tau(np.float32([1, 2, 3, 4]), np.float32([1, 2, 4, 3]), [2, 2])
        0.0
    """
    stats = require("scipy.stats", extra="export")
    borders = np.cumsum(groups or [len(one)])[:-1]
    parts = zip(np.split(one, borders), np.split(other, borders), strict=True)
    values = [stats.kendalltau(a, b).statistic for a, b in parts if len(a) > 1]
    known = [value for value in values if not np.isnan(value)]  # undefined where all are tied
    return float(np.mean(known)) if known else 1.0
