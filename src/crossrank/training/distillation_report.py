"""What a student is beside its teacher: ranking quality, size and speed."""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path
from statistics import median

import numpy as np

from crossrank.evaluation.evaluation_set import EvaluationSet
from crossrank.evaluation.evaluators import RankingEvaluator
from crossrank.evaluation.significance import Comparison, Interval, bootstrap, compare
from crossrank.quantization.measure import measure
from crossrank.training.soft_labels import CrossEncoderTeacher, Teacher
from crossrank.types import Floats, Pair, Precision

MEASURE = "nDCG@10"
ROUNDS = 3
"""How often speed is measured: teacher and student in turn."""


@dataclass(frozen=True)
class Figures:
    """One model's side of the report.

    Attributes:
        bytes: Size of the weight files; ``None`` where it is not run for speed, like the next.
        pairs_per_second: On OpenVINO, alone in a process, median over the rounds.
        ndcg: nDCG@10 with its interval, where there is an evaluation set.
    """

    bytes: int | None
    pairs_per_second: float | None
    ndcg: Interval | None


@dataclass(frozen=True)
class DistillationReport:
    """What a student is beside its teacher.

    Attributes:
        layers: Which layers of the model that it began as it has kept; ``None`` for all.
        loss: What was minimised.
        queries: How many lists of documents it learned from.
        student: The student.
        teacher: The teacher, where it is a model.
        comparison: The student's nDCG@10 less the teacher's, query by query.
    """

    layers: tuple[int, ...] | None
    loss: str
    queries: int
    student: Figures
    teacher: Figures | None
    comparison: Comparison | None

    @property
    def speedup(self) -> float | None:
        """How many times as fast as the teacher the student is."""
        return self._ratio(lambda side: side.pairs_per_second)

    @property
    def ndcg_kept(self) -> float | None:
        """The student's nDCG@10 as a share of the teacher's."""
        return self._ratio(lambda side: side.ndcg.mean if side.ndcg else None)

    def write(self, file: Path) -> None:
        """Write the report as JSON."""
        more = {"speedup": self.speedup, "ndcg_kept": self.ndcg_kept}
        file.write_text(json.dumps(asdict(self) | more, indent=2) + "\n", encoding="utf-8")

    def rows(self) -> list[tuple[str, str, str, str]]:
        """The report as a table: what, teacher, student, and how they compare."""

        def shown(value: Callable[[Figures], object], form: str) -> list[str]:
            values = [value(side) if side else None for side in (self.teacher, self.student)]
            return ["" if found is None else format(found, form) for found in values]

        def times(value: float | None) -> str:
            return "" if value is None else f"{value:.2f} x"

        size = self._ratio(lambda side: side.bytes)
        rows = [
            ("size (MB)", *shown(lambda side: side.bytes and side.bytes / 1e6, ".1f"), times(size)),
            ("pairs/s", *shown(lambda side: side.pairs_per_second, ".0f"), times(self.speedup)),
        ]
        if self.student.ndcg:
            kept = "" if self.ndcg_kept is None else f"{self.ndcg_kept:.1%}"
            rows.append((MEASURE, *shown(lambda side: side.ndcg, ""), kept))
        if self.comparison:
            found = self.comparison
            interval = f"{found.difference} (p = {found.p_value:.3f})"
            rows.append(("student less teacher", "", interval, ""))
        return [(name, before, after, note) for name, before, after, note in rows]

    def _ratio(self, value: Callable[[Figures], float | None]) -> float | None:
        before, after = (value(side) if side else None for side in (self.teacher, self.student))
        return after / before if after is not None and before else None


def make_report(
    student: Path,
    teacher: Teacher | None,
    *,
    layers: tuple[int, ...] | None,
    loss: str,
    queries: int,
    pairs: Sequence[Pair],
    evaluation: EvaluationSet | None = None,
) -> DistillationReport:
    """Measure a student and its teacher.

    Args:
        student: Its folder.
        teacher: The teacher, where it is a model.
        layers: See ``DistillationReport``, like the next two.
        loss: See there.
        queries: See there.
        pairs: What speed is measured on where there is no evaluation set.
        evaluation: What quality is measured on, and speed.

    Raises:
        ExportError: A model cannot be run on OpenVINO.
    """
    scored = evaluation.pairs() if evaluation else pairs
    models: list[tuple[Path, Precision]] = [(student, "fp32")]
    if isinstance(teacher, CrossEncoderTeacher) and teacher.model.backend == "openvino":
        models.append((teacher.model.spec.folder, teacher.model.runtime.precision))
    rounds = [[measure(*model, scored) for model in models] for _ in range(ROUNDS)]
    speeds = [median(run.pairs_per_second for run, _ in turn) for turn in zip(*rounds, strict=True)]
    logits = [found for _, found in rounds[0]]
    sizes: list[int | None] = [_size(student.rglob("*.safetensors"))]
    if isinstance(teacher, CrossEncoderTeacher) and len(models) == 2:
        sizes.append(_size(teacher.model.runtime.files))
    elif teacher is not None and evaluation is not None:
        sizes.append(None)
        logits.append(np.asarray(teacher.score(scored))[:, None])
    values = [_ndcg(found, evaluation) for found in logits]
    sides = [
        Figures(size, speed, bootstrap(each) if each else None)
        for size, speed, each in zip(sizes, chain(speeds, [None]), values, strict=False)
    ]
    judged = evaluation is not None and len(sides) == 2
    return DistillationReport(
        layers=layers,
        loss=loss,
        queries=queries,
        student=sides[0],
        teacher=sides[1] if len(sides) == 2 else None,
        comparison=compare(values[1], values[0]) if judged else None,
    )


def _ndcg(logits: Floats, evaluation: EvaluationSet | None) -> list[float]:
    """Measure nDCG@10 query by query; nothing without an evaluation set."""
    if evaluation is None:
        return []
    return RankingEvaluator(evaluation, [MEASURE]).judge(logits).each[MEASURE]


def _size(files: Iterable[Path]) -> int:
    return sum(file.stat().st_size for file in files)
