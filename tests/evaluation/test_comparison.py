"""Comparisons of systems: by hand, and against ir-measures and scipy on real runs."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

from crossrank.errors import InputError
from crossrank.evaluation.comparison import System, compare_systems
from crossrank.evaluation.comparison_report import comparison_section, queries_section
from crossrank.evaluation.evaluation_set import EvaluationSet
from crossrank.evaluation.trec import read_qrels, read_run
from crossrank.types import Run

ir_measures = pytest.importorskip("ir_measures", reason="needs the extra demo")
stats = pytest.importorskip("scipy.stats", reason="needs scipy")

QRELS = {"q1": {"a": 2}, "q2": {"a": 1}, "q3": {"a": 1, "b": 0}}
TASK = EvaluationSet(
    {"q1": "one", "q2": "two", "q3": "three [bold]"},
    {"a": "A  text\nof two lines", "b": "x" * 200},
    QRELS,
    {},
)


def ranked(*rankings: str) -> Run:
    """A run for q1, q2 ...: each ranking is a word of one-letter ids, best first."""
    return {
        f"q{number}": {document: -float(rank) for rank, document in enumerate(ranking)}
        for number, ranking in enumerate(rankings, start=1)
    }


FIRST = System("first", ranked("ba", "ba", "ab"))
SECOND = System("second", ranked("ab", "ba", "ba"), seconds=1.5)
THIRD = System("third", ranked("ab", "ab"))


def test_means_and_differences_by_hand() -> None:
    # Reciprocal ranks: 1/2, 1/2, 1 and 1, 1/2, 1/2 and 1, 1, nothing.
    found = compare_systems([FIRST, SECOND, THIRD], QRELS, ["RR@10", "P@1"])
    assert [means["RR@10"].mean for means in found.means] == pytest.approx([2 / 3] * 3)
    assert found.values[2]["q3"] == {"RR@10": 0.0, "P@1": 0.0}
    assert [(c.first, c.second, c.measure) for c in found.contrasts] == [
        (0, 1, "RR@10"),
        (0, 1, "P@1"),
        (0, 2, "RR@10"),
        (0, 2, "P@1"),
    ]
    third = found.contrasts[2]
    assert third.comparison.difference.mean == pytest.approx((1 / 2 + 1 / 2 - 1) / 3)
    assert (third.comparison.wins, third.comparison.losses) == (2, 1)
    assert third.effect == pytest.approx(0)
    assert third.needed is None
    assert [found.unanswered(system) for system in found.systems] == [0, 0, 1]
    assert [found.spread(query) for query in found.queries] == pytest.approx([0.5, 0.5, 1.0])
    assert found.differing(2) == ["q3", "q1"]


def test_every_pair() -> None:
    found = compare_systems([FIRST, SECOND, THIRD], QRELS, ["P@1"], all_pairs=True)
    assert [(c.first, c.second) for c in found.contrasts] == [(0, 1), (0, 2), (1, 2)]


def many(rankings: list[str]) -> tuple[Run, dict[str, dict[str, int]]]:
    return ranked(*rankings), {f"q{n}": {"a": 1} for n in range(1, len(rankings) + 1)}


def test_marks_say_who_is_better_than_whom() -> None:
    worst, qrels = many(["cba"] * 12)
    systems = [
        System("middle", ranked(*["bac"] * 12)),
        System("worst", worst),
        System("best", ranked(*["abc"] * 12)),
    ]
    found = compare_systems(systems, qrels, ["RR@10"], all_pairs=True)
    task = EvaluationSet({}, {}, qrels, {})
    means, contrasts = comparison_section(found, task).tables
    assert [row[1] for row in means.rows] == [
        "0.5000 [0.500, 0.500]",
        "0.3333 [0.333, 0.333] ▼1",
        "1.0000 [1.000, 1.000] ▲1 ▲2",
    ]
    # Of 2^12 patterns of signs two are as extreme: a p-value near 2/4096, three times that at most.
    assert all(c.corrected == pytest.approx(3 * c.comparison.p_value) for c in found.contrasts)
    assert all(c.comparison.p_value == pytest.approx(2 / 4096, abs=5e-4) for c in found.contrasts)
    against = contrasts.header.index("against")
    assert [row[against] for row in contrasts.rows] == ["1", "1", "2"]
    assert contrasts.rows[0][-4:] == ["0", "0", "12", "2"]


def test_more_comparisons_make_less_of_one() -> None:
    # A win on six queries of six: p = 2/64. Alone it is significant, beside two others it is not.
    first, qrels = many(["ba"] * 6)
    base, winner = System("base", first), System("winner", ranked(*["ab"] * 6))
    others = [System(name, ranked(*["ba"] * 5, "ab")) for name in ("x", "y")]
    alone = compare_systems([base, winner], qrels, ["RR@10"]).contrasts[0]
    beside = compare_systems([base, winner, *others], qrels, ["RR@10"]).contrasts[0]
    assert alone.corrected == pytest.approx(2 / 64, abs=0.006)
    assert alone.significant
    assert beside.corrected == pytest.approx(3 * alone.corrected)
    assert not beside.significant


def test_what_does_not_fit_is_counted() -> None:
    odd = System("odd", ranked("az") | {"unjudged": {"a": 1.0}})
    text = comparison_section(compare_systems([FIRST, odd], QRELS, ["P@1"]), TASK).text
    assert text[2:] == [
        "2 odd: 2 judged queries have no answer; 1 queries are left out: they have no judgements; "
        "1 documents are not in the corpus."
    ]
    table = comparison_section(compare_systems([FIRST, odd], QRELS, ["P@1"]), TASK).tables[0]
    assert [row[2:4] for row in table.rows] == [["3 of 3", "2"], ["1 of 3", "2"]]


def test_seconds_are_shown_where_they_are_known() -> None:
    table = comparison_section(compare_systems([FIRST, SECOND], QRELS, ["P@1"]), TASK).tables[0]
    assert [row[-1] for row in table.rows] == ["", "1.5"]
    assert table.header[-1] == "seconds"


def test_queries_that_differ_most_with_their_documents() -> None:
    odd = System("odd", ranked("za", "ab"))
    found = compare_systems([FIRST, odd], QRELS, ["RR@10"])
    section = queries_section(found, TASK, 2)
    assert [table.caption for table in section.tables] == ["q3: three [bold]", "q2: two"]
    assert section.tables[0].rows == [
        ["1 first: 1.000", "1", "1", "A text of two lines"],
        ["", "2", "0", "x" * 160 + "…"],
        ["2 odd: 0.000", "", "", "(no answer)"],
    ]
    assert section.tables[1].rows[3] == ["", "2", "", "x" * 160 + "…"]  # b was not judged for q2
    assert section.data["queries"][0]["best"] == {"first": ["a", "b"], "odd": []}
    first_query = queries_section(compare_systems([SECOND, odd], QRELS, ["P@1"]), TASK, 9).tables
    assert [table.caption[:2] for table in first_query] == ["q1", "q2"]
    assert "(z is not in the corpus)" in first_query[0].rows[2]


def test_systems_that_do_not_differ() -> None:
    same = System("same", FIRST.run)
    found = compare_systems([FIRST, same], QRELS, ["RR@10"])
    assert (found.contrasts[0].corrected, found.contrasts[0].t_test) == (1.0, 1.0)
    section = queries_section(found, TASK, 5)
    assert section.tables == []
    assert section.text == ["The systems differ on no query by RR@10."]


def test_equal_scores_are_shown_in_the_order_they_are_measured_in() -> None:
    tied = System("tied", {"q1": {"a": 1.0, "b": 1.0}})
    found = compare_systems([System("good", ranked("ab")), tied], {"q1": {"a": 1}}, ["RR"])
    assert found.values[1]["q1"]["RR"] == 0.5
    best = queries_section(found, TASK, 1).data["queries"][0]["best"]
    assert best == {"good": ["a", "b"], "tied": ["b", "a"]}


@pytest.mark.parametrize("queries", [1, 2])
def test_few_queries_and_constant_differences_are_plain_json(queries: int) -> None:
    first, qrels = many(["ba"] * queries)
    systems = [System("first", first), System("second", ranked(*["ab"] * queries))]
    section = comparison_section(compare_systems(systems, qrels, ["RR@10"]), TASK)
    contrast = json.loads(json.dumps(section.data, allow_nan=False))["contrasts"][0]
    assert contrast["difference"]["mean"] == 0.5
    assert contrast["effect_size"] is None  # undefined for one query, infinite for two
    assert contrast["p_value"] == 1.0 if queries == 1 else contrast["p_value"] < 1
    assert contrast["p_value_t_test"] == (None if queries == 1 else 0.0)
    assert contrast["queries_needed"] == (None if queries == 1 else 2)
    assert not contrast["significant"]


@pytest.mark.parametrize(
    ("systems", "measures", "said"),
    [
        ([FIRST], ["P@1"], "received first"),
        ([], ["P@1"], "received none"),
        ([FIRST, FIRST], ["P@1"], "received first, first"),
        ([FIRST, SECOND], [], "measures are required, received none"),
        ([FIRST, SECOND], ["P@1", "P@1"], "received P@1, P@1"),
        ([FIRST, System("far", {"z": {"a": 1.0}})], ["P@1"], "far: none of its 1 queries"),
        ([FIRST, System("empty", {"q1": {}})], ["P@1"], "empty: none of its 1 queries"),
        ([FIRST, System("nothing", {})], ["P@1"], "nothing: none of its 0 queries"),
    ],
)
def test_what_cannot_be_compared(systems: list[System], measures: list[str], said: str) -> None:
    with pytest.raises(InputError, match=said):
        compare_systems(systems, QRELS, measures)


def test_real_runs_against_ir_measures_and_scipy(crossrank_data: Path) -> None:
    folder = crossrank_data / "trec-dl" / "dl21"
    qrels = read_qrels(folder / "qrels.txt")
    runs = [read_run(folder / "runs" / f"{name}.txt") for name in ("bm25", "splade")]
    measures = [ir_measures.nDCG @ 10, ir_measures.AP(rel=2)]
    theirs = [
        {
            (found.measure, found.query_id): found.value
            for found in ir_measures.iter_calc(measures, qrels, run)
        }
        for run in runs
    ]
    systems = [System(name, run) for name, run in zip(("bm25", "splade"), runs, strict=True)]
    ours = compare_systems(systems, qrels, ["nDCG@10", "AP(rel=2)"])
    assert ours.means[0]["nDCG@10"].mean == pytest.approx(0.4458, abs=5e-5)
    for measure, contrast in zip(measures, ours.contrasts, strict=True):
        first, second = (np.array([values[measure, q] for q in qrels]) for values in theirs)
        change = second - first
        assert contrast.comparison.difference.mean == pytest.approx(change.mean())
        assert contrast.comparison.wins == (change > 0).sum()
        assert contrast.comparison.losses == (change < 0).sum()
        test = stats.ttest_rel(second, first)
        assert contrast.t_test == pytest.approx(test.pvalue, rel=1e-6)
        assert contrast.effect == pytest.approx(test.statistic / math.sqrt(len(qrels)))
        assert contrast.significant
