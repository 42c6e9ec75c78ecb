"""Pairwise losses: every document against those with a lower label."""

import math
from abc import abstractmethod
from typing import Literal

from torch import Tensor, eye
from torch.nn.functional import logsigmoid, relu

from crossrank.errors import InputError
from crossrank.losses.base import Loss
from crossrank.losses.lambda_weights import OVER_ALL_PAIRS, WEIGHTINGS, Ranking
from crossrank.losses.options import above_zero, cutoff, one_of
from crossrank.losses.ranks import ranks
from crossrank.losses.registry import register

Reduction = Literal["mean", "sum"]


class PairwiseLoss(Loss):
    """What a query's pairs of documents cost.

    Takes memory of n^2 for n documents a query.

    Args:
        reduction: ``"mean"`` over the pairs that are compared, so that a list of 100 documents,
            which may have 2,500 pairs, counts no more than one of two; or their ``"sum"``.

    Raises:
        InputError: The reduction is neither.
    """

    def __init__(self, reduction: Reduction = "mean") -> None:
        super().__init__()
        self.reduction = one_of("reduction", reduction, ("mean", "sum"))

    def per_query(self, scores: Tensor, labels: Tensor, mask: Tensor) -> Tensor:
        """Compute what each query costs."""
        pairs = self.compared(scores, labels, mask) & mask[:, :, None] & mask[:, None, :]
        margins = scores[:, :, None] - scores[:, None, :]
        # The fill comes before the cost: no gradient flows through pairs that are not compared.
        costs = self.per_pair(margins.masked_fill(~pairs, 0)) * self.weights(scores, labels, mask)
        total = costs.masked_fill(~pairs, 0).sum(dim=(1, 2))
        return total / pairs.sum(dim=(1, 2)).clamp(min=1) if self.reduction == "mean" else total

    @abstractmethod
    def per_pair(self, margins: Tensor) -> Tensor:
        """Compute what a pair with each margin ``s_i - s_j`` costs, the same shape."""

    def compared(self, scores: Tensor, labels: Tensor, mask: Tensor) -> Tensor:
        """Choose the pairs (i, j), ``[queries, documents, documents]``; padding does not matter."""
        return labels[:, :, None] > labels[:, None, :]

    def weights(self, scores: Tensor, labels: Tensor, mask: Tensor) -> Tensor | float:
        """Compute how much each pair counts, without gradient."""
        return 1.0


@register("ranknet")
class RankNet(PairwiseLoss):
    """Negative log-likelihood that the better document of each pair wins (Burges et al., 2005).

    The mean over pairs with ``y_i > y_j`` of ``log(1 + e^(-sigma * (s_i - s_j)))``.

    Args:
        sigma: Scale of the scores: the higher, the nearer the loss is to counting wrong pairs.
        reduction: ``"mean"`` over pairs, or their ``"sum"`` as in the paper.

    Raises:
        InputError: Sigma is not above 0, or the reduction is unknown.

    Example:
        >>> import torch
        >>> value = RankNet()(torch.tensor([[1.0, 0.0]]), torch.tensor([[1, 0]]))
        >>> round(value.item(), 4)  # log(1 + 1/e)
        0.3133
    """

    def __init__(self, sigma: float = 1.0, reduction: Reduction = "mean") -> None:
        super().__init__(reduction)
        self.sigma = above_zero("sigma", sigma)

    def per_pair(self, margins: Tensor) -> Tensor:
        """Compute what a pair with each margin costs."""
        return -logsigmoid(self.sigma * margins)


