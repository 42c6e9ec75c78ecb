"""Measures are ir-measures' own, over judged queries."""

import math
import re
from pathlib import Path

import pytest

from crossrank.errors import InputError
from crossrank.evaluation.measures import measure, measure_per_query
from crossrank.evaluation.trec import read_qrels, read_run

pytest.importorskip("ir_measures", reason="needs the extra demo")

QRELS = {"q1": {"a": 1, "b": 2}, "q2": {"a": 1}, "missing": {"a": 1}}
RUN = {
    "q1": {"c": 3.0, "a": 2.0, "b": 1.0},
    "q2": {"a": 1.0},
    "not judged": {"a": 1.0},
}


def test_measures_by_hand() -> None:
    ideal = 2 + 1 / math.log2(3)
    q1 = (1 / math.log2(3) + 2 / math.log2(4)) / ideal
    values = measure(RUN, QRELS, ["RR@10", "nDCG@10", "P@1", "AP(rel=2)"])
    assert values == pytest.approx(
        {
            "RR@10": (1 / 2 + 1 + 0) / 3,
            "nDCG@10": (q1 + 1 + 0) / 3,
            "P@1": 1 / 3,
            "AP(rel=2)": 1 / 3 / 3,
        }
    )
    assert list(values) == ["RR@10", "nDCG@10", "P@1", "AP(rel=2)"]


def test_each_query_by_hand() -> None:
    assert measure_per_query(RUN, QRELS, ["RR@10", "P@1"]) == {
        "q1": {"RR@10": 1 / 2, "P@1": 0.0},
        "q2": {"RR@10": 1.0, "P@1": 1.0},
        "missing": {"RR@10": 0.0, "P@1": 0.0},
    }


UNKNOWN = ["bogus", "nDCG@", "nDCG@ten", "nDCG(colour=1)", "", "P@5 RR"]
WITHOUT_MEANING = ["P@0", "RR@0", "AP(rel=0)", "NumRel(rel=2)"]


@pytest.mark.parametrize("name", UNKNOWN + WITHOUT_MEANING)
def test_an_unknown_measure_is_named(name: str) -> None:
    with pytest.raises(InputError, match=re.escape(f"received {name!r}")):
        measure(RUN, QRELS, ["RR@10", name])


@pytest.mark.parametrize("documents", ["ab", "ba"])
def test_equal_scores_are_ordered_alike_by_all_measures(documents: str) -> None:
    # trec_eval puts b before a; parts of ir-measures do otherwise, or go by the order of the dict.
    measures = ["RR", "RR@10", "P@1", "Judged@1", "Accuracy", "Compat"]
    values = measure({"q": dict.fromkeys(documents, 0.5)}, {"q": {"b": 1}}, measures)
    assert values == dict.fromkeys(measures, 1.0)
    assert measure({"q": dict.fromkeys(documents, 0.5)}, {"q": {"a": 1}}, ["RR@10"]) == {
        "RR@10": 0.5
    }


@pytest.mark.parametrize(
    ("others", "rank"),
    [({"z": 1.0, "y": 0.5}, 2), ({"z": 1.0, "y": 1.0}, 2), ({"z": 1e300}, 3)],
)
def test_scores_are_compared_in_single_precision(others: dict, rank: int) -> None:
    run = {"q": {"a": 20.0000003, "b": 20.0000001, **others}}
    values = measure(run, {"q": {"a": 1}}, ["RR", "RR@10", f"P@{rank}"])
    assert values == pytest.approx({"RR": 1 / rank, "RR@10": 1 / rank, f"P@{rank}": 1 / rank})
    pytrec_eval = pytest.importorskip("pytrec_eval")
    reference = pytrec_eval.RelevanceEvaluator({"q": {"a": 1}}, ["recip_rank"]).evaluate(run)
    assert reference["q"]["recip_rank"] == pytest.approx(1 / rank)


ALL = ["nDCG@10", "AP", "RR@10", "P@1", "Judged@10", "NumRet", "Bpref", "infAP", "Rprec"]


@pytest.mark.parametrize(
    ("run", "qrels"),
    [
        ({"q": {}}, {"q": {"a": 1}}),
        ({}, {"q": {"a": 1}}),
        ({"q": {"b": 1.0}}, {"q": {}, "r": {"a": 1}}),
    ],
)
def test_queries_without_documents_count_as_0(run: dict, qrels: dict) -> None:
    assert measure(run, qrels, ALL) == dict.fromkeys(ALL, 0.0)


def test_grades_below_0_are_not_relevant() -> None:
    run = {"q": {"a": 2.0, "b": 1.0}}
    measures = ["nDCG@10", "AP", "RR@10", "P@1"]
    assert measure(run, {"q": {"a": -1, "b": -2}}, measures) == dict.fromkeys(measures, 0.0)
    assert measure(run, {"q": {"a": -2, "b": 1}}, measures) == pytest.approx(
        {"nDCG@10": 1 / math.log2(3), "AP": 1 / 2, "RR@10": 1 / 2, "P@1": 0}
    )
    assert measure(run, {"q": {"a": -1}}, ["Judged@1"]) == {"Judged@1": 1.0}


def test_infinite_scores_have_an_order() -> None:
    run = {"q": {"a": -math.inf, "b": math.inf, "c": 0.0}}
    assert measure(run, {"q": {"b": 1}}, ["RR", "RR@10"]) == {"RR": 1.0, "RR@10": 1.0}


@pytest.mark.parametrize(
    ("run", "qrels", "message"),
    [
        ({"q": {"a": 1.0, "b": math.nan}}, {"q": {"a": 1}}, "'b' of the query 'q' has NaN"),
        ({"q": {"a": 1.0}}, {"q": {"a": 10**9}}, "between .* received 1000000000 for the query"),
        ({"q": {"a": 1.0}}, {"q": {"a": -(10**9)}}, "between .* received -1000000000"),
        ({"q": {"a\0b": 1.0}}, {"q": {"a": 1}}, "without NUL .* for the query 'q'"),
        ({"q": {"a": 1.0}}, {"q": {"\ud800": 1}}, "lone surrogates.* for the query 'q'"),
    ],
)
def test_what_would_end_the_process_is_refused(run: dict, qrels: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        measure(run, qrels, ["nDCG@10"])
    with pytest.raises(InputError, match=message):
        measure_per_query(run, qrels, ["RR@10"])


def test_a_program_that_fails_is_named() -> None:
    # gdeval, a Perl program, takes numbers only for ids of queries.
    with pytest.raises(InputError, match=r"ERR@20 is computed by a program, and that failed"):
        measure({"q": {"a": 1.0}}, {"q": {"a": 1}}, ["ERR@20"])


def test_no_judgements_are_refused() -> None:
    with pytest.raises(InputError, match="the qrels are empty"):
        measure(RUN, {}, ["RR@10"])


@pytest.mark.parametrize(
    ("collection", "run", "value"),
    [
        ("dl19", "bm25", 0.5058),
        ("dl21", "bm25", 0.4458),
        ("dl19", "rankvicuna-over-bm25", 0.6682),
    ],
)
def test_published_values_are_reached(
    crossrank_data: Path, collection: str, run: str, value: float
) -> None:
    folder = crossrank_data / "trec-dl" / collection
    qrels = read_qrels(folder / "qrels.txt")
    found = measure(read_run(folder / "runs" / f"{run}.txt"), qrels, ["nDCG@10"])
    assert found["nDCG@10"] == pytest.approx(value, abs=5e-5)
