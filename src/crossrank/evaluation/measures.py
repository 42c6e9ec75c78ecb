"""Measures of ranking quality, computed by ir-measures.

What ir-measures computes with ends the process, or answers nonsense, on some input: a query whose
ranking is empty or whose grades are all negative, NaN scores, ids that are no C strings, grades of
any size, a cutoff of 0. Such input is made harmless here where its meaning is clear, else refused.
"""

import math
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from crossrank.errors import InputError
from crossrank.evaluation.runs import as_trec_eval_reads
from crossrank.optional import require
from crossrank.types import Qrels, Run

MOST_GRADE = 1_000_000
"""The highest grade: trec_eval's memory grows with it."""


def measure(run: Run, qrels: Qrels, measures: Sequence[str]) -> dict[str, float]:
    """Measure a run: the mean over the judged queries; counts such as ``NumRet`` are added up.

    A judged query that is missing from the run counts as 0, a query without judgements does not
    count. Grades below 0 are no more relevant than 0. Equal scores are ordered as trec_eval does,
    the greater document id first; those that differ only beyond single precision are equal.

    Args:
        run: ``run[query_id][doc_id]`` = score.
        qrels: ``qrels[query_id][doc_id]`` = grade.
        measures: Names as in ir-measures: ``"nDCG@10"``, ``"RR@10"``, ``"AP(rel=2)"`` ...

    Returns:
        The value of each measure, by the name given.

    Raises:
        InputError: A name is no measure, there are no judgements, or a score, a grade or an id
            cannot be measured with.
        MissingDependencyError: ir-measures is not installed.

    Example:
        >>> measure({"q": {"a": 2.0, "b": 1.0}}, {"q": {"b": 1}}, ["RR@10", "P@1"])
        {'RR@10': 0.5, 'P@1': 0.0}
    """
    parsed = _parse(measures)
    if not qrels:
        raise InputError("Measuring needs judgements; the qrels are empty.")
    values: Mapping[Any, float] = _call("calc_aggregate", parsed, run, qrels)
    return {name: float(values[parsed[name]]) for name in measures}


def measure_per_query(
    run: Run, qrels: Qrels, measures: Sequence[str]
) -> dict[str, dict[str, float]]:
    """Measure each judged query of a run, as :func:`measure` does.

    Args:
        run: ``run[query_id][doc_id]`` = score.
        qrels: ``qrels[query_id][doc_id]`` = grade.
        measures: Names as in ir-measures.

    Returns:
        ``values[query_id][name]`` = value, in the order of the qrels.

    Raises:
        InputError: A name is no measure, or a score, a grade or an id cannot be measured with.
        MissingDependencyError: ir-measures is not installed.

    Example:
        >>> measure_per_query({"q": {"a": 2.0, "b": 1.0}}, {"q": {"b": 1}}, ["RR@10"])
        {'q': {'RR@10': 0.5}}
    """
    parsed = _parse(measures)
    found = {
        (metric.query_id, metric.measure): float(metric.value)
        for metric in _call("calc", parsed, run, qrels).per_query
    }
    return {query: {name: found[query, parsed[name]] for name in measures} for query in qrels}


def check_measures(measures: Sequence[str]) -> None:
    """See that names are those of measures.

    Raises:
        InputError: One is not.
        MissingDependencyError: ir-measures is not installed.

    Example:
        >>> check_measures(["nDCG@10", "AP(rel=2)"])
    """
    _parse(measures)


def _parse(measures: Sequence[str]) -> dict[str, Any]:
    ir_measures = require("ir_measures", extra="evaluation")
    parsed = {}
    for name in measures:
        try:
            measure = ir_measures.parse_measure(name)
            measure.validate_params()
            _check_parameters(measure)
            if not ir_measures.DefaultPipeline.supports(measure):
                raise ValueError("a package that computes it is not installed")
        except (NameError, ValueError, AssertionError) as error:
            raise InputError(
                f"A measure must be one that ir-measures knows, such as 'nDCG@10', "
                f"received {name!r}: {error}"
            ) from error
        parsed[name] = measure
    return parsed


def _check_parameters(measure: Any) -> None:
    for parameter in ("cutoff", "rel"):
        if measure.params.get(parameter, 1) < 1:
            raise ValueError(f"{parameter} must be at least 1")


def _call(function: str, parsed: Mapping[str, Any], run: Run, qrels: Qrels) -> Any:
    safe_qrels = {query: _safe_grades(query, grades) for query, grades in qrels.items()}
    safe_run = {query: _safe_scores(query, scores) for query, scores in run.items() if scores}
    compute = getattr(require("ir_measures", extra="evaluation"), function)
    try:
        return compute(parsed.values(), safe_qrels, safe_run)
    except (subprocess.CalledProcessError, OSError) as error:
        raise InputError(
            f"One of {', '.join(parsed)} is computed by a program, and that failed: {error}"
        ) from error


def _safe_scores(query: str, scores: dict[str, float]) -> dict[str, float]:
    """Refuse NaN, and break ties as trec_eval does: of ir-measures' parts each has its own way."""
    _check_ids(query, scores)
    # One sum looks at all of them; infinities of both signs make it NaN too.
    if math.isnan(sum(scores.values())):
        for document, score in scores.items():
            if math.isnan(score):
                raise InputError(
                    f"Scores must be numbers: the document {document!r} of the query {query!r} "
                    "has NaN."
                )
    read = as_trec_eval_reads(scores)
    if len(set(read.values())) == len(read):
        return scores
    ascending = sorted(read, key=lambda document: (read[document], document))
    return {document: float(place) for place, document in enumerate(ascending)}


def _safe_grades(query: str, grades: dict[str, int]) -> dict[str, int]:
    """Refuse what is too large; a query whose grades are all negative has none that is relevant."""
    _check_ids(query, grades)
    if not grades:
        return grades
    best, worst = max(grades.values()), min(grades.values())
    if max(best, -worst) > MOST_GRADE:
        raise InputError(
            f"Grades must be between -{MOST_GRADE} and {MOST_GRADE}, received "
            f"{best if best > MOST_GRADE else worst} for the query {query!r}."
        )
    return dict.fromkeys(grades, 0) if best < 0 else grades


def _check_ids(query: str, documents: Iterable[str]) -> None:
    joined = "".join((query, *documents))
    if "\0" in joined or not (joined.isascii() or _encodable(joined)):
        raise InputError(
            f"Ids must be text without NUL characters and lone surrogates, received others for "
            f"the query {query!r}."
        )


def _encodable(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
