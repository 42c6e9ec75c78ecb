"""Pointwise losses: every document by itself against its label."""

from abc import abstractmethod
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import log_softmax, logsigmoid

from crossrank.errors import InputError
from crossrank.losses.base import Loss, Target
from crossrank.losses.options import above_zero, one_of
from crossrank.losses.registry import register


class PointwiseLoss(Loss):
    """The mean over a query's documents of what each costs."""

    def per_query(self, scores: Tensor, labels: Tensor, mask: Tensor) -> Tensor:
        """Compute what each query costs."""
        costs = self.per_document(scores, labels, mask).masked_fill(~mask, 0)
        return costs.sum(dim=1) / mask.sum(dim=1).clamp(min=1)

    @abstractmethod
    def per_document(self, scores: Tensor, labels: Tensor, mask: Tensor) -> Tensor:
        """Compute what each document costs, ``[queries, documents]``; anything in padding."""


@register("binary_cross_entropy")
class BinaryCrossEntropy(PointwiseLoss):
    """Cross-entropy of the probability that a document is relevant.

    ``-mean[pos_weight * y * log sigma(s) + (1 - y) * log(1 - sigma(s))]``. Labels between 0 and 1
    are probabilities.

    Args:
        pos_weight: How many times a positive counts; the number of negatives for each positive
            balances the two.

    Raises:
        InputError: The weight is not above 0, or (when called) a label is not from 0 to 1.

    Example:
        >>> loss = BinaryCrossEntropy()
        >>> value = loss(torch.tensor([[0.0, 0.0]]), torch.tensor([[1, 0]]))
        >>> round(value.item(), 4)  # log 2
        0.6931
    """

    activation = "sigmoid"

    def __init__(self, pos_weight: float = 1.0) -> None:
        super().__init__()
        self.pos_weight = above_zero("pos_weight", pos_weight)

    def per_document(self, scores: Tensor, labels: Tensor, mask: Tensor) -> Tensor:
        """Compute what each document costs."""
        _require_probabilities(self.name, labels)
        # 1 - sigma(s) = sigma(-s), and logsigmoid has a gradient however wrong the score is.
        positive, negative = -logsigmoid(scores), -logsigmoid(-scores)
        return self.pos_weight * labels * positive + (1 - labels) * negative


@register("gbce")
class GeneralisedBinaryCrossEntropy(PointwiseLoss):
    """Binary cross-entropy for negatives sampled from a large pool (Petrov et al., 2024).

    ``-1/(k+1) * [beta * log sigma(s+) + sum over negatives of log(1 - sigma(s-))]``, where
    ``beta = alpha * (t * (1 - 1/alpha) + 1/alpha)`` and ``alpha = k / pool``, for a query's k
    negatives. Few negatives out of many documents look easier than the pool is: plain
    cross-entropy then gives every document too high a probability, which a small ``beta`` undoes.
    See arXiv 2403.20222 for cross-encoders.

    Args:
        pool: How many documents the negatives of a query were drawn from.
        t: Calibration: 0 is plain binary cross-entropy, 1 gives probabilities as if all of the
            pool had been seen.

    Raises:
        InputError: An option is out of range, or (when called) a label is not from 0 to 1, or a
            query has more negatives than the pool.

    Example:
        >>> loss = GeneralisedBinaryCrossEntropy(pool=10, t=1.0)
        >>> value = loss(torch.tensor([[0.0, 0.0]]), torch.tensor([[1, 0]]))
        >>> round(value.item(), 4)  # (0.1 log 2 + log 2) / 2
        0.3812
    """

    activation = "sigmoid"

    def __init__(self, pool: int, t: float = 0.75) -> None:
        super().__init__()
        self.pool = above_zero("pool", pool)
        if not 0 <= t <= 1:
            raise InputError(f"t must be from 0 to 1, received {t!r}.")
        self.t = t

    def check_pool(self, negatives: float) -> None:
        """See that the pool is large enough for a query's negatives.

        Raises:
            InputError: It is not.
        """
        if negatives > self.pool:
            raise InputError(
                "pool must be the number of documents that negatives were drawn from, so at least "
                f"as many as a query has; received {self.pool:g} for {negatives:g} negatives."
            )

    def per_document(self, scores: Tensor, labels: Tensor, mask: Tensor) -> Tensor:
        """Compute what each document costs."""
        _require_probabilities(self.name, labels)
        negatives = (1 - labels).masked_fill(~mask, 0).sum(dim=1, keepdim=True)
        if negatives.numel():
            self.check_pool(negatives.max().item())
        beta = 1 - self.t * (1 - negatives / self.pool)  # the formula, without dividing by alpha
        return beta * labels * -logsigmoid(scores) + (1 - labels) * -logsigmoid(-scores)


