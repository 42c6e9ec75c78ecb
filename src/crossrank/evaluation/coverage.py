"""What a collection and a run do not have in common, counted so that nothing is dropped in silence.

What makes figures meaningless is an error that names file and line when a file is read: a document
that is there twice for a query, a NaN score, a malformed line. What may be meant is counted here.
"""

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, fields

from crossrank.evaluation.runs import top_documents
from crossrank.types import Qrels, Run

TOP = 10
"""How many of a query's best documents are looked at for judgements."""


@dataclass(frozen=True)
class Coverage:
    """What was found in a run and its collection.

    Attributes:
        unjudged_queries: Queries of the run without judgements: nothing can be measured on them.
        missing_queries: Judged queries that the run has no document for: each counts as 0.
        hopeless_queries: Judged queries without a relevant document: each counts as 0.
        textless_queries: Judged queries without a text.
        textless_documents: Judged documents without a text: no reranker can find them.
        negative_grades: Judgements below 0: not relevant.
        empty_queries: Queries of no characters but white space.
        empty_documents: Documents of no characters but white space.
        copies: Documents of the run with the same text as another of their query.
        unjudged: Documents without judgement among the best ten of the judged queries: they count
            as not relevant.
        top: All documents among the best ten of the judged queries.
    """

    unjudged_queries: int = 0
    missing_queries: int = 0
    hopeless_queries: int = 0
    textless_queries: int = 0
    textless_documents: int = 0
    negative_grades: int = 0
    empty_queries: int = 0
    empty_documents: int = 0
    copies: int = 0
    unjudged: int = 0
    top: int = 0

    def lines(self) -> list[str]:
        """Say what was found; what was not is left out.

        Example:
            >>> coverage({"q": {"a": 1.0}}, {"q": {"b": 1}, "r": {"a": 1}}).lines()
            ['Judged queries that are not in the run (each counts as 0): 1',
             'Documents without judgement (not relevant) among the best 10: 1 of 1, 100.0 %']
        """
        counts = {field.name: getattr(self, field.name) for field in fields(self)}
        found = [f"{_WORDS[name]}: {counts[name]:,}" for name in _WORDS if counts[name]]
        if self.unjudged:
            found.append(
                f"Documents without judgement (not relevant) among the best {TOP}: "
                f"{self.unjudged:,} of {self.top:,}, {self.unjudged / self.top:.1%}".replace(
                    "%", " %"
                )
            )
        return found


_WORDS = {
    "unjudged_queries": "Queries of the run without judgements (not measured)",
    "missing_queries": "Judged queries that are not in the run (each counts as 0)",
    "hopeless_queries": "Judged queries without a relevant document (each counts as 0)",
    "textless_queries": "Judged queries without a text",
    "textless_documents": "Judged documents without a text (never found)",
    "negative_grades": "Grades below 0 (not relevant)",
    "empty_queries": "Queries with an empty text",
    "empty_documents": "Documents with an empty text",
    "copies": "Documents of the run with the same text as another of their query",
}


def coverage(
    run: Run,
    qrels: Qrels,
    queries: Mapping[str, str] | None = None,
    documents: Mapping[str, str] | None = None,
) -> Coverage:
    """Count what a run and its collection do not have in common.

    Args:
        run: ``run[query_id][doc_id]`` = score.
        qrels: ``qrels[query_id][doc_id]`` = grade.
        queries: Texts by id; by default nothing is counted about them.
        documents: Texts by id; by default nothing is counted about them.

    Example:
        >>> coverage({"q": {"a": 1.0}, "s": {}}, {"q": {"a": -1}}).negative_grades
        1
    """
    grades = [grade for judged in qrels.values() for grade in judged.values()]
    best = {query: top_documents(run[query], TOP) for query in qrels if query in run}
    return Coverage(
        unjudged_queries=len(run.keys() - qrels),
        missing_queries=sum(not run.get(query) for query in qrels),
        hopeless_queries=sum(max(judged.values(), default=0) <= 0 for judged in qrels.values()),
        textless_queries=_absent(qrels, queries),
        textless_documents=_absent({d for judged in qrels.values() for d in judged}, documents),
        negative_grades=sum(grade < 0 for grade in grades),
        empty_queries=_empty(queries),
        empty_documents=_empty(documents),
        copies=sum(_copies(scores, documents or {}) for scores in run.values()),
        unjudged=sum(d not in qrels[query] for query, ranked in best.items() for d in ranked),
        top=sum(map(len, best.values())),
    )


def _absent(ids: Iterable[str], texts: Container[str] | None) -> int:
    return 0 if texts is None else sum(identifier not in texts for identifier in ids)


def _empty(texts: Mapping[str, str] | None) -> int:
    return sum(not text.strip() for text in (texts or {}).values())


def _copies(ids: Iterable[str], texts: Mapping[str, str]) -> int:
    known = [texts[identifier] for identifier in ids if identifier in texts]
    return len(known) - len(set(known))
