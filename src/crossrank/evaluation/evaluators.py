"""Evaluators: what a model is worth on rankings, similarities or classes."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Protocol

import numpy as np

from crossrank.errors import InputError
from crossrank.evaluation.evaluation_set import EvaluationSet
from crossrank.evaluation.measures import measure_per_query
from crossrank.evaluation.significance import Interval, bootstrap
from crossrank.optional import require
from crossrank.types import Floats, Pair

FOUND = " (found)"
"""After a measure's name: without the first stage's misses."""

Predict = Callable[[Sequence[Pair]], Floats]
"""Computes logits ``[pairs, labels]``."""


class Evaluator(Protocol):
    """Measures a model.

    Attributes:
        primary: Name of the measure that decides which checkpoint is best; higher is better.
    """

    primary: str

    def __call__(self, predict: Predict) -> dict[str, float]:
        """Compute all measures."""


@dataclass(frozen=True)
class Outcome:
    """What was measured.

    Attributes:
        values: The value of each measure.
        size: How many queries, or pairs, were measured.
        each: Of the measures that are means over these: the values they are means of.
    """

    values: dict[str, float]
    size: int
    each: dict[str, list[float]] = field(default_factory=dict)

    def interval(self, name: str) -> Interval | None:
        """Say where a measure would lie for other data of the same kind, with 95 % confidence.

        Means are bootstrapped; for correlations it is Bonett & Wright's (Psychometrika, 2000).

        Returns:
            ``None`` for a measure, or a size, that neither is for.

        Example:
            >>> str(Outcome({"spearman": 0.8}, size=103).interval("spearman"))
            '0.800 [0.703, 0.868]'
        """
        if name in self.each:
            return bootstrap(self.each[name])
        if name not in SimilarityEvaluator.variances or self.size < 4:
            return None
        value = self.values[name]
        variance = 1 + SimilarityEvaluator.variances[name] * value**2
        half = 1.959964 * math.sqrt(variance / (self.size - 3))
        middle = math.atanh(min(max(value, -1 + 1e-9), 1 - 1e-9))
        return Interval(value, math.tanh(middle - half), math.tanh(middle + half))


class DataEvaluator(ABC):
    """An evaluator of pairs with known answers.

    Attributes:
        primary: As for ``Evaluator``.
        unit: What is counted and averaged over: queries or pairs.
    """

    primary: str
    unit: ClassVar[str] = "pairs"

    def __call__(self, predict: Predict) -> dict[str, float]:
        """Compute all measures."""
        return self.outcome(predict).values

    def outcome(self, predict: Predict) -> Outcome:
        """Compute all measures, and what their certainty is computed from."""
        return self.judge(predict(self.pairs()))

    @abstractmethod
    def pairs(self) -> list[Pair]:
        """What is to be scored."""

    @abstractmethod
    def judge(self, logits: Floats) -> Outcome:
        """Measure the logits ``[pairs, labels]`` of ``pairs()``."""


class RankingEvaluator(DataEvaluator):
    """Measures how well candidates are ranked.

    What the first stage missed counts against a measure, as in trec_eval: that is what a user of
    both stages gets. The same measure over what was found says what the reranker does with it.

    Args:
        task: Queries, candidates and judgements.
        measures: Names as in ir-measures; the first one is the primary one.
        found: Add each measure as it is without the first stage's misses, ``nDCG@10 (found)``: only
            candidates are judged, and queries without a relevant one are left out.

    Raises:
        InputError: There is no measure, or no query whose candidates differ in relevance.

    Example:
        >>> texts = {"a": "yes", "b": "no"}
        >>> task = EvaluationSet({"q": "?"}, texts, {"q": {"a": 1}}, {"q": {"a": 0.0, "b": 1.0}})
        >>> RankingEvaluator(task, ["RR@10"])(lambda pairs: np.float32([[3.0], [1.0]]))
        {'RR@10': 1.0}
    """

    unit = "queries"

    def __init__(
        self,
        task: EvaluationSet,
        measures: Sequence[str] = ("nDCG@10", "RR@10", "AP"),
        *,
        found: bool = False,
    ) -> None:
        if not measures:
            raise InputError("A ranking evaluator needs at least one measure, received none.")
        if not any(_differ(task, query) for query in task.qrels):
            raise InputError(
                "Rankings can be measured where a query has both relevant and other candidates, "
                f"and none of the {len(task.candidates)} queries does."
            )
        self.task = task
        self.measures = tuple(measures)
        self.primary = self.measures[0]
        self._judged = {"": task.qrels} | ({FOUND: task.without_misses().qrels} if found else {})

    def pairs(self) -> list[Pair]:
        """Every query with each of its candidates."""
        return self.task.pairs()

    def judge(self, logits: Floats) -> Outcome:
        """Rank every query's candidates by logit."""
        run = self.task.run(logits[:, 0].tolist())
        each: dict[str, list[float]] = {}
        for ending, qrels in self._judged.items():
            values = measure_per_query(run, qrels, self.measures).values()
            each |= {f"{name}{ending}": [of[name] for of in values] for name in self.measures}
        means = {name: float(np.mean(values)) for name, values in each.items()}
        return Outcome(means, len(self.task.qrels), each)


