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


@given(
    lengths=st.lists(st.integers(1, 200), min_size=1, max_size=60),
    budget=st.integers(200, 2000),
    streams=st.integers(2, 8),
)
def test_a_short_list_is_shared_out_among_streams(
    lengths: list[int], budget: int, streams: int
) -> None:
    batches = [rows.tolist() for rows in plan(lengths, budget=budget, streams=streams)]
    assert sorted(row for rows in batches for row in rows) == list(range(len(lengths)))
    costs = [len(rows) * max(lengths[row] for row in rows) for rows in batches]
    assert all(len(rows).bit_count() == 1 for rows in batches)
    assert all(len(rows) == 1 or cost <= budget for rows, cost in zip(batches, costs, strict=True))
    # A batch for each pair is a plan, too.
    assert _end(costs, streams) <= _end(sorted(lengths, reverse=True), streams)


def _end(costs: list[int], streams: int) -> int:
    """When the last stream ends, a batch being started for 32 tokens."""
    busy = [0] * streams
    for cost in costs:
        first = busy.index(min(busy))
        busy[first] += 32 + cost
    return max(busy)


def test_streams_end_together() -> None:
    def sizes(lengths: list[int]) -> list[int]:
        return [len(rows) for rows in plan(lengths, budget=1024, streams=2)]

    assert sizes([58] * 10) == [4, 4, 1, 1]  # 5 and 5, not 6 and 4
    assert sizes([64] * 4) == [2, 2]
    assert sizes([500, 60, 60, 60, 60, 60, 60, 60, 60]) == [1, 8]


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
