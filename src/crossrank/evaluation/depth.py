"""How many candidates to rerank: quality by depth, for the reranker alone and fused."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from crossrank.errors import InputError
from crossrank.evaluation.measures import measure_per_query
from crossrank.evaluation.runs import best_candidates
from crossrank.evaluation.significance import Interval, bootstrap
from crossrank.fusion import reciprocal_rank_fusion, weighted_fusion
from crossrank.types import Qrels, Run

MARGIN = 0.02
"""What a smaller depth may lose, in units of the measure."""

FOLDS = 5
WEIGHTS = tuple(tenths / 10 for tenths in range(11))
"""What the reranker may weigh; the first stage weighs the rest of 1."""


@dataclass(frozen=True)
class DepthPoint:
    """One way to rank, at one depth.

    Attributes:
        depth: How many candidates of each query are reranked, at most.
        pairs: How many pairs that is, over all queries.
        values: The measure by query.
        mean: Over the queries, with its interval.
        loss: What it loses against the best depth of its curve, with its interval; 0 for the best.
        weights: Of interpolation: the reranker's weight for each fold of the queries.
    """

    depth: int
    pairs: int
    values: dict[str, float]
    mean: Interval
    loss: Interval
    weights: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class DepthCurve:
    """One way to rank, at all depths.

    Attributes:
        name: How tables call it.
        points: By growing depth.
    """

    name: str
    points: list[DepthPoint]

    @property
    def best(self) -> DepthPoint:
        """The depth of the highest mean."""
        return max(self.points, key=lambda point: point.mean.mean)

    @property
    def recommended(self) -> DepthPoint:
        """The smallest depth that loses less than ``MARGIN`` against the best, as far as is known.

        The 95 % interval of its loss ends below the margin, so few queries recommend more depth.
        """
        return next(point for point in self.points if point.loss.high <= MARGIN)


@dataclass(frozen=True)
class DepthSweep:
    """Quality by depth.

    Attributes:
        measure: What quality is measured by.
        first_stage: The first stage alone.
        curves: The reranker alone, and fused with the first stage.
        seconds: For one query, by depth; empty where that was not measured.
    """

    measure: str
    first_stage: Interval
    curves: list[DepthCurve]
    seconds: dict[int, float] = field(default_factory=dict)


def sweep_depths(
    first_stage: Run,
    logits: Run,
    qrels: Qrels,
    measure: str,
    depths: Sequence[int],
    *,
    seconds: Mapping[int, float] | None = None,
    seed: int = 0,
) -> DepthSweep:
    """Measure at every depth, with pairs that were scored once.

    Whatever is not reranked follows in the first stage's order. Fusion is weighted interpolation of
    both scores, min-max normalised, and reciprocal-rank fusion (k = 60), of the candidates that are
    reranked. The weight for a query is the best one on other queries, by cross-validation.

    Args:
        first_stage: The first stage's run.
        logits: Of its best candidates, to the largest depth.
        qrels: Judgements.
        measure: A name as in ir-measures.
        depths: One or more.
        seconds: What a query takes, by depth.
        seed: Of the division of queries into folds.

    Raises:
        InputError: There is no depth, or none for which there are logits; or the measure is none.
        MissingDependencyError: ir-measures is not installed.

    Example:
        >>> first, logits = {"q": {"a": 2.0, "b": 1.0}}, {"q": {"a": 0.1, "b": 0.7}}
        >>> sweep = sweep_depths(first, logits, {"q": {"b": 1}}, "RR@10", [1, 2])
        >>> [point.mean.mean for point in sweep.curves[0].points]
        [0.5, 1.0]
    """
    if not depths or min(depths) < 1:
        raise InputError(f"Depths of at least 1 are required, received {list(depths)}.")
    depths = sorted(set(depths))

    def values(run: Run) -> dict[str, float]:
        return {q: found[measure] for q, found in measure_per_query(run, qrels, [measure]).items()}

    def curve(name: str, rank: Callable[[int], tuple[dict[str, float], list[float]]]) -> DepthCurve:
        pairs = {
            depth: sum(min(depth, len(found)) for found in logits.values()) for depth in depths
        }
        return _curve(name, pairs, [rank(depth) for depth in depths])

    def interpolated(depth: int) -> tuple[dict[str, float], list[float]]:
        by_weight = {w: values(fuse(first_stage, logits, depth, w)) for w in WEIGHTS}
        return choose_on_others(by_weight, seed)

    curves = [
        curve("reranker alone", lambda depth: (values(rerank(first_stage, logits, depth)), [])),
        curve("reciprocal ranks", lambda depth: (values(fuse(first_stage, logits, depth)), [])),
    ]
    if len(qrels) > 1:  # else there are no other queries to choose the weight on
        curves.insert(1, curve("interpolated", interpolated))
    alone = bootstrap(list(values(first_stage).values()))
    return DepthSweep(measure, alone, curves, dict(seconds or {}))


def rerank(first_stage: Run, logits: Run, depth: int) -> Run:
    """Put the best candidates in the order of their logits, and all others below.

    Args:
        first_stage: The first stage's run.
        logits: Of its best candidates, to this depth or deeper.
        depth: How many candidates of a query are reranked.

    Returns:
        A run of logits; scores of documents below go down from the lowest in steps of 1.

    Raises:
        InputError: A candidate has no logit.

    Example:
        >>> first, logits = {"q": {"a": 9.0, "b": 8.0, "c": 7.0}}, {"q": {"a": 1.0, "b": 2.5}}
        >>> rerank(first, logits, 2)
        {'q': {'b': 2.5, 'a': 1.0, 'c': 0.0}}
    """
    return _above(_scored(first_stage, logits, depth), first_stage)


def fuse(first_stage: Run, logits: Run, depth: int, weight: float | None = None) -> Run:
    """Fuse the orders of the best candidates, and put all others below.

    Args:
        first_stage: As for ``rerank``.
        logits: As for ``rerank``.
        depth: As for ``rerank``.
        weight: The reranker's; the first stage has the rest of 1. By default ranks are fused.

    Raises:
        InputError: A candidate has no logit, or a score is not finite.

    Example:
        >>> first, logits = {"q": {"a": 9.0, "b": 8.0, "c": 7.0}}, {"q": {"a": 1.0, "b": 2.5}}
        >>> fuse(first, logits, 2, weight=0.75)
        {'q': {'b': 0.75, 'a': 0.25, 'c': -0.75}}
    """
    runs = [best_candidates(first_stage, depth), _scored(first_stage, logits, depth)]
    fused = (
        reciprocal_rank_fusion(runs)
        if weight is None
        else weighted_fusion(runs, [1 - weight, weight])
    )
    return _above(fused, first_stage)


def choose_on_others(
    values: Mapping[float, Mapping[str, float]], seed: int
) -> tuple[dict[str, float], list[float]]:
    """Choose a weight for each fold of the queries on the other folds.

    Args:
        values: For each weight, the measure by query; two queries or more.
        seed: Of the division into folds.

    Returns:
        Each query's value with the weight chosen for it, and the weight of each fold. Of weights
        that are equally good it is the largest.

    Example:
        >>> values = {0.0: {"a": 1.0, "b": 0.0}, 1.0: {"a": 0.0, "b": 0.5}}
        >>> choose_on_others(values, seed=0)[0]  # each is chosen by the other
        {'a': 0.0, 'b': 0.0}
    """
    weights = sorted(values, reverse=True)
    queries = list(values[weights[0]])
    table = np.array([[values[weight][query] for query in queries] for weight in weights])
    places = np.random.default_rng(seed).permutation(len(queries))
    found, chosen = np.empty(len(queries)), []
    for fold in np.array_split(places, min(FOLDS, len(queries))):
        others = np.setdiff1d(places, fold)
        best = int(table[:, others].mean(axis=1).argmax())
        found[fold] = table[best, fold]
        chosen.append(weights[best])
    return dict(zip(queries, found.tolist(), strict=True)), chosen


def _curve(
    name: str, pairs: Mapping[int, int], found: Sequence[tuple[dict[str, float], list[float]]]
) -> DepthCurve:
    columns = [np.array(list(values.values())) for values, _ in found]
    best = max(columns, key=np.mean)
    return DepthCurve(
        name,
        [
            DepthPoint(
                depth,
                pairs[depth],
                values,
                bootstrap(column.tolist()),
                bootstrap((best - column).tolist()),
                weights,
            )
            for depth, column, (values, weights) in zip(pairs, columns, found, strict=True)
        ],
    )


def _scored(first_stage: Run, logits: Run, depth: int) -> Run:
    try:
        return {
            query: {document: logits[query][document] for document in scores}
            for query, scores in best_candidates(first_stage, depth).items()
        }
    except KeyError as error:
        raise InputError(
            f"Each of the best {depth} candidates needs a logit, and {error} has none."
        ) from error


def _above(scored: Run, first_stage: Run) -> Run:
    """Put what was scored, best first, above the rest in the first stage's order."""
    run: Run = {}
    rankings = best_candidates(first_stage)
    for query, scores in best_candidates(scored).items():
        lowest = min(scores.values(), default=0.0)
        below = (document for document in rankings[query] if document not in scores)
        run[query] = scores | {d: lowest - place for place, d in enumerate(below, start=1)}
    return run