@register("mse")
class MeanSquaredError(PointwiseLoss):
    """Mean squared error of scores against labels, or against a teacher's scores.

    ``mean (s - y)^2``: regression, and with a teacher's logits pointwise distillation.

    Args:
        activation: ``"identity"`` compares raw logits; ``"sigmoid"`` compares scores from 0 to 1,
            with labels of that range, and learns slowly where a score is near 0 or 1.
        target: What a mixture compares with where data has both: ``"labels"`` or
            ``"teacher_scores"``.

    Raises:
        InputError: An option is neither of its two.

    Example:
        >>> value = MeanSquaredError()(torch.tensor([[1.0, 4.0]]), torch.tensor([[0.0, 1.0]]))
        >>> value.item()  # (1^2 + 3^2) / 2
        5.0
    """

    def __init__(
        self, activation: Literal["identity", "sigmoid"] = "identity", target: Target = "labels"
    ) -> None:
        super().__init__()
        self.activation = one_of("activation", activation, ("identity", "sigmoid"))
        self.target = one_of("target", target, ("labels", "teacher_scores"))

    def per_document(self, scores: Tensor, labels: Tensor, mask: Tensor) -> Tensor:
        """Compute what each document costs."""
        predicted = scores.sigmoid() if self.activation == "sigmoid" else scores
        return (predicted - labels) ** 2


@register("cross_entropy")
class CrossEntropy(Loss):
    """Cross-entropy of the class of each pair, e.g. in natural language inference.

    ``-log softmax(s)_y``, the mean over pairs. Unlike the others it takes a row of scores for each
    pair, see :meth:`forward`.

    Example:
        >>> value = CrossEntropy()(torch.tensor([[0.0, 0.0, 0.0]]), torch.tensor([2]))
        >>> round(value.item(), 4)  # log 3
        1.0986
    """

    activation = "softmax"

    def forward(self, scores: Tensor, labels: Tensor, mask: Tensor | None = None) -> Tensor:
        """Compute the loss of a batch.

        Args:
            scores: Raw logits, ``[pairs, classes]``.
            labels: The class of each pair, from 0, ``[pairs]``.
            mask: True for a pair, false for padding, ``[pairs]``; by default there is no padding.

        Returns:
            The mean over pairs, a scalar.

        Raises:
            InputError: The shapes do not fit, or a label is no class.
        """
        mask = torch.ones_like(labels, dtype=torch.bool) if mask is None else mask.bool()
        if scores.dim() != 2 or labels.shape != scores.shape[:1] or mask.shape != labels.shape:
            raise InputError(
                "cross_entropy needs scores [pairs, classes], and labels and mask [pairs]; "
                f"received {list(scores.shape)}, {list(labels.shape)} and {list(mask.shape)}."
            )
        # Padding is left out before anything is computed: it may hold anything.
        return self.per_query(scores[mask], labels[mask], mask[mask]).sum() / mask.sum().clamp(
            min=1
        )

    def per_query(self, scores: Tensor, labels: Tensor, mask: Tensor) -> Tensor:
        """Compute what each pair costs, ``[pairs]``."""
        classes = scores.shape[1]
        if not torch.isin(labels, torch.arange(classes, device=labels.device)).all():
            raise InputError(
                f"Labels must be classes, whole numbers from 0 to {classes - 1}; "
                f"received {labels.tolist()[:10]}."
            )
        precise = scores if scores.dtype == torch.float64 else scores.float()
        return -log_softmax(precise, dim=1).gather(1, labels.long()[:, None])[:, 0]


def _require_probabilities(loss: str, labels: Tensor) -> None:
    """Refuse labels outside 0 to 1, with which cross-entropy has no lower bound."""
    if not ((labels >= 0) & (labels <= 1)).all():
        raise InputError(
            f"{loss} needs labels from 0 to 1, received from {labels.min():g} to "
            f"{labels.max():g}: divide them by the highest grade, or use a pairwise or listwise "
            "loss, which take grades as they are."
        )
