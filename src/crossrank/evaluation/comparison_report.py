"""What a comparison of systems shows: means and tests, and the queries that differ most."""

import math
from dataclasses import asdict
from typing import Any

from crossrank.evaluation.comparison import LEVEL, Contrast, System, SystemComparison
from crossrank.evaluation.evaluation_set import EvaluationSet
from crossrank.evaluation.report import Section, Table
from crossrank.evaluation.runs import top_documents
from crossrank.evaluation.significance import MOST_QUERIES, Interval

SHOWN_DOCUMENTS = 3
"""How many of each system's documents are shown."""

SHOWN_CHARACTERS = 160
"""How much of a document is shown."""


def comparison_section(found: SystemComparison, task: EvaluationSet) -> Section:
    """Show every system's means with their intervals, and the tests between systems.

    Args:
        found: The comparison.
        task: What it was made on.
    """
    about_means = (
        f"Means over the {len(found.queries)} judged queries; a query without an answer counts as "
        "0. Brackets are 95 % intervals for other queries of the same kind (percentile bootstrap). "
        "▲1 is significantly better than system 1, ▼1 is worse: paired randomisation test, with "
        f"Holm's correction for {len(found.contrasts)} comparisons, so that the chance of any "
        f"wrong mark is at most {100 * LEVEL:.0f} %."
    )
    about_contrasts = (
        "A difference is the system's mean less that of the one it is against. d is Cohen's d of "
        "the paired differences: 0.2 is small, 0.5 medium, 0.8 large. p is that of the "
        "randomisation test, before and after correction, and of a paired t-test. The last column "
        "is how many queries a t-test needs to find a difference of this size with a chance of "
        "80 %."
    )
    return Section(
        "Comparison",
        text=[about_means, about_contrasts, *_notes(found, task)],
        tables=[_means(found), _contrasts(found)],
        data={
            "queries": len(found.queries),
            "level": LEVEL,
            "systems": [_system_data(found, place) for place in range(len(found.systems))],
            "contrasts": [_contrast_data(found, contrast) for contrast in found.contrasts],
        },
    )


def queries_section(found: SystemComparison, task: EvaluationSet, count: int) -> Section:
    """Show the queries that differ most, with what each system found for them.

    Args:
        found: The comparison.
        task: Has the texts and the judgements.
        count: How many queries are shown.
    """
    chosen = found.differing(count)
    return Section(
        "Queries that differ most",
        text=[
            f"By {found.measures[0]}, with each system's {SHOWN_DOCUMENTS} best documents and "
            "their grades, where they are judged."
            if chosen
            else f"The systems differ on no query by {found.measures[0]}."
        ],
        tables=[_query(found, task, query) for query in chosen],
        data={"queries": [_query_data(found, task, query) for query in chosen]},
    )


def shown_interval(value: Interval, sign: str = "") -> str:
    """Write a mean with its interval; the sign is ``"+"`` for differences.

    Example:
        >>> shown_interval(Interval(0.50582, 0.42, 0.59))
        '0.5058 [0.420, 0.590]'
    """
    return f"{value.mean:{sign}.4f} [{value.low:{sign}.3f}, {value.high:{sign}.3f}]"


def shown_p_value(value: float | None) -> str:
    """Write a p-value, or nothing."""
    return "<0.0001" if value is not None and value < 0.00005 else shown_number(value, ".4f")


def shown_number(value: float | None, form: str) -> str:
    """Write a number, or nothing."""
    return "" if value is None else format(value, form)


def _notes(found: SystemComparison, task: EvaluationSet) -> list[str]:
    """Say what of the runs did not fit the collection."""
    notes = []
    for place, system in enumerate(found.systems):
        answered = {document for scores in system.run.values() for document in scores}
        counts = {
            "judged queries have no answer": found.unanswered(system),
            "queries are left out: they have no judgements": len(system.run.keys() - task.qrels),
            "documents are not in the corpus": len(answered - task.documents.keys()),
        }
        told = [f"{count:,} {what}" for what, count in counts.items() if count]
        if told:
            notes.append(f"{_label(found, place)}: {'; '.join(told)}.")
    return notes


