"""Several systems on one collection: who is better, how sure that is, and on which queries."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

from crossrank.errors import InputError
from crossrank.evaluation.measures import measure_per_query
from crossrank.evaluation.significance import (
    Comparison,
    Interval,
    bootstrap,
    compare,
    effect_size,
    holm,
    paired_t_test,
    queries_needed,
)
from crossrank.types import Qrels, Run

LEVEL = 0.05
"""Chance that any of the differences called significant is none."""


@dataclass(frozen=True)
class System:
    """Something that ranks.

    Attributes:
        name: How tables call it.
        run: What it answers.
        seconds: How long it took to score, where that is known.
    """

    name: str
    run: Run
    seconds: float | None = None


@dataclass(frozen=True)
class Contrast:
    """Two systems by one measure.

    Attributes:
        first: Place of the one among the systems.
        second: Place of the other.
        measure: The measure.
        comparison: Second minus first, by a paired randomisation test.
        corrected: Its p-value after Holm's correction for all contrasts.
        t_test: The p-value of a paired t-test, not corrected; ``None`` for a single query.
        effect: Cohen's d of the paired differences; ``None`` for a single query.
        needed: How many queries a t-test needs to find this effect with a chance of 80 %;
            ``None`` if a million are not enough, and for a single query.
    """

    first: int
    second: int
    measure: str
    comparison: Comparison
    corrected: float
    t_test: float | None
    effect: float | None
    needed: int | None

    @property
    def significant(self) -> bool:
        """Say whether the two differ."""
        return self.corrected < LEVEL


@dataclass(frozen=True)
class SystemComparison:
    """Several systems on the same queries.

    Attributes:
        systems: The systems.
        measures: Names of the measures; the first one says which queries differ most.
        values: For each system, ``values[query_id][measure]``; the same queries for all.
        means: For each system, the mean of each measure.
        contrasts: The systems that were compared, by each measure.
    """

    systems: list[System]
    measures: list[str]
    values: list[dict[str, dict[str, float]]]
    means: list[dict[str, Interval]]
    contrasts: list[Contrast]

    @property
    def queries(self) -> list[str]:
        """Ids of the judged queries, which all means are taken over."""
        return list(self.values[0])

    def unanswered(self, system: System) -> int:
        """Count the judged queries that a system has no document for: each counts as 0."""
        return sum(not system.run.get(query) for query in self.queries)

    def spread(self, query: str) -> float:
        """Compute how far the systems' values of the first measure lie apart."""
        found = [values[query][self.measures[0]] for values in self.values]
        return max(found) - min(found)

    def differing(self, count: int) -> list[str]:
        """Find the queries that the systems differ most on, widest first."""
        order = sorted(self.queries, key=lambda query: -self.spread(query))
        return [query for query in order[:count] if self.spread(query) > 0]


def compare_systems(
    systems: Sequence[System],
    qrels: Qrels,
    measures: Sequence[str],
    *,
    all_pairs: bool = False,
) -> SystemComparison:
    """Compare systems on one collection.

    Args:
        systems: Two or more, of different names.
        qrels: Judgements. Every judged query counts; one that a run misses counts as 0.
        measures: Names as in ir-measures.
        all_pairs: Compare each with each; else all others with the first.

    Raises:
        InputError: There are too few systems or measures, two have one name, or a run answers none
            of the judged queries.
        MissingDependencyError: ir-measures or scipy is not installed.

    Example:
        >>> bad = System("bad", {"q": {"a": 1.0, "b": 2.0}})
        >>> good = System("good", {"q": {"a": 2.0, "b": 1.0}})
        >>> found = compare_systems([bad, good], {"q": {"a": 1}}, ["RR@10"])
        >>> found.contrasts[0].comparison.difference.mean
        0.5
    """
    _check(systems, qrels, measures)
    values = [measure_per_query(system.run, qrels, measures) for system in systems]
    columns = [
        {name: [entry[name] for entry in found.values()] for name in measures} for found in values
    ]
    means = [{name: bootstrap(column[name]) for name in measures} for column in columns]
    contrasts = [
        _contrast(first, second, name, columns[first][name], columns[second][name])
        for first, second in _pairs(len(systems), all_pairs)
        for name in measures
    ]
    corrected = holm([contrast.comparison.p_value for contrast in contrasts])
    contrasts = [
        replace(contrast, corrected=p_value)
        for contrast, p_value in zip(contrasts, corrected, strict=True)
    ]
    return SystemComparison(list(systems), list(measures), values, means, contrasts)


def check_run(name: str, run: Run, qrels: Qrels) -> None:
    """See that a run is one over the collection that the judgements are of.

    Args:
        name: Of the run, for the message.
        run: The run.
        qrels: The judgements.

    Raises:
        InputError: It answers none of the judged queries.
    """
    if not any(run.get(query) for query in qrels):
        raise InputError(
            f"{name}: none of its {len(run)} queries is among the {len(qrels)} judged ones. Is it "
            "a run over another collection?"
        )


def _contrast(
    first: int, second: int, measure: str, before: list[float], after: list[float]
) -> Contrast:
    found, effect = compare(before, after), effect_size(before, after)
    return Contrast(
        first,
        second,
        measure,
        found,
        found.p_value,
        paired_t_test(before, after),
        effect,
        None if effect is None else queries_needed(effect),
    )


def _pairs(count: int, all_pairs: bool) -> Iterator[tuple[int, int]]:
    return ((a, b) for a, b in combinations(range(count), 2) if all_pairs or a == 0)


def _check(systems: Sequence[System], qrels: Qrels, measures: Sequence[str]) -> None:
    names = [system.name for system in systems]
    if len(names) < 2 or len(set(names)) < len(names):
        raise InputError(
            "Two or more systems of different names are required, received "
            f"{', '.join(names) or 'none'}."
        )
    if not measures or len(set(measures)) < len(measures):
        raise InputError(
            "One or more different measures are required, received "
            f"{', '.join(measures) or 'none'}."
        )
    for system in systems:
        check_run(system.name, system.run, qrels)
