"""Batches by hand and by property."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from crossrank.batching import Batch, TokenBudget, collate, plan
from crossrank.tokenization import Encoded


def encoded(*ids: int, document_start: int) -> Encoded:
    return Encoded(np.array(ids, dtype=np.int32), document_start)


def test_collate_pads_on_the_right() -> None:
    batch = collate(
        [encoded(5, 6, 7, document_start=1), encoded(8, document_start=1)], pad_token_id=9
    )
    assert batch.input_ids.tolist() == [[5, 6, 7], [8, 9, 9]]
    assert batch.attention_mask.tolist() == [[1, 1, 1], [1, 0, 0]]
    assert batch.token_type_ids.tolist() == [[0, 1, 1], [0, 0, 0]]


def test_collate_pads_on_the_left() -> None:
    batch = collate(
        [encoded(5, 6, 7, document_start=2), encoded(8, 4, document_start=1)],
        pad_token_id=9,
        side="left",
    )
    assert batch.input_ids.tolist() == [[5, 6, 7], [9, 8, 4]]
    assert batch.attention_mask.tolist() == [[1, 1, 1], [0, 1, 1]]
    assert batch.token_type_ids.tolist() == [[0, 0, 1], [0, 0, 1]]


@given(
    lengths=st.lists(st.integers(1, 60), max_size=80),
    budget=st.integers(1, 300),
    batch_size=st.none() | st.integers(1, 20),
)
def test_plan_covers_everything_once_within_the_budget(
    lengths: list[int], budget: int, batch_size: int | None
) -> None:
    batches = [rows.tolist() for rows in plan(lengths, budget=budget, batch_size=batch_size)]
    assert sorted(row for rows in batches for row in rows) == list(range(len(lengths)))
    order = [lengths[row] for rows in batches for row in rows]
    assert order == sorted(lengths, reverse=True)
    for rows in batches:
        if batch_size is None:
            assert len(rows) == 1 or len(rows) * lengths[rows[0]] <= budget
            assert len(rows).bit_count() == 1
        else:
            assert len(rows) == batch_size or rows == batches[-1]


def test_halves_keep_every_row() -> None:
    array = np.arange(15).reshape(5, 3)
    first, second = Batch(array, array, array).halves()
    assert (len(first), len(second)) == (2, 3)
    assert np.concatenate([first.input_ids, second.input_ids]).tolist() == array.tolist()


def test_a_budget_only_shrinks() -> None:
    budget = TokenBudget(1000)
    budget.halve(failed=600)
    assert budget.tokens == 300
    budget.halve(failed=900)
    assert budget.tokens == 300
    budget.halve(failed=1)
    assert budget.tokens == 1