def _means(found: SystemComparison) -> Table:
    timed = any(system.seconds is not None for system in found.systems)
    header = ["system", *found.measures, "answered", "documents", *(["seconds"] if timed else [])]
    rows = []
    for place, system in enumerate(found.systems):
        answered = len(found.queries) - found.unanswered(system)
        row = [
            _label(found, place),
            *(_mean(found, place, measure) for measure in found.measures),
            f"{answered} of {len(found.queries)}",
            f"{_documents(system):,.0f}",
        ]
        if timed:
            row.append("" if system.seconds is None else f"{system.seconds:.1f}")
        rows.append(row)
    return Table(header, rows, "Means; how many queries were answered, with how many documents")


def _mean(found: SystemComparison, place: int, measure: str) -> str:
    """A mean, and which earlier systems it is significantly better and worse than."""
    value = found.means[place][measure]
    marks = [
        f" {'▲' if contrast.comparison.difference.mean > 0 else '▼'}{contrast.first + 1}"
        for contrast in found.contrasts
        if (contrast.second, contrast.measure) == (place, measure) and contrast.significant
    ]
    return f"{shown_interval(value)}{''.join(marks)}"


def _contrasts(found: SystemComparison) -> Table:
    header = [
        *("system", "against", "measure", "difference", "d", "p", "p (Holm)", "p (t-test)"),
        *("wins", "ties", "losses", "queries needed"),
    ]
    return Table(header, [_contrast(found, entry) for entry in found.contrasts], "Differences")


def _contrast(found: SystemComparison, contrast: Contrast) -> list[str]:
    return [
        _label(found, contrast.second),
        str(contrast.first + 1),
        contrast.measure,
        shown_interval(contrast.comparison.difference, "+"),
        shown_number(contrast.effect, "+.2f"),
        shown_p_value(contrast.comparison.p_value),
        shown_p_value(contrast.corrected),
        shown_p_value(contrast.t_test),
        str(contrast.comparison.wins),
        str(_ties(found, contrast)),
        str(contrast.comparison.losses),
        _needed(contrast),
    ]


def _query(found: SystemComparison, task: EvaluationSet, query: str) -> Table:
    rows = []
    for place, system in enumerate(found.systems):
        value = found.values[place][query][found.measures[0]]
        name = f"{_label(found, place)}: {value:.3f}"
        shown = top_documents(system.run.get(query, {}), SHOWN_DOCUMENTS)
        for rank, document in enumerate(shown, start=1):
            text = task.documents.get(document, f"({document} is not in the corpus)")
            grade = task.qrels[query].get(document)
            rows.append([name, str(rank), shown_number(grade, "d"), _shortened(text)])
            name = ""
        if not shown:
            rows.append([name, "", "", "(no answer)"])
    text = _shortened(task.queries.get(query, ""))
    return Table(["system", "rank", "grade", "document"], rows, f"{query}: {text}")


def _system_data(found: SystemComparison, place: int) -> dict[str, Any]:
    system = found.systems[place]
    return {
        "name": system.name,
        "seconds": system.seconds,
        "unanswered": found.unanswered(system),
        "means": {name: asdict(value) for name, value in found.means[place].items()},
        "values": found.values[place],
    }


def _contrast_data(found: SystemComparison, contrast: Contrast) -> dict[str, Any]:
    effect = contrast.effect
    return {
        "system": found.systems[contrast.second].name,
        "against": found.systems[contrast.first].name,
        "measure": contrast.measure,
        **asdict(contrast.comparison),
        "ties": _ties(found, contrast),
        "p_value_holm": contrast.corrected,
        "p_value_t_test": contrast.t_test,
        "significant": contrast.significant,
        "effect_size": effect if effect is not None and math.isfinite(effect) else None,
        "queries_needed": contrast.needed,
    }


def _query_data(found: SystemComparison, task: EvaluationSet, query: str) -> dict[str, Any]:
    return {
        "query": query,
        "text": task.queries.get(query),
        "spread": found.spread(query),
        "best": {
            system.name: top_documents(system.run.get(query, {}), SHOWN_DOCUMENTS)
            for system in found.systems
        },
    }


def _label(found: SystemComparison, place: int) -> str:
    return f"{place + 1} {found.systems[place].name}"


def _ties(found: SystemComparison, contrast: Contrast) -> int:
    return len(found.queries) - contrast.comparison.wins - contrast.comparison.losses


def _needed(contrast: Contrast) -> str:
    if contrast.effect is None:
        return ""
    return f"over {MOST_QUERIES:,}" if contrast.needed is None else f"{contrast.needed:,}"


def _documents(system: System) -> float:
    return sum(map(len, system.run.values())) / len(system.run)


def _shortened(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= SHOWN_CHARACTERS else f"{line[:SHOWN_CHARACTERS]}…"
