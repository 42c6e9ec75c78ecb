"""Batches: every row once, of similar length, in an order that the seed and the epoch decide."""

import numpy as np
import pytest

pytest.importorskip("torch", reason="training needs torch")

from crossrank.errors import InputError
from crossrank.training.sampling import GroupedBatchSampler, dataset_weights

RANDOM = np.random.default_rng(0)
LENGTHS = RANDOM.integers(10, 500, size=1001)


def test_every_row_comes_once() -> None:
    batches = list(GroupedBatchSampler([LENGTHS], 8, seed=1))
    assert sorted(row for batch in batches for row in batch) == list(range(1001))
    assert sorted(map(len, batches)) == [1] + [8] * 125
    assert len(GroupedBatchSampler([LENGTHS], 8, seed=1)) == len(batches) == 126


def test_seed_and_epoch_decide_the_order() -> None:
    first, same = (GroupedBatchSampler([LENGTHS], 8, seed=1) for _ in range(2))
    assert list(first) == list(first) == list(same)
    same.set_epoch(1)
    assert list(first) != list(same)
    assert list(first) != list(GroupedBatchSampler([LENGTHS], 8, seed=2))


def test_rows_of_a_batch_are_of_similar_length_and_batches_are_not_sorted() -> None:
    batches = list(GroupedBatchSampler([LENGTHS], 8, seed=1))
    spreads = [np.ptp(LENGTHS[batch]) for batch in batches if len(batch) == 8]
    assert np.median(spreads) < 20  # 490 at random
    means = [LENGTHS[batch].mean() for batch in batches]
    assert abs(np.corrcoef(means, range(len(means)))[0, 1]) < 0.3


def test_a_batch_is_of_one_dataset() -> None:
    batches = list(GroupedBatchSampler([LENGTHS[:100], LENGTHS[100:150]], 8, seed=3))
    assert sorted(row for batch in batches for row in batch) == list(range(150))
    assert all(len({row < 100 for row in batch}) == 1 for batch in batches)


def test_weights_repeat_a_small_dataset() -> None:
    sampler = GroupedBatchSampler([LENGTHS[:80], LENGTHS[80:100]], 4, seed=3, weights=[1, 1])
    batches = list(sampler)
    assert len(sampler) == len(batches) == 25
    small = [row for batch in batches for row in batch if row >= 80]
    assert len(small) in (48, 52)  # half of the 100 rows, in batches of 4
    counts = np.bincount(small, minlength=100)[80:]
    assert set(counts) == {2, 3}  # repeated as evenly as can be


def test_a_tiny_weight_still_gets_a_batch() -> None:
    batches = list(
        GroupedBatchSampler([LENGTHS[:80], LENGTHS[80:90]], 4, seed=3, weights=[1, 1e-9])
    )
    assert any(row >= 80 for batch in batches for row in batch)


@pytest.mark.parametrize("weights", [{"a": 1.0}, {"a": 1.0, "b": 0.0}, {"a": 1.0, "c": 1.0}])
def test_weights_that_do_not_fit_are_refused(weights: dict[str, float]) -> None:
    with pytest.raises(InputError, match=r"a number above 0 for each of \['a', 'b'\]"):
        dataset_weights(["a", "b"], weights)


def test_weights_come_in_the_order_of_the_datasets() -> None:
    assert dataset_weights(["a", "b"], {"b": 2.0, "a": 1.0}) == [1.0, 2.0]
    assert dataset_weights(["a", "b"], None) is None
