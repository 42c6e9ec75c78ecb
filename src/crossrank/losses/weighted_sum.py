"""Sums of losses with weights."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from crossrank.errors import InputError
from crossrank.losses.base import Loss


class WeightedSum(nn.Module):
    """Several losses of the same scores, e.g. half labels and half teacher.

    Args:
        terms: Losses with their weights, at least one.

    Raises:
        InputError: There is no term, or a weight is not a finite number above 0.

    Example:
        >>> import torch
        >>> from crossrank.losses import make_loss
        >>> terms = [(make_loss("softmax_cross_entropy"), 1), (make_loss("margin_mse"), 0.5)]
        >>> both = WeightedSum(terms)
        >>> scores, labels = torch.tensor([[0.0, 0.0]]), torch.tensor([[1.0, 0.0]])
        >>> value = both(scores, labels, teacher_scores=torch.tensor([[2.0, 1.0]]))
        >>> round(value.item(), 4)  # log 2 + 0.5 * 1
        1.1931
    """

    def __init__(self, terms: Sequence[tuple[Loss, float]]) -> None:
        super().__init__()
        if not terms or not all(0 < weight < math.inf for _, weight in terms):
            raise InputError(
                "A sum of losses needs at least one loss, and weights above 0; received "
                f"{[(loss.name, weight) for loss, weight in terms]}."
            )
        self.losses = nn.ModuleList(loss for loss, _ in terms)
        self.weights = [float(weight) for _, weight in terms]

    @property
    def activation(self) -> str:
        """What scores are read through: as the first loss has it."""
        first: Loss = self.losses[0]  # type: ignore[assignment]
        return first.activation

    def forward(
        self,
        scores: Tensor,
        labels: Tensor,
        mask: Tensor | None = None,
        teacher_scores: Tensor | None = None,
    ) -> Tensor:
        """Compute the sum.

        Args:
            scores: Raw logits, ``[queries, documents]``.
            labels: Labels, ``[queries, documents]``.
            mask: True for a document, false for padding.
            teacher_scores: What the distillation losses get; ``labels`` by default.

        Returns:
            A scalar.
        """
        values = []
        for loss, weight in zip(self.losses, self.weights, strict=True):
            taught = loss.target == "teacher_scores" and teacher_scores is not None
            values.append(weight * loss(scores, teacher_scores if taught else labels, mask))
        return torch.stack(values).sum()
