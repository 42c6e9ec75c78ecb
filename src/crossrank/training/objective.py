"""From the logits of a batch to what training minimises."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from crossrank.errors import InputError
from crossrank.losses import Loss, WeightedSum, make_loss
from crossrank.training.collation import TrainingBatch


@dataclass(frozen=True)
class Objective:
    """A loss, applied to a batch.

    Attributes:
        loss: A loss of this library or one like it; a loss of somebody else's need not be a mean
            over queries, and then a batch is never split.
    """

    loss: Any

    @property
    def separable(self) -> bool:
        """Whether the loss is a mean over queries."""
        return isinstance(self.loss, Loss | WeightedSum)

    @property
    def activation(self) -> str:
        """What scores are read through."""
        return str(getattr(self.loss, "activation", "identity"))

    def __call__(self, logits: Tensor, batch: TrainingBatch) -> Tensor:
        """Compute the loss of logits ``[pairs, labels]``, a scalar."""
        cells = (batch.rows, batch.columns)
        if logits.shape[1] > 1:
            value: Tensor = self.loss(logits, batch.labels[cells].long())
            return value
        if logits.dtype != torch.float64:
            logits = logits.float()
        scores = logits.new_zeros(batch.labels.shape).index_put(cells, logits[:, 0])
        if isinstance(self.loss, WeightedSum):
            value = self.loss(scores, batch.labels, batch.mask, batch.teacher_scores)
        else:
            taught = getattr(self.loss, "target", "labels") == "teacher_scores"
            teacher = batch.teacher_scores if taught else None
            value = self.loss(scores, batch.labels if teacher is None else teacher, batch.mask)
        return value


AnyLoss = Loss | WeightedSum | Objective | str


def objectives(loss: AnyLoss | Mapping[str, AnyLoss], datasets: list[str]) -> dict[str, Objective]:
    """Give each dataset its objective.

    Args:
        loss: One for all datasets, or one for each by name.
        datasets: Their names.

    Raises:
        InputError: A dataset has no loss, or a loss no dataset.
    """
    if not isinstance(loss, Mapping):
        return dict.fromkeys(datasets, _objective(loss))
    if set(loss) != set(datasets):
        raise InputError(
            f"Each dataset needs a loss: datasets are {sorted(datasets)}, losses {sorted(loss)}."
        )
    return {name: _objective(used) for name, used in loss.items()}


def _objective(loss: AnyLoss) -> Objective:
    if isinstance(loss, Objective):
        return loss
    return Objective(make_loss(loss) if isinstance(loss, str) else loss)
