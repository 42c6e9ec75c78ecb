"""Occlusion and its faithfulness, on scoring functions that are known."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.explanation.scorers import WEIGHTS, both, linear

from crossrank.explanation.faithfulness import Faithfulness, measure_faithfulness
from crossrank.explanation.occlusion import occlude
from crossrank.explanation.parts import Parts
from crossrank.types import Floats, Pair


def test_words_of_a_linear_scorer_have_their_weights() -> None:
    found = occlude(linear, "query", Parts.words("good but bad, fine.", 10))
    assert found.values.tolist() == [2.0, 0.0, -1.5, 0.5]
    assert (found.logit, found.baseline) == (2.0, 1.0)


def test_sentences_have_the_sums_of_their_words() -> None:
    found = occlude(linear, "query", Parts.sentences("good but bad. It is fine. None.", 10))
    assert found.values.tolist() == [0.5, 0.5, 0.0]


@given(st.lists(st.sampled_from([*WEIGHTS, "other"]), max_size=40), st.integers(1, 12))
def test_a_linear_scorer_is_explained_to_the_last_logit(words: list[str], most: int) -> None:
    found = occlude(linear, "", Parts.words(" ".join(words), most))
    assert found.values.sum() == pytest.approx(found.logit - found.baseline, abs=1e-4)


def test_what_works_only_together_is_credited_to_both() -> None:
    assert occlude(both, "", Parts.words("left or right", 5)).values.tolist() == [1.0, 0.0, 1.0]


def test_all_variants_are_scored_in_one_call_and_no_more_than_asked() -> None:
    calls: list[int] = []

    def score(pairs: Sequence[Pair]) -> Floats:
        calls.append(len(pairs))
        assert all(query == "the query" for query, _ in pairs)
        return linear(pairs)

    parts = Parts.words("word " * 1000, 64)
    values = occlude(score, "the query", parts).values
    measure_faithfulness(score, "the query", parts, values)
    assert calls == [66, 242]


def test_an_empty_document_has_nothing_to_explain() -> None:
    found = occlude(linear, "", Parts.words(" ", 5))
    assert (found.values.tolist(), found.logit, found.baseline) == ([], 1.0, 1.0)


def faithfulness(text: str, attributions: Sequence[float]) -> Faithfulness:
    found = measure_faithfulness(linear, "", Parts.words(text, 50), np.array(attributions))
    assert found is not None
    return found


def test_areas_by_hand() -> None:
    # In the order of the weights 2, 0.5, -1.5 the logits are 2, 0, -0.5, 1 when deleted and
    # 1, 3, 3.5, 2 when inserted. The lowest of all becomes 0, the highest 1; a step is a third.
    found = faithfulness("good fine bad", [2, 0.5, -1.5])
    deleted = [(logit + 0.5) / 4 for logit in (2, 0, -0.5, 1)]
    inserted = [(logit + 0.5) / 4 for logit in (1, 3, 3.5, 2)]
    for area, (first, *inner, last) in ((found.deletion, deleted), (found.insertion, inserted)):
        assert area == pytest.approx((first / 2 + sum(inner) + last / 2) / 3)
    expected = (
        found.random_deletion - found.deletion + found.insertion - found.random_insertion
    ) / 2
    assert found.gain == pytest.approx(expected)


TEXT = "good a fine b bad c worst d good e fine f g h"
TRUE = [WEIGHTS.get(word, 0.0) for word in TEXT.split()]


def test_the_truth_beats_chance_and_its_reverse_loses() -> None:
    true, reverse = faithfulness(TEXT, TRUE), faithfulness(TEXT, [-value for value in TRUE])
    assert true.deletion < true.random_deletion
    assert true.insertion > true.random_insertion
    assert (true.beaten, reverse.beaten) == (1.0, 0.0)
    assert true.gain > 0.25
    assert reverse.gain < -0.25
    assert true.random_deletion == reverse.random_deletion  # the same orders for all


@given(st.permutations(TRUE))
def test_no_order_is_better_than_the_truth(attributions: list[float]) -> None:
    true, other = faithfulness(TEXT, TRUE), faithfulness(TEXT, attributions)
    assert other.insertion - other.deletion <= true.insertion - true.deletion + 1e-9


def test_a_document_that_lowers_the_score_is_judged_alike() -> None:
    # Less relevant with the document than without: dividing by that difference would turn the sign.
    values = [-4.0, 0.0, 0.0, 0.5]
    assert faithfulness("worst a b fine", values).gain > 0.1
    assert faithfulness("worst a b fine", [-value for value in values]).gain < -0.1


def test_where_nothing_matters_nothing_is_gained() -> None:
    found = faithfulness("a b c", [3, 2, 1])
    assert found == Faithfulness(0.0, 0.0, 0.0, 0.0, beaten=0.5)
    assert found.gain == 0


@pytest.mark.parametrize("text", ["", "one"])
def test_one_part_has_no_order(text: str) -> None:
    assert (
        measure_faithfulness(linear, "", Parts.words(text, 5), np.zeros(min(1, len(text)))) is None
    )
