"""Batches of rows of similar length, from one dataset or several."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Sampler

from crossrank.errors import InputError

WINDOW = 64
"""Batches whose rows are sorted together: the more, the less the lengths of a batch differ."""

Rows = NDArray[np.intp]


class GroupedBatchSampler(Sampler[list[int]]):
    """Draws batches of one dataset each, whose rows are of similar length.

    Every epoch has the same number of batches in an order of its own, which the seed decides: a run
    that is resumed meets the batches that it would have met.

    Args:
        lengths: Of the rows of each dataset, in any unit. Rows are numbered through all datasets.
        batch_size: Rows of a batch; the last batch of a dataset may have fewer.
        seed: Of the order.
        weights: How often each dataset is drawn from; by default as often as it is large. An epoch
            has as many batches either way: a dataset drawn from more often is repeated.
    """

    def __init__(
        self,
        lengths: Sequence[NDArray[np.int64]],
        batch_size: int,
        *,
        seed: int,
        weights: Sequence[float] | None = None,
    ) -> None:
        self._lengths = lengths
        self._batch_size = batch_size
        self._seed = seed
        self._epoch = 0
        sizes = [-(-len(rows) // batch_size) for rows in lengths]
        self._shares = sizes if weights is None else _shares(sum(sizes), weights)

    def set_epoch(self, epoch: int) -> None:
        """Say which epoch comes next."""
        self._epoch = epoch

    def __len__(self) -> int:
        return sum(self._shares)

    def __iter__(self) -> Iterator[list[int]]:
        random = np.random.default_rng((self._seed, self._epoch))
        starts = np.cumsum([0, *map(len, self._lengths)])
        batches: list[Rows] = []
        for start, lengths, share in zip(starts, self._lengths, self._shares, strict=False):
            drawn: list[Rows] = []
            while len(drawn) < share:
                drawn += [start + rows for rows in self._one_pass(lengths, random)]
            batches += drawn[:share]
        for place in random.permutation(len(batches)):
            yield batches[place].tolist()

    def _one_pass(self, lengths: NDArray[np.int64], random: np.random.Generator) -> list[Rows]:
        """Every row of a dataset once, in batches whose order is random."""
        order = random.permutation(len(lengths))
        window = WINDOW * self._batch_size
        parts = [order[start : start + window] for start in range(0, len(order), window)]
        grouped = np.concatenate([part[np.argsort(lengths[part], kind="stable")] for part in parts])
        starts = range(0, len(grouped), self._batch_size)
        batches = [grouped[start : start + self._batch_size] for start in starts]
        return [batches[place] for place in random.permutation(len(batches))]


def dataset_weights(
    names: Sequence[str], weights: Mapping[str, float] | None
) -> list[float] | None:
    """Bring the weights of datasets into their order.

    Raises:
        InputError: Names differ from those of the datasets, or a weight is not above 0.
    """
    if weights is None:
        return None
    if set(weights) != set(names) or not all(0 < value < np.inf for value in weights.values()):
        raise InputError(
            f"dataset_weights needs a number above 0 for each of {sorted(names)}, "
            f"received {dict(weights)}."
        )
    return [weights[name] for name in names]


def _shares(total: int, weights: Sequence[float]) -> list[int]:
    """Divide a number of batches, at least one to each; what rounding leaves goes to the last."""
    ends = np.rint(np.cumsum(weights) / sum(weights) * total).astype(int)
    return [max(1, int(share)) for share in np.diff(ends, prepend=0)]
