"""Calibration: maps, fits and measures, by hand and beside scikit-learn; properties of each."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from crossrank.errors import InputError
from crossrank.evaluation import calibration_measures as measures
from crossrank.evaluation.calibration import (
    best_method,
    calibrate,
    cross_validate,
    fit,
)
from crossrank.evaluation.calibration_maps import (
    MAPS,
    Isotonic,
    Method,
    Platt,
    Temperature,
    Threshold,
)
from crossrank.evaluation.calibration_report import calibration_section, reliability_figure
from crossrank.evaluation.judged_pairs import JudgedPairs, split

pytest.importorskip("scipy", reason="needs the extra evaluation")
isotonic = pytest.importorskip("sklearn.isotonic", reason="it is the reference")
linear_model = pytest.importorskip("sklearn.linear_model", reason="it is the reference")


def drawn(queries: int = 60, slope: float = 0.6, intercept: float = -1.0, seed: int = 0) -> Any:
    """Pairs whose relevance has these log-odds, twelve a query."""
    random = np.random.default_rng(seed)
    logits = random.normal(0, 2.5, queries * 12).astype(np.float32).astype(np.float64)
    odds = slope * logits + intercept
    relevant = random.random(len(logits)) < 1 / (1 + np.exp(-odds))
    return JudgedPairs(logits, relevant, np.repeat(np.arange(queries), 12))


def targets(relevant: NDArray[np.bool_]) -> NDArray[np.float64]:
    count, others = relevant.sum(), (~relevant).sum()
    return np.where(relevant, (count + 1) / (count + 2), 1 / (others + 2))


# -- fits -----------------------------------------------------------------------------------------


def test_temperature_has_the_closed_form_where_there_is_one() -> None:
    # Logits of 1 and -1: the best slope is the log-odds of the target's mean on the side of 1.
    pairs = JudgedPairs.of(
        [1.0] * 20 + [-1.0] * 20,
        ([True] * 3 + [False]) * 5 + ([True] + [False] * 3) * 5,
        range(40),
    )
    share = (15 * 21 / 22 + 5 / 22) / 20  # of the targets: 20 pairs are relevant, 20 are not
    slope = math.log(share / (1 - share))
    found = fit(pairs, "temperature")
    assert isinstance(found, Temperature)
    assert found.temperature == pytest.approx(1 / slope, rel=1e-6)


@pytest.mark.parametrize("method", ["temperature", "platt"])
@pytest.mark.parametrize("scale", [1.0, 1000.0])
def test_logistic_fits_are_those_of_unpenalised_regression(method: Any, scale: float) -> None:
    pairs = drawn()
    logits = pairs.logits * scale
    found = fit(JudgedPairs(logits, pairs.relevant, pairs.queries), method)
    # A pair with target t is worth t relevant ones and 1 - t others.
    goals = targets(pairs.relevant)
    reference = linear_model.LogisticRegression(
        C=np.inf, fit_intercept=method == "platt", tol=1e-10, max_iter=1000
    ).fit(
        np.concatenate([pairs.logits, pairs.logits])[:, None],
        [1] * len(goals) + [0] * len(goals),
        np.concatenate([goals, 1 - goals]),
    )
    np.testing.assert_allclose(
        found(logits), reference.predict_proba(pairs.logits[:, None])[:, 1], atol=1e-6
    )


def test_a_known_truth_is_found_again() -> None:
    found = fit(drawn(queries=5000, slope=0.4, intercept=-2.0), "platt")
    assert isinstance(found, Platt)
    assert found.slope == pytest.approx(0.4, abs=0.02)
    assert found.intercept == pytest.approx(-2.0, abs=0.05)


def test_isotonic_is_that_of_scikit_learn() -> None:
    pairs = drawn()
    pairs.logits[:] = np.round(pairs.logits, 1)  # with ties
    pairs.logits[:] = pairs.logits.astype(np.float32)
    found = fit(pairs, "isotonic")
    reference = isotonic.IsotonicRegression(out_of_bounds="clip")
    reference.fit(pairs.logits, targets(pairs.relevant))
    between = np.linspace(-9, 9, 1001)
    np.testing.assert_allclose(found(between), reference.predict(between), atol=1e-6)


def test_pairs_that_are_told_apart_perfectly_leave_a_doubt() -> None:
    pairs = JudgedPairs.of([-2.0, 3.0] * 10, [False, True] * 10, np.repeat(range(10), 2))
    for method in MAPS:
        found = fit(pairs, method)(pairs.logits)
        assert (found > 0).all()
        assert (found < 1).all()
    # Ten of ten relevant: 11/12; none of ten: 1/12.
    assert fit(pairs, "isotonic")([-2.0, 3.0]).tolist() == pytest.approx([1 / 12, 11 / 12])


@pytest.mark.parametrize("method", MAPS)
def test_labels_the_wrong_way_round_are_refused(method: Any) -> None:
    pairs = drawn()
    wrong = JudgedPairs(pairs.logits, ~pairs.relevant, pairs.queries)
    with pytest.raises(InputError, match="labels the wrong way round"):
        fit(wrong, method)
    with pytest.raises(InputError, match="labels the wrong way round"):
        cross_validate(wrong)


def test_logits_off_centre_need_more_than_a_temperature() -> None:
    pairs = drawn(intercept=-1.0)
    shifted = JudgedPairs(pairs.logits + 30, pairs.relevant, pairs.queries)
    with pytest.raises(InputError, match="lie off centre"):
        fit(shifted, "temperature")
    losses = cross_validate(shifted)
    assert losses["temperature"] is None
    assert best_method(losses) == "platt"


def test_no_method_fits_every_fold() -> None:
    losses: dict[Method, float | None] = {"temperature": None, "platt": None, "isotonic": None}
    with pytest.raises(InputError, match=r"fits every fold.*none of temperature, platt"):
        best_method(losses)


def test_the_method_is_chosen_on_held_out_queries() -> None:
    assert best_method(cross_validate(drawn(400, intercept=0.0))) == "temperature"
    assert best_method(cross_validate(drawn(400))) == "platt"
    # Half of all pairs are relevant, but for those in the middle: no sigmoid has steps.
    pairs = drawn(400, slope=0.0)
    random = np.random.default_rng(0)
    share = np.select([pairs.logits < -1, pairs.logits < 3], [0.02, 0.5], 0.98)
    steps = JudgedPairs(pairs.logits, random.random(len(share)) < share, pairs.queries)
    assert best_method(cross_validate(steps)) == "isotonic"


def test_cross_validation_by_hand() -> None:
    pairs = drawn(20)
    folds = pairs.parts(5, seed=3)
    losses = []
    for fold in range(5):
        inside = folds == fold
        rest = JudgedPairs(pairs.logits[~inside], pairs.relevant[~inside], pairs.queries[~inside])
        chance = fit(rest, "platt")(pairs.logits[inside])
        losses += np.log(np.where(pairs.relevant[inside], chance, 1 - chance)).tolist()
    assert cross_validate(pairs, seed=3)["platt"] == pytest.approx(-np.mean(losses))


# -- maps -----------------------------------------------------------------------------------------

fp32 = st.floats(width=32, allow_nan=False, allow_infinity=False)
maps = st.one_of(
    st.builds(Temperature, st.floats(1e-6, 1e6)),
    st.builds(Platt, st.floats(1e-6, 1e6), st.floats(-1e6, 1e6)),
    st.builds(
        lambda knots: Isotonic(
            tuple(sorted(logit for logit, _ in knots)),
            tuple(sorted(height for _, height in knots)),
        ),
        st.lists(st.tuples(fp32, st.floats(0, 1)), min_size=2, unique_by=lambda knot: knot[0]),
    ),
)


@settings(deadline=None)
@given(maps, st.lists(fp32, min_size=1))
def test_no_map_changes_the_order_or_leaves_0_to_1(made: Any, logits: list[float]) -> None:
    found = made(sorted(logits)).astype(np.float32)
    assert (np.diff(found) >= 0).all()
    assert ((found >= 0) & (found <= 1)).all()


def test_the_order_holds_at_knots_and_their_neighbours() -> None:
    found = fit(drawn(200), "isotonic")
    knots = np.array(found.logits, dtype=np.float32)  # type: ignore[union-attr]
    near = [np.nextafter(knots, np.float32(side * np.inf)) for side in (-1, 1)]
    assert (np.diff(found(np.sort(np.concatenate([knots, *near])))) >= 0).all()


@pytest.mark.parametrize(
    "make",
    [
        lambda: Temperature(0.0),
        lambda: Temperature(-2.0),
        lambda: Temperature(math.nan),
        lambda: Temperature(10**400),
        lambda: Temperature(True),
        lambda: Temperature("2"),  # type: ignore[arg-type]
        lambda: Platt(-1.0, 0.0),
        lambda: Platt(1.0, math.inf),
        lambda: Isotonic((0.0,), (0.5,)),
        lambda: Isotonic((0.0, 1.0), (0.5,)),
        lambda: Isotonic((0.0, 0.0), (0.4, 0.5)),
        lambda: Isotonic((1.0, 1.0 + 1e-12), (0.4, 0.5)),
        lambda: Isotonic((0.0, 1.0), (0.5, 0.4)),
        lambda: Isotonic((0.0, 1.0), (0.5, 1.1)),
        lambda: Isotonic((0.0, 1e39), (0.4, 0.5)),
        lambda: Isotonic(tuple(map(float, range(100_001))), (0.5,) * 100_001),
        lambda: Threshold(0.9, 1.5, 0.9, 0.8, 0.3),
        lambda: Threshold(0.9, 0.5, 0.9, None, 0.3),  # type: ignore[arg-type]
    ],
)
def test_maps_that_are_none_are_refused(make: Any) -> None:
    with pytest.raises(InputError):
        make()


# -- measures -------------------------------------------------------------------------------------


def test_measures_by_hand() -> None:
    probabilities = np.array([0.1, 0.4, 0.6, 0.9])
    relevant = np.array([False, True, False, True])
    wanted = [-math.log(0.9), -math.log(0.4), -math.log(0.4), -math.log(0.9)]
    assert measures.log_losses(probabilities, relevant).tolist() == pytest.approx(wanted)
    found = measures.brier_losses(probabilities, relevant).tolist()
    assert found == pytest.approx([0.01, 0.36, 0.36, 0.01])
    # Bins {.1, .4} and {.6, .9}: means .25 and .75, shares 1/2 and 1/2.
    assert measures.calibration_error(probabilities, relevant, bins=2) == pytest.approx(1 / 4)
    # Each its own bin: (.1 + .6 + .6 + .1) / 4.
    assert measures.calibration_error(probabilities, relevant, bins=4) == pytest.approx(0.35)


def test_certainty_that_is_wrong_costs_a_finite_loss() -> None:
    found = measures.log_losses(np.array([0.0, 1.0]), np.array([True, False]))
    assert found.tolist() == pytest.approx([-math.log(1e-15)] * 2)


def test_equal_probabilities_share_a_bin() -> None:
    probabilities = np.array([0.3, 0.3, 0.3, 0.3, 0.9])
    assert measures.equal_mass_bins(probabilities, bins=5).tolist() == [3, 3, 3, 3, 4]


def test_changes_are_those_of_the_plain_measures() -> None:
    pairs, after = drawn(), Platt(0.6, -1.0)
    changes = measures.measure_change(pairs, Temperature(1.0), after)
    for place, made in (("before", Temperature(1.0)), ("after", after)):
        chance = made(pairs.logits)
        wanted = {
            "NLL": measures.log_losses(chance, pairs.relevant).mean(),
            "Brier": measures.brier_losses(chance, pairs.relevant).mean(),
            "ECE": measures.calibration_error(chance, pairs.relevant),
        }
        for name, value in wanted.items():
            found = getattr(changes[name], place)
            assert found.mean == pytest.approx(value)
            assert 0 <= found.low < value <= found.high + 1e-12
    for change in changes.values():
        assert change.change.mean == pytest.approx(change.after.mean - change.before.mean)
        assert change.change.high < 0  # the truth is better than what it is not
    # Their ECE is chance, and the others' is not.
    assert changes["ECE"].after.low == 0
    assert changes["ECE"].before.low > 0


def test_intervals_are_over_queries_not_pairs() -> None:
    # Each query's pairs all alike: ten copies of a query tell no more than one.
    single = drawn(40)
    copied = JudgedPairs(
        np.repeat(single.logits, 10), np.repeat(single.relevant, 10), np.repeat(single.queries, 10)
    )
    widths = [
        measures.measure_change(pairs, Temperature(1.0), Temperature(2.0))["Brier"].change
        for pairs in (single, copied)
    ]
    assert widths[0].low == pytest.approx(widths[1].low)
    assert widths[0].high == pytest.approx(widths[1].high)


def test_an_interval_by_hand() -> None:
    # Half of the queries lose .25 a pair, half .25 too: nothing varies.
    pairs = JudgedPairs.of([0.0] * 20, [True, False] * 10, np.repeat(range(10), 2))
    change = measures.measure_change(pairs, Temperature(1.0), Temperature(1.0))["Brier"]
    assert (change.before.low, change.before.mean, change.before.high) == (0.25, 0.25, 0.25)


def test_reliability_adds_up() -> None:
    pairs = drawn()
    bins = measures.reliability(pairs, Platt(0.6, -1.0))
    assert len(bins) == 15
    assert sum(entry.pairs for entry in bins) == len(pairs.logits) == 720
    assert all(entry.pairs == 48 for entry in bins)
    relevant = sum(entry.pairs * entry.relevant.mean for entry in bins)
    assert relevant == pytest.approx(pairs.relevant.sum())
    gaps = [entry.pairs * abs(entry.relevant.mean - entry.probability) for entry in bins]
    chance = Platt(0.6, -1.0)(pairs.logits)
    assert sum(gaps) / 720 == pytest.approx(measures.calibration_error(chance, pairs.relevant))
    assert all(entry.relevant.low <= entry.relevant.mean <= entry.relevant.high for entry in bins)


# -- the threshold --------------------------------------------------------------------------------


def test_a_threshold_by_hand() -> None:
    # Each query has logits 3, 2, 1, 0; from 2 on two thirds or more are relevant.
    logits = [3.0, 2.0, 1.0, 0.0] * 12
    relevant = [True, True, False, False] * 6 + [True, False, False, False] * 6
    pairs = JudgedPairs.of(logits, relevant, np.repeat(range(12), 4))
    made = Temperature(1.0)
    found = measures.find_threshold(pairs, pairs, made, 0.75)
    assert found.probability == pytest.approx(1 / (1 + math.exp(-2)))
    assert found.precision == pytest.approx(18 / 24)
    assert found.recall == 1
    # From 3 on all are relevant: the bootstrap's bound would be 1, the exact one .05 ** (1/12).
    found = measures.find_threshold(pairs, pairs, made, 0.9)
    assert (found.precision, found.recall) == (1.0, 12 / 18)
    assert found.lower_bound == pytest.approx(0.05 ** (1 / 12))
    with pytest.raises(InputError, match=r"the best is 1.000|precision above 0"):
        measures.find_threshold(pairs, pairs, made, 1.5)
    worse = JudgedPairs(pairs.logits[::-1].copy(), pairs.relevant, pairs.queries)
    with pytest.raises(InputError, match=r"precision of 0.9, .* the best is 0.375"):
        measures.find_threshold(worse, pairs, made, 0.9)


def test_a_threshold_that_a_few_reach_by_chance_is_none() -> None:
    # The best nine are relevant, then every second one is.
    relevant = [True] * 9 + [False, True] * 20
    pairs = JudgedPairs.of(range(49, 0, -1), relevant, np.arange(49) % 12)
    made = Platt(0.1, -2.0)
    found = measures.find_threshold(pairs, pairs, made, 0.9)
    assert found.precision == 10 / 11  # at ten it is 9/10, at eleven 10/11
    with pytest.raises(InputError, match=r"with 10 documents or more, .* the best is 0.909"):
        measures.find_threshold(pairs, pairs, made, 0.95)


def test_the_bound_minds_that_pairs_of_a_query_go_together() -> None:
    # Ten queries all right, two all wrong, fifty pairs each: pairs alone would be surer.
    logits = np.concatenate([np.ones(600), -np.ones(12)])
    relevant = np.concatenate([np.arange(600) < 500, np.zeros(12)]).astype(bool)
    queries = np.concatenate([np.repeat(np.arange(12), 50), np.arange(12)])
    pairs = JudgedPairs(logits, relevant, queries)
    found = measures.find_threshold(pairs, pairs, Temperature(1.0), 0.83)
    assert found.precision == pytest.approx(5 / 6)
    assert found.lower_bound < 0.7  # Clopper and Pearson over pairs: .806


def test_a_threshold_that_nothing_reaches() -> None:
    pairs = drawn()
    low = JudgedPairs(np.minimum(pairs.logits, -1), pairs.relevant, pairs.queries)
    found = measures.find_threshold(pairs, low, Temperature(1.0), 0.6)
    assert (found.precision, found.lower_bound, found.recall) == (None, 0.0, 0.0)


def test_scores_of_predict_meet_the_threshold_that_was_judged() -> None:
    pairs = drawn()
    made = fit(pairs, "isotonic")
    found = measures.find_threshold(pairs, pairs, made, 0.7)
    chosen = made(pairs.logits).astype(np.float32) >= found.probability
    assert pairs.relevant[chosen].mean() == pytest.approx(found.precision)


# -- pairs ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"relevant": np.ones(720, bool)}, r"relevant ones for 60 and others for 0 of 60 queries"),
        ({"relevant": np.zeros(720, bool)}, r"relevant ones for 0 and others for 60"),
        ({"logits": np.append(np.zeros(719), np.nan)}, r"1 of 720 are not.*number 719, nan"),
        ({"logits": np.append(np.inf, np.zeros(719))}, r"number 0, inf"),
        ({"queries": np.arange(720) % 9}, r"At least 10 queries .* received 9"),
        ({"queries": np.arange(5)}, r"received 720, 720 and 5"),
    ],
)
def test_pairs_that_nothing_can_be_fitted_to(change: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        replace(drawn(), **change)


def test_a_method_that_is_not_known() -> None:
    pairs = JudgedPairs.of([1.0, -1.0] * 20, [True, False] * 20, range(40))
    with pytest.raises(InputError, match=r"method must be one of .*'platt'.*, received 'beta'"):
        fit(pairs, "beta")  # type: ignore[arg-type]


def test_one_logit_for_all_is_refused() -> None:
    pairs = drawn()
    with pytest.raises(InputError, match=r"all 720 are 1\.5"):
        fit(JudgedPairs(np.full(720, 1.5), pairs.relevant, pairs.queries), "platt")


def test_queries_are_divided_whole_evenly_and_the_same_each_time() -> None:
    random = np.random.default_rng(0)
    queries = random.permutation(np.repeat(np.arange(40), 5))
    relevant = np.isin(queries, [3, 5, 8, 11])
    pairs = JudgedPairs(random.normal(size=200), relevant, queries)
    first, second = split(pairs, seed=1)
    assert set(first.queries.tolist()).isdisjoint(second.queries.tolist())
    assert first.size == second.size == 20
    assert len(set(first.queries[first.relevant].tolist())) == 2
    assert split(pairs, seed=1)[0].queries.tolist() == first.queries.tolist()
    assert split(pairs, seed=2)[0].queries.tolist() != first.queries.tolist()
    with pytest.raises(InputError, match="received 19 in all"):
        split(pairs.where(pairs.queries < 19))


# -- all of it ------------------------------------------------------------------------------------


def test_a_calibration_is_better_on_other_queries() -> None:
    fitting, judging = split(drawn(200, slope=0.3))
    found = calibrate(fitting, judging, wanted_precision=0.5)
    assert found.calibration.method == "platt"
    for change in found.changes.values():
        assert change.after.mean < change.before.mean
        assert change.change.high < 0
    assert found.calibration.threshold is not None
    assert found.calibration.threshold.precision == pytest.approx(0.5, abs=0.08)
    assert found.calibration.threshold.lower_bound < found.calibration.threshold.precision


def test_what_is_shown() -> None:
    pytest.importorskip("matplotlib", reason="needs the extra evaluation")
    found = calibrate(*split(drawn(200)), wanted_precision=0.6)
    section = calibration_section(found)
    header, nll = section.tables[0].header, section.tables[0].rows[0]
    assert header == ["", "before", "after", "change"]
    assert nll[2].startswith(f"{found.changes['NLL'].after.mean:.4f} [")
    assert [row[0] for row in section.tables[1].rows] == ["temperature", "platt", "isotonic"]
    assert section.tables[2].rows[0][0] == "0.6"
    assert "100 queries (1,200 pairs, " in section.text[0]
    assert section.data["judged_on"]["queries"] == 100
    figure = reliability_figure(found)
    assert figure.svg.startswith("<svg")
    assert figure.svg == reliability_figure(found).svg
    for word in ("share that is relevant", "mean probability", "calibrated", "currentColor"):
        assert word in figure.svg
