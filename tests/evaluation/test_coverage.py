"""What a run and its collection do not have in common is counted and told."""

from dataclasses import asdict

from hypothesis import given
from hypothesis import strategies as st

from crossrank.evaluation.coverage import Coverage, coverage

QUERIES = {"1": "one", "2": " ", "4": "four"}
DOCUMENTS = {"a": "same", "b": "same", "c": "", "d": "other"}
QRELS = {"1": {"a": 2, "x": 1, "d": -1}, "2": {"a": 0, "b": -2}, "3": {"x": 1}}
RUN = {"1": {"a": 1.0, "b": 2.0, "c": 3.0}, "2": {}, "4": {"a": 0.5}}


def test_everything_is_counted() -> None:
    assert asdict(coverage(RUN, QRELS, QUERIES, DOCUMENTS)) == {
        "unjudged_queries": 1,  # 4
        "missing_queries": 2,  # 2, which has no document, and 3
        "hopeless_queries": 1,  # 2
        "textless_queries": 1,  # 3
        "textless_documents": 1,  # x
        "negative_grades": 2,
        "empty_queries": 1,  # 2
        "empty_documents": 1,  # c
        "copies": 1,  # b of query 1
        "unjudged": 2,  # b and c of query 1
        "top": 3,
    }


def test_what_was_found_is_told() -> None:
    assert coverage(RUN, QRELS, QUERIES, DOCUMENTS).lines() == [
        "Queries of the run without judgements (not measured): 1",
        "Judged queries that are not in the run (each counts as 0): 2",
        "Judged queries without a relevant document (each counts as 0): 1",
        "Judged queries without a text: 1",
        "Judged documents without a text (never found): 1",
        "Grades below 0 (not relevant): 2",
        "Queries with an empty text: 1",
        "Documents with an empty text: 1",
        "Documents of the run with the same text as another of their query: 1",
        "Documents without judgement (not relevant) among the best 10: 2 of 3, 66.7 %",
    ]


def test_texts_that_are_not_given_are_not_missed() -> None:
    found = coverage(RUN, QRELS)
    assert (found.textless_queries, found.textless_documents, found.copies) == (0, 0, 0)
    assert (found.missing_queries, found.unjudged) == (2, 2)


def test_only_the_best_ten_need_judgements() -> None:
    # The documents 0 to 11, of which 0 and 1 are worse, and 2 ties with 3, which goes first.
    scores = {f"{n:02}": float(max(n, 3)) for n in range(2, 12)} | {"00": 0.0, "01": 1.0}
    judged = {"q": {f"{n:02}": 1 for n in range(2, 12)}}
    found = coverage({"q": scores}, judged)
    assert (found.unjudged, found.top) == (0, 10)
    scores["12"] = 3.0  # of the three that tie, 02 is the last, and falls out
    found = coverage({"q": scores}, judged)
    assert (found.unjudged, found.top) == (1, 10)
    del judged["q"]["02"]
    assert coverage({"q": scores}, judged).unjudged == 1


def test_nothing_to_tell() -> None:
    perfect = coverage({"1": {"a": 1.0}}, {"1": {"a": 1}}, {"1": "one"}, DOCUMENTS | {"c": "c"})
    assert perfect == Coverage(top=1)
    assert perfect.lines() == []
    assert coverage({}, {}).lines() == []


ids = st.sampled_from("abcd")


@given(
    run=st.dictionaries(ids, st.dictionaries(ids, st.floats(-1, 1))),
    qrels=st.dictionaries(ids, st.dictionaries(ids, st.integers(-1, 2))),
)
def test_counts_have_bounds(run: dict, qrels: dict) -> None:
    found = coverage(run, qrels, QUERIES, DOCUMENTS)
    assert 0 <= found.unjudged <= found.top <= 10 * len(qrels)
    assert found.missing_queries <= len(qrels)
    assert len(run) - found.unjudged_queries <= len(qrels)
    told = sum(getattr(found, name) > 0 for name in asdict(found) if name != "top")
    assert len(found.lines()) == told