@register("hinge")
class Hinge(PairwiseLoss):
    """How much each margin falls short (Herbrich et al., 1999).

    The mean over pairs with ``y_i > y_j`` of ``max(0, margin - (s_i - s_j))``. Pairs in the right
    order by the margin have no gradient any more.

    Args:
        margin: By how much the better document's score should be higher.
        reduction: ``"mean"`` over pairs, or their ``"sum"``.

    Raises:
        InputError: The margin is not above 0, or the reduction is unknown.

    Example:
        >>> import torch
        >>> value = Hinge()(torch.tensor([[0.25, 0.0]]), torch.tensor([[1, 0]]))
        >>> value.item()  # 1 - 0.25
        0.75
    """

    def __init__(self, margin: float = 1.0, reduction: Reduction = "mean") -> None:
        super().__init__(reduction)
        self.margin = above_zero("margin", margin)

    def per_pair(self, margins: Tensor) -> Tensor:
        """Compute what a pair with each margin costs."""
        return relu(self.margin - margins)


@register("lambda_loss")
class LambdaLoss(PairwiseLoss):
    """RankNet whose pairs count by what their order does to a measure (Wang et al., CIKM 2018).

    The mean over pairs with ``y_i > y_j`` of ``w_ij * log2(1 + e^(-sigma * (s_i - s_j)))``. The
    weights come from the ranks that the scores give and are held constant: no gradient flows
    through them. :mod:`crossrank.losses.lambda_weights` has their formulas. ``ndcg_loss1`` and
    ``arp_loss1`` compare all pairs of different documents, whatever their labels.

    Weights on NDCG are about 1/n small in a list of n: a higher learning rate than RankNet's may
    be needed, or ``reduction="sum"``.

    Args:
        weighting: ``none``, ``lambdarank``, ``ndcg_loss1``, ``ndcg_loss2``, ``ndcg_loss2pp``,
            ``lambda_mrr``, ``arp_loss1`` or ``arp_loss2``.
        k: Compare only pairs of which either document is among the first k, since swaps across
            rank k matter; all pairs by default.
        sigma: Scale of the scores.
        mu: The share of NDCG-Loss2 in ``ndcg_loss2pp``.
        log_base: Of the logarithm: 2 bounds the measure from above, e is RankNet's.
        reduction: ``"mean"`` over the pairs that are compared, or their ``"sum"`` as in the paper.

    Raises:
        InputError: An option is out of range.

    Example:
        >>> import torch
        >>> loss = LambdaLoss(weighting="lambdarank")
        >>> value = loss(torch.tensor([[0.0, 0.0]]), torch.tensor([[1, 0]]))
        >>> round(value.item(), 4)  # (1 - 0) * (1 - 1/log2(3)) * log2(2)
        0.3691
    """

    def __init__(
        self,
        weighting: str = "ndcg_loss2pp",
        k: int | None = None,
        sigma: float = 1.0,
        mu: float = 10.0,
        log_base: float = 2.0,
        reduction: Reduction = "mean",
    ) -> None:
        super().__init__(reduction)
        self.weighting = one_of("weighting", weighting, WEIGHTINGS)
        self.k = cutoff(k)
        self.sigma = above_zero("sigma", sigma)
        self.mu = above_zero("mu", mu)
        self.log_base = above_zero("log_base", log_base)
        if self.log_base <= 1:
            raise InputError(f"log_base must be above 1, received {log_base!r}.")

    def compared(self, scores: Tensor, labels: Tensor, mask: Tensor) -> Tensor:
        """Choose the pairs (i, j)."""
        if self.weighting in OVER_ALL_PAIRS:
            pairs = ~eye(scores.shape[1], dtype=mask.dtype, device=mask.device)[None]
        else:
            pairs = super().compared(scores, labels, mask)
        if self.k is None:
            return pairs
        top = ranks(scores, labels, mask) <= self.k
        return pairs & (top[:, :, None] | top[:, None, :])

    def weights(self, scores: Tensor, labels: Tensor, mask: Tensor) -> Tensor:
        """Compute how much each pair counts."""
        ranking = Ranking.of(scores.detach(), labels.detach(), mask, self.k, self.mu)
        return WEIGHTINGS[self.weighting](ranking)

    def per_pair(self, margins: Tensor) -> Tensor:
        """Compute what a pair with each margin costs."""
        return -logsigmoid(self.sigma * margins) / math.log(self.log_base)