class SimilarityEvaluator(DataEvaluator):
    """Measures how scores agree with graded similarities.

    Args:
        pairs: The pairs.
        labels: A similarity a pair.

    Raises:
        InputError: All labels are the same.

    Example:
        >>> evaluator = SimilarityEvaluator([("a", "b"), ("a", "c"), ("a", "d")], [0.1, 0.5, 0.9])
        >>> evaluator(lambda pairs: np.float32([[1], [3], [2]]))["spearman"]
        0.5
    """

    primary = "spearman"
    variances: ClassVar[dict[str, float]] = {"spearman": 0.5, "pearson": 0.0}
    """How the variance of Fisher's transform of a correlation grows with its square."""

    def __init__(self, pairs: Sequence[Pair], labels: Sequence[float]) -> None:
        _check(pairs, labels, "A correlation needs pairs with at least two different labels")
        self._pairs = list(pairs)
        self.labels = np.asarray(labels, dtype=np.float64)

    def pairs(self) -> list[Pair]:
        """All pairs."""
        return self._pairs

    def judge(self, logits: Floats) -> Outcome:
        """Compute Spearman's and Pearson's correlation."""
        stats = require("scipy.stats", extra="train")
        scores = logits[:, 0].astype(np.float64)
        functions = {"spearman": stats.spearmanr, "pearson": stats.pearsonr}
        if np.ptp(scores) == 0:
            return Outcome(dict.fromkeys(functions, 0.0), len(scores))  # undefined, and of no use
        values = {
            name: float(function(scores, self.labels).statistic)
            for name, function in functions.items()
        }
        return Outcome(values, len(scores))


class ClassEvaluator(DataEvaluator):
    """Measures how often the right class gets the highest logit.

    Args:
        pairs: The pairs.
        labels: The class of each pair, from 0. With a single logit, 1 is above 0 and 0 below.

    Raises:
        InputError: A label is no class, or all are the same.

    Example:
        >>> evaluator = ClassEvaluator([("a", "b"), ("a", "c")], [1, 0])
        >>> evaluator(lambda pairs: np.float32([[0.5], [0.1]]))["accuracy"]
        0.5
    """

    primary = "accuracy"

    def __init__(self, pairs: Sequence[Pair], labels: Sequence[float]) -> None:
        _check(pairs, labels, "Classes are told apart where there are pairs of at least two")
        strange = [label for label in labels if label != int(label) or label < 0]
        if strange:
            raise InputError(f"Classes must be whole numbers from 0, received {strange[0]!r}.")
        self._pairs = list(pairs)
        self.labels = np.asarray(labels).astype(int)

    def pairs(self) -> list[Pair]:
        """All pairs."""
        return self._pairs

    def judge(self, logits: Floats) -> Outcome:
        """Compute accuracy, the mean F1 of the classes, and of two classes F1 and AP of class 1."""
        single = logits.shape[1] == 1
        found = (logits[:, 0] > 0).astype(int) if single else logits.argmax(axis=1)
        hits = (found == self.labels).astype(float).tolist()
        values = {
            "accuracy": float(np.mean(hits)),
            "macro_f1": float(np.mean([self._f1(found, c) for c in np.unique(self.labels)])),
        }
        if logits.shape[1] <= 2 and self.labels.max() == 1:
            scores = logits[:, 0] if single else logits[:, 1] - logits[:, 0]
            values |= {"f1": self._f1(found, 1), "ap": average_precision(scores, self.labels)}
        return Outcome(values, len(hits), {"accuracy": hits})

    def _f1(self, found: np.ndarray, wanted: int) -> float:
        hits = np.sum((found == wanted) & (self.labels == wanted))
        return float(2 * hits / (np.sum(found == wanted) + np.sum(self.labels == wanted)))


def average_precision(scores: np.ndarray, labels: np.ndarray) -> float:
    """Compute the mean of the precision at each positive, ties at the end of their tie.

    Args:
        scores: ``[pairs]``.
        labels: ``[pairs]``, 1 or 0, at least one of them 1.

    Example:
        >>> float(average_precision(np.array([0.9, 0.5, 0.5, 0.1]), np.array([1, 0, 1, 0])))
        0.833...
    """
    order = np.argsort(-scores, kind="stable")
    positives = np.cumsum(labels[order])
    last = np.searchsorted(-scores[order], -scores[order], side="right")  # of each one's tie
    precision = positives[last - 1] / last
    return float(np.mean(precision[labels[order] == 1]))


def _differ(task: EvaluationSet, query: str) -> bool:
    """Say whether an order of the query's candidates can be better than another."""
    grades = task.qrels[query]
    found = {max(0, grades.get(document, 0)) for document in task.candidates.get(query, ())}
    return len(found) > 1


def _check(pairs: Sequence[Pair], labels: Sequence[float], requirement: str) -> None:
    if len(pairs) != len(labels):
        raise InputError(f"Each pair needs a label, received {len(pairs)} and {len(labels)}.")
    if len(set(labels)) < 2:
        only = f", all of {labels[0]:g}" if labels else ""
        raise InputError(f"{requirement}, received {len(pairs)} pairs{only}.")
