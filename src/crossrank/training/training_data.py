"""The datasets of a run: read once before it starts, so that no row stops it halfway."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import datasets
import numpy as np
import torch
from numpy.typing import NDArray

from crossrank.errors import InputError
from crossrank.losses.base import Loss
from crossrank.losses.pointwise import (
    CrossEntropy,
    GeneralisedBinaryCrossEntropy,
    PointwiseLoss,
)
from crossrank.losses.weighted_sum import WeightedSum
from crossrank.training.collation import Collator, TrainingBatch
from crossrank.training.columns import Examples
from crossrank.training.examples import Example
from crossrank.training.sampling import GroupedBatchSampler, dataset_weights

ONLY = "train"
"""Name of the dataset where there is one alone."""


@dataclass(frozen=True)
class Summary:
    """What a look at every row of a dataset found.

    Attributes:
        lengths: Characters of each row's average pair, ``[rows]``.
        lowest: The lowest label, and its row.
        highest: The highest label, and its row.
        fraction: A label that is no whole number, and its row; ``None`` where there is none.
        most_documents: Of any row.
        most_negatives: The most that any row has, as its labels fall short of 1, and its row.
        comparable: Rows with two different labels.
    """

    lengths: NDArray[np.int64]
    lowest: tuple[float, int]
    highest: tuple[float, int]
    fraction: tuple[float, int] | None
    most_documents: int
    most_negatives: tuple[float, int]
    comparable: int

    @classmethod
    def of(cls, examples: Examples) -> "Summary":
        """Read every row once.

        Raises:
            InputError: A row is broken; the message names it.
        """
        lengths = np.empty(len(examples), dtype=np.int64)
        lowest, highest, negatives = (np.inf, 0), (-np.inf, 0), (0.0, 0)
        fraction = None
        most = comparable = 0
        for row, example in enumerate(examples):
            count = len(example.documents)
            lengths[row] = len(example.query) + sum(map(len, example.documents)) // count
            low, high = min(example.labels), max(example.labels)
            lowest, highest = min(lowest, (low, row)), max(highest, (high, -row))
            if fraction is None:
                fraction = next(((x, row) for x in example.labels if x != int(x)), None)
            most = max(most, count)
            negatives = max(negatives, (count - sum(example.labels), -row))
            comparable += low < high
        return cls(lengths, lowest, _place(highest), fraction, most, _place(negatives), comparable)


def _place(found: tuple[float, int]) -> tuple[float, int]:
    """A value and the first of its rows, whose numbers were negated to find it."""
    return found[0], -found[1]


class TrainingData(torch.utils.data.Dataset[Example]):
    """One dataset or several, whose rows are numbered through.

    Args:
        dataset: A dataset, or several by name.

    Attributes:
        datasets: Examples by name.
        summaries: What their rows look like, by name.

    Raises:
        InputError: There is no dataset, or one is empty, broken or of unknown columns.
    """

    def __init__(self, dataset: datasets.Dataset | Mapping[str, datasets.Dataset]) -> None:
        named = dict(dataset) if isinstance(dataset, Mapping) else {ONLY: dataset}
        if not named:
            raise InputError("At least one dataset is required to train on, received none.")
        self.datasets = {
            name: Examples(rows, name, number) for number, (name, rows) in enumerate(named.items())
        }
        self.summaries = {name: Summary.of(examples) for name, examples in self.datasets.items()}
        self._ends = np.cumsum([len(examples) for examples in self.datasets.values()])

    def __len__(self) -> int:
        return int(self._ends[-1])

    def __getitem__(self, index: int) -> Example:
        number = int(np.searchsorted(self._ends, index, side="right"))
        examples = list(self.datasets.values())[number]
        example: Example = examples[index - int(self._ends[number]) + len(examples)]
        return example

    def sampler(
        self, batch_size: int, *, seed: int, weights: Mapping[str, float] | None = None
    ) -> GroupedBatchSampler:
        """Make the order of a run's batches."""
        return GroupedBatchSampler(
            [summary.lengths for summary in self.summaries.values()],
            batch_size,
            seed=seed,
            weights=dataset_weights(list(self.datasets), weights),
        )

    def collate(self, collator: Collator, examples: Sequence[Example]) -> tuple[str, TrainingBatch]:
        """Make a batch of examples of one dataset, and name that dataset."""
        return list(self.datasets)[examples[0].dataset], collator(examples)

    def check(
        self, name: str, loss: Any, *, num_labels: int = 1, in_batch_negatives: int = 0
    ) -> None:
        """See that a dataset and its loss fit, before anything is computed.

        Args:
            name: Which dataset.
            loss: What is minimised on it; one that is not of this library is not checked.
            num_labels: Width of the model's head.
            in_batch_negatives: Documents that each list will get besides.

        Raises:
            InputError: They do not; the message names the row where one is at fault.
        """
        for part in loss.losses if isinstance(loss, WeightedSum) else [loss]:
            if isinstance(part, Loss):
                _check_head(name, part, self.summaries[name], num_labels)
                self._check_labels(name, part, num_labels)
                self._check_pool(name, part, in_batch_negatives)
                self._check_lists(name, part, in_batch_negatives)

    def _check_labels(self, name: str, loss: Loss, num_labels: int) -> None:
        """Show the loss the lowest, the highest and a fractional label, and see what it says."""
        columns, summary = self.datasets[name].columns, self.summaries[name]
        taught = loss.target == "teacher_scores"
        if taught and columns.teacher is None and columns.positive_first:
            raise InputError(
                f"{name}: the loss {loss.name!r} compares with a teacher, and the dataset has no "
                "column 'teacher_scores'. Add one, e.g. with crossrank distill."
            )
        if taught and columns.teacher is not None:
            return
        for label, row in filter(None, (summary.lowest, summary.highest, summary.fraction)):
            shape = (1, num_labels)
            try:
                loss(
                    torch.zeros(shape),
                    torch.tensor([label] if isinstance(loss, CrossEntropy) else [[label]]),
                )
            except InputError as error:
                raise InputError(f"{name}, row {row + 1}: the label {label:g}: {error}") from error

    def _check_pool(self, name: str, loss: Loss, in_batch_negatives: int) -> None:
        if not isinstance(loss, GeneralisedBinaryCrossEntropy):
            return
        negatives, row = self.summaries[name].most_negatives
        try:
            loss.check_pool(negatives + in_batch_negatives)
        except InputError as error:
            raise InputError(f"{name}, row {row + 1}: {error}") from error

    def _check_lists(self, name: str, loss: Loss, in_batch_negatives: int) -> None:
        columns, summary = self.datasets[name].columns, self.summaries[name]
        if in_batch_negatives:
            if isinstance(loss, CrossEntropy):
                raise InputError(
                    f"{name}: in_batch_negatives adds documents with the label 0, which is a class "
                    f"to the loss {loss.name!r}. Leave out in_batch_negatives."
                )
            if columns.teacher is not None:
                raise InputError(
                    f"{name}: in_batch_negatives adds documents that the teacher has not scored. "
                    "Leave out one of both."
                )
            return
        if isinstance(loss, PointwiseLoss | CrossEntropy):
            if summary.lowest[0] == summary.highest[0] and columns.teacher is None:
                raise InputError(
                    f"{name}: labels of at least two values are required, and all are "
                    f"{summary.lowest[0]:g}: the model would learn to answer that. Add negatives, "
                    "e.g. with crossrank mine."
                )
            return
        taught = loss.target == "teacher_scores"
        if summary.most_documents < 2 or not (taught or summary.comparable):
            raise InputError(
                f"{name}: the loss {loss.name!r} compares the documents of a query, and no row has "
                "two documents with different labels. Use rows with lists of documents, "
                "in_batch_negatives, or a pointwise loss such as 'binary_cross_entropy'."
            )


def _check_head(name: str, loss: Loss, summary: Summary, num_labels: int) -> None:
    """See that the loss reads as many logits a pair as the head gives."""
    classes = isinstance(loss, CrossEntropy)
    if classes != (num_labels > 1):
        raise InputError(
            f"{name}: the loss {loss.name!r} needs a model with "
            f"{'one logit a class' if classes else 'one logit a pair'}, this one has {num_labels}. "
            f"Load it with num_labels={int(summary.highest[0]) + 1 if classes else 1}."
        )
    if classes and summary.most_documents > 1:
        raise InputError(
            f"{name}: the loss {loss.name!r} takes one document a row, with its class, received "
            f"{summary.most_documents}."
        )
