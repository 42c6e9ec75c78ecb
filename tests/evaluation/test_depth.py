"""Depths: what is ranked above what, the weight chosen on other queries, what is recommended."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crossrank.errors import InputError
from crossrank.evaluation.depth import (
    FOLDS,
    MARGIN,
    DepthCurve,
    choose_on_others,
    fuse,
    rerank,
    sweep_depths,
)
from crossrank.evaluation.depth_report import depth_section
from crossrank.evaluation.runs import best_candidates
from crossrank.types import Qrels, Run

pytest.importorskip("ir_measures", reason="needs the extra evaluation")

FIRST: Run = {"q": {"a": 4.0, "b": 3.0, "c": 2.0, "d": 1.0}}
LOGITS: Run = {"q": {"a": -3.0, "b": -1.0, "c": 5.0, "d": 9.0}}


def order(run: Run) -> list[str]:
    return sorted(run["q"], key=lambda document: -run["q"][document])


@pytest.mark.parametrize(
    ("depth", "expected"), [(1, "abcd"), (2, "bacd"), (3, "cbad"), (4, "dcba"), (9, "dcba")]
)
def test_the_rest_follows_in_the_first_stages_order(depth: int, expected: str) -> None:
    run = rerank(FIRST, LOGITS, depth)
    assert order(run) == list(expected)
    assert {d: run["q"][d] for d in "abcd"[:depth]} == {d: LOGITS["q"][d] for d in "abcd"[:depth]}


@settings(max_examples=50)
@given(
    st.dictionaries(st.text(), st.floats(-1e6, 1e6), min_size=1),
    st.integers(1, 20),
    st.integers(0, 2**32 - 1),
)
def test_reranking_only_reorders_the_best(scores: dict[str, float], depth: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    logits = {document: float(random.normal()) for document in scores}
    first = order({"q": scores})
    for run in (
        rerank({"q": scores}, {"q": logits}, depth),
        fuse({"q": scores}, {"q": logits}, depth),
        fuse({"q": scores}, {"q": logits}, depth, 0.3),
    ):
        found = order(run)
        assert set(found[:depth]) == set(first[:depth])
        assert found[depth:] == first[depth:]


def test_weights_go_from_one_stage_to_the_other() -> None:
    assert order(fuse(FIRST, LOGITS, 3, 0.0)) == list("abcd")
    assert order(fuse(FIRST, LOGITS, 3, 1.0)) == order(rerank(FIRST, LOGITS, 3))
    # Normalised: a, b, c have 1, 1/2, 0 and 0, 1/4, 1: halved sums of 4/8, 3/8, 4/8.
    half = fuse(FIRST, LOGITS, 3, 0.5)["q"]
    assert half == pytest.approx({"a": 0.5, "b": 0.375, "c": 0.5, "d": 0.375 - 1})


def test_reciprocal_ranks() -> None:
    found = fuse(FIRST, LOGITS, 2)["q"]
    assert found == pytest.approx(
        {
            "a": 1 / 61 + 1 / 62,
            "b": 1 / 62 + 1 / 61,
            "c": 1 / 61 + 1 / 62 - 1,
            "d": 1 / 61 + 1 / 62 - 2,
        }
    )


def test_queries_without_candidates_stay() -> None:
    first: Run = {"q": {"a": 1.0}, "empty": {}}
    assert rerank(first, {"q": {"a": 0.5}, "empty": {}}, 3)["empty"] == {}


def test_every_candidate_needs_a_logit() -> None:
    with pytest.raises(InputError, match="best 3 candidates needs a logit, and 'c' has none"):
        rerank(FIRST, {"q": {"a": 1.0, "b": 2.0}}, 3)


def test_best_candidates_of_all() -> None:
    assert list(best_candidates({"q": {"a": 1.0, "b": 2.0}})["q"]) == ["b", "a"]


def test_a_querys_own_value_does_not_choose_its_weight() -> None:
    # Each query is best with a weight of its own, of which the others know nothing: by theirs, all
    # get the weight that is fair on all.
    queries = [f"q{number}" for number in range(5)]
    values = {
        float(weight): {query: float(place == weight) for place, query in enumerate(queries)}
        for weight in range(5)
    } | {5.0: dict.fromkeys(queries, 0.6)}
    found, weights = choose_on_others(values, seed=3)
    assert found == dict.fromkeys(queries, 0.6)
    assert weights == [5.0] * FOLDS


def test_of_equal_weights_the_largest() -> None:
    values = {weight: {"a": 1.0, "b": 1.0} for weight in (0.2, 0.9, 0.4)}
    assert choose_on_others(values, seed=0)[1] == [0.9, 0.9]


def test_folds_are_those_of_the_seed() -> None:
    # Both are as good, so a fold's weight depends on what is in it.
    values = {
        float(weight): {f"q{n}": float(n % 2 == weight) for n in range(20)} for weight in (0, 1)
    }
    assert choose_on_others(values, seed=1) == choose_on_others(values, seed=1)
    assert len({tuple(choose_on_others(values, seed)[0].values()) for seed in range(5)}) > 1


@pytest.fixture(scope="module")
def collection() -> tuple[Run, Run, Qrels]:
    """The only relevant document is second for half of the queries, and fourth for the others."""
    first: Run = {f"q{n}": {"a": 4.0, "b": 3.0, "c": 2.0, "d": 1.0} for n in range(40)}
    qrels: Qrels = {f"q{n}": {"b" if n % 2 else "d": 1} for n in range(40)}
    logits: Run = {q: {d: float(d in qrels[q]) - 0.1 * (d == "a") for d in "abcd"} for q in first}
    return first, logits, qrels


def test_a_sweep_by_hand(collection: tuple[Run, Run, Qrels]) -> None:
    sweep = sweep_depths(*collection, "RR", [4, 1, 2, 3, 2], seconds={1: 0.1})
    alone, interpolated, ranks = sweep.curves
    assert sweep.first_stage.mean == pytest.approx((1 / 2 + 1 / 4) / 2)
    assert [point.depth for point in alone.points] == [1, 2, 3, 4]
    assert [point.pairs for point in alone.points] == [40, 80, 120, 160]
    means = [point.mean.mean for point in alone.points]
    assert means == pytest.approx([0.375, 0.625, 0.625, 1.0])
    assert [point.loss.mean for point in alone.points] == pytest.approx([0.625, 0.375, 0.375, 0])
    assert alone.points[0].values["q1"] == 0.5
    assert alone.points[0].values["q0"] == 0.25
    # The first stage is of no use here, which the other queries show.
    assert [point.mean.mean for point in interpolated.points] == pytest.approx(means)
    assert interpolated.points[3].weights == [1.0] * FOLDS
    assert len(ranks.points) == 4
    assert sweep.seconds == {1: 0.1}


def test_the_smallest_depth_within_the_margin(collection: tuple[Run, Run, Qrels]) -> None:
    first, logits, qrels = collection
    # All that depth 4 finds is for one query of 40, and worth little.
    qrels = {query: {"b": 3, "d": int(query == "q0")} for query in qrels}
    logits = {query: {"a": -1.0, "b": 3.0, "c": 0.0, "d": 2.0} for query in logits}
    curve = sweep_depths(first, logits, qrels, "nDCG@10", [1, 2, 4]).curves[0]
    assert (curve.recommended.depth, curve.best.depth) == (2, 4)
    assert 0 < curve.recommended.loss.mean < curve.recommended.loss.high <= MARGIN
    assert curve.points[0].loss.high > MARGIN


def test_few_queries_recommend_more_depth() -> None:
    """The mean loss is below the margin, but might be above it for other queries."""

    def curve(count: int) -> DepthCurve:
        first: Run = {f"q{n}": {"a": 2.0, "b": 1.0} for n in range(count)}
        logits: Run = {q: {"a": 1.0, "b": 0.0} for q in first}
        qrels: Qrels = {q: {"a": 1} for q in first}
        for place in range(0, count, 64):  # one query of 64 gains 1/2 by depth 2
            logits[f"q{place}"], qrels[f"q{place}"] = {"a": 0.0, "b": 1.0}, {"b": 1}
        return sweep_depths(first, logits, qrels, "RR", [1, 2]).curves[0]

    few, many = curve(64), curve(640)
    assert few.points[0].loss.mean == many.points[0].loss.mean == pytest.approx(1 / 128)
    assert few.points[0].loss.mean < MARGIN
    assert (few.recommended.depth, many.recommended.depth) == (2, 1)


def test_one_query_has_no_others() -> None:
    sweep = sweep_depths(FIRST, LOGITS, {"q": {"c": 1}}, "RR", [1, 4])
    assert [curve.name for curve in sweep.curves] == ["reranker alone", "reciprocal ranks"]


@pytest.mark.parametrize("depths", [[], [0, 5]])
def test_depths_are_numbers_from_one(depths: list[int]) -> None:
    with pytest.raises(InputError, match="Depths of at least 1 are required"):
        sweep_depths(FIRST, LOGITS, {"q": {"c": 1}}, "RR", depths)


def test_what_is_saved_is_said(collection: tuple[Run, Run, Qrels]) -> None:
    first, logits, qrels = collection
    qrels = {query: {"b": 1} for query in qrels}
    sweep = sweep_depths(first, logits, qrels, "RR", [1, 2, 4], seconds={1: 0.1, 2: 0.15, 4: 0.2})
    section = depth_section(sweep)
    assert section.text[0] == (
        "Reranker alone: rerank 2, the best depth; 1 loses 0.5000 [0.500, 0.500]. "
        "That saves 50 % of the pairs and 25 % of the time of depth 4."
    )
    table = section.tables[0]
    assert table.header == [
        *("candidates", "pairs", "reranker alone", "interpolated", "weight", "reciprocal ranks"),
        "ms",
    ]
    assert table.rows[0][2:] == ["0.5000 [0.500, 0.500]", "", "", "", "0"]
    assert table.rows[2][:3] == ["2", "80", "1.0000 [1.000, 1.000] ✓"]
    assert [row[-1] for row in table.rows] == ["0", "100", "150", "200"]
    assert section.data["curves"]["reranker alone"]["recommended"] == 2
