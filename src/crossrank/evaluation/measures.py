"""Measures of ranking quality, computed by ir-measures."""

from collections.abc import Sequence
from typing import Any

from crossrank.errors import InputError
from crossrank.optional import require
from crossrank.types import Qrels, Run


def measure(run: Run, qrels: Qrels, measures: Sequence[str]) -> dict[str, float]:
    """Measure a run: the mean over the judged queries.

    A judged query that is missing from the run counts as 0, a query without judgements does not
    count. Equal scores are ordered as trec_eval does, by document id, not by rank.

    Args:
        run: ``run[query_id][doc_id]`` = score.
        qrels: ``qrels[query_id][doc_id]`` = grade.
        measures: Names as in ir-measures: ``"nDCG@10"``, ``"RR@10"``, ``"AP(rel=2)"`` ...

    Returns:
        The value of each measure, by the name given.

    Raises:
        InputError: A name is no measure, or there are no judgements.
        MissingDependencyError: ir-measures is not installed.

    Example:
        >>> measure({"q": {"a": 2.0, "b": 1.0}}, {"q": {"b": 1}}, ["RR@10", "P@1"])
        {'RR@10': 0.5, 'P@1': 0.0}
    """
    parsed = _parse(measures)
    if not qrels:
        raise InputError("Measuring needs judgements; the qrels are empty.")
    values = require("ir_measures", extra="demo").calc_aggregate(parsed.values(), qrels, run)
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
        InputError: A name is no measure.
        MissingDependencyError: ir-measures is not installed.

    Example:
        >>> measure_per_query({"q": {"a": 2.0, "b": 1.0}}, {"q": {"b": 1}}, ["RR@10"])
        {'q': {'RR@10': 0.5}}
    """
    parsed = _parse(measures)
    found = {
        (metric.query_id, metric.measure): float(metric.value)
        for metric in require("ir_measures", extra="demo").iter_calc(parsed.values(), qrels, run)
    }
    return {query: {name: found[query, parsed[name]] for name in measures} for query in qrels}


def _parse(measures: Sequence[str]) -> dict[str, Any]:
    ir_measures = require("ir_measures", extra="demo")
    parsed = {}
    for name in measures:
        try:
            parsed[name] = ir_measures.parse_measure(name)
            parsed[name].validate_params()
        except (NameError, ValueError, AssertionError) as error:
            raise InputError(
                f"A measure must be one that ir-measures knows, such as 'nDCG@10', "
                f"received {name!r}: {error}"
            ) from error
    return parsed
