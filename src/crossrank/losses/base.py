"""What every loss shares: the check of shapes, the mask, fp32, and the mean over queries."""

from abc import abstractmethod
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from crossrank.errors import InputError

Target = Literal["labels", "teacher_scores"]


class Loss(nn.Module):
    """A loss of scores, labels and a mask.

    A subclass says what one query costs (:meth:`per_query`); the value is the mean over the
    queries that have a document. So the loss of a large batch is the weighted mean of the losses
    of its parts, and a long list counts no more than a short one.

    All arithmetic is fp32, whatever the scores come in, under autocast too; fp64 stays fp64.

    Attributes:
        name: What recipes call it.
        activation: What scores of a model trained with this loss are read through, see
            ``crossrank.activations``.
        target: What it compares scores with where data has both labels and teacher scores.
    """

    name: ClassVar[str]
    activation: str = "identity"
    target: Target = "labels"

    def forward(self, scores: Tensor, labels: Tensor, mask: Tensor | None = None) -> Tensor:
        """Compute the loss of a batch.

        Args:
            scores: Raw logits, ``[queries, documents]``.
            labels: Graded labels or teacher scores, ``[queries, documents]``.
            mask: True for a document, false for padding, ``[queries, documents]``; by default
                there is no padding. What scores and labels hold in padding plays no part.

        Returns:
            The mean over queries, a scalar.

        Raises:
            InputError: The shapes differ.
        """
        scores, labels, mask = _checked(scores, labels, mask)
        present = mask.any(dim=1)
        with torch.autocast(scores.device.type, enabled=False):
            values = self.per_query(scores, labels, mask)
        return values.sum() / present.sum().clamp(min=1)

    @abstractmethod
    def per_query(self, scores: Tensor, labels: Tensor, mask: Tensor) -> Tensor:
        """Compute what each query costs.

        Args:
            scores: fp32 or fp64, 0 in padding, ``[queries, documents]``.
            labels: The same type, 0 in padding, ``[queries, documents]``.
            mask: Boolean, ``[queries, documents]``.

        Returns:
            ``[queries]``; 0, with a gradient of 0, where a query has nothing to learn from.
        """


def _checked(scores: Tensor, labels: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
    """Check shapes, and make types equal and padding 0."""
    if scores.dim() != 2:
        raise InputError(f"scores must be [queries, documents], received {list(scores.shape)}.")
    for name, tensor in (("labels", labels), ("mask", mask)):
        if tensor is not None and tensor.shape != scores.shape:
            raise InputError(
                f"{name} must have the shape of scores, {list(scores.shape)}, "
                f"received {list(tensor.shape)}."
            )
    if scores.dtype != torch.float64:
        scores = scores.float()
    mask = torch.ones_like(scores, dtype=torch.bool) if mask is None else mask.bool()
    zero = scores.new_zeros(())
    # where, not a product: padding may hold anything, and NaN times 0 is NaN.
    return (
        torch.where(mask, scores, zero),
        torch.where(mask, labels.to(scores.dtype), zero),
        mask,
    )
