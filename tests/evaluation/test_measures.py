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


@pytest.mark.parametrize("name", ["bogus", "nDCG@", "nDCG@ten", "nDCG(colour=1)", "", "P@5 RR"])
def test_an_unknown_measure_is_named(name: str) -> None:
    with pytest.raises(InputError, match=re.escape(f"received {name!r}")):
        measure(RUN, QRELS, ["RR@10", name])


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
