"""Listwise losses that model the probability of a ranking: ListNet, ListMLE, cross-entropy."""

import torch
from torch import Tensor

from crossrank.losses.base import Loss
from crossrank.losses.options import above_zero
from crossrank.losses.ranks import masked_log_softmax, order
from crossrank.losses.registry import register


@register("listnet")
class ListNet(Loss):
    """Cross-entropy of two softmaxes, of labels and of scores (Cao et al., ICML 2007).

    ``-sum softmax(y / temperature)_i * log softmax(s)_i``: the probability of each document to be
    ranked first.

    Args:
        label_temperature: The lower, the more of the target lies on the highest labels. At 1, a
            label of 1 among nine of 0 has only .23 of it; at 0.2, .94.

    Raises:
        InputError: The temperature is not above 0.

    Example:
        >>> value = ListNet()(torch.tensor([[1.0, 0.0]]), torch.tensor([[1.0, 0.0]]))
        >>> round(value.item(), 4)  # the entropy of (.73, .27)
        0.5822
    """

    def __init__(self, label_temperature: float = 1.0) -> None:
        super().__init__()
        self.label_temperature = above_zero("label_temperature", label_temperature)

    def per_query(self, scores: Tensor, labels: Tensor, mask: Tensor) -> Tensor:
        """Compute what each query costs."""
        target = masked_log_softmax(labels / self.label_temperature, mask).exp()
        return -(target * masked_log_softmax(scores, mask)).sum(dim=1)


@register("softmax_cross_entropy")
class SoftmaxCrossEntropy(Loss):
    """Cross-entropy of a softmax over the documents, for one positive or several.

    ``-sum (y_i / sum y) * log softmax(s)_i``. Over negatives that a retriever found, this is
    localised contrastive estimation (Gao et al., ECIR 2021). 0 where no label is above 0.

    Example:
        >>> loss = SoftmaxCrossEntropy()
        >>> value = loss(torch.tensor([[1.0, 0.0, 0.0]]), torch.tensor([[1, 0, 0]]))
        >>> round(value.item(), 4)  # -log(e / (e + 2))
        0.5514
    """

    def per_query(self, scores: Tensor, labels: Tensor, mask: Tensor) -> Tensor:
        """Compute what each query costs."""
        weights = labels.clamp(min=0)
        total = weights.sum(dim=1, keepdim=True)
        target = weights / torch.where(total > 0, total, torch.ones_like(total))
        return -(target * masked_log_softmax(scores, mask)).sum(dim=1)


@register("listmle")
class ListMLE(Loss):
    """Negative log-likelihood of the ranking by label (Xia et al., ICML 2008).

    ``sum_i logsumexp(s_i, ..., s_n) - s_i`` over documents sorted by label, descending, equal
    labels by score, descending: the ranking is drawn place by place, each time from a softmax
    over the documents that are left (Plackett-Luce).

    Equal labels have no true order: they are taken in the model's own, which the loss then
    sharpens. It suits labels that are all different.

    Example:
        >>> value = ListMLE()(torch.tensor([[1.0, 0.0, 0.0]]), torch.tensor([[2, 1, 0]]))
        >>> round(value.item(), 4)  # log(e + 2) - 1, log 2, and 0 for the last
        1.2446
    """

    def per_query(self, scores: Tensor, labels: Tensor, mask: Tensor) -> Tensor:
        """Compute what each query costs."""
        costs, _ = _costs_of_places(scores, labels, mask)
        return costs.sum(dim=1)


@register("position_aware_listmle")
class PositionAwareListMLE(Loss):
    """ListMLE in which the places at the top count more (Lan et al., UAI 2014).

    The cost of place i, from 1 to n, has the weight ``2^(n - i) - 1``; weights are divided by
    their sum. So place 1 has half of the weight in a long list, .75 at n = 3 and 1 at n = 2.

    Example:
        >>> loss = PositionAwareListMLE()
        >>> value = loss(torch.tensor([[1.0, 0.0, 0.0]]), torch.tensor([[2, 1, 0]]))
        >>> round(value.item(), 4)  # .75 (log(e + 2) - 1) + .25 log 2
        0.5869
    """

    def per_query(self, scores: Tensor, labels: Tensor, mask: Tensor) -> Tensor:
        """Compute what each query costs."""
        costs, places = _costs_of_places(scores, labels, mask)
        count = mask.sum(dim=1, keepdim=True).to(scores.dtype)
        # Both divided by 2^n, which alone overflows: exact, and 2^-n may well underflow.
        weights = torch.exp2(-places) - torch.exp2(-count)
        total = 1 - (1 + count) * torch.exp2(-count)  # the sum of the weights; 0 at n = 0 and 1
        total = torch.where(count > 1, total, torch.ones_like(total))
        return (costs * weights / total).sum(dim=1)


def _costs_of_places(scores: Tensor, labels: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Compute ``logsumexp(s_i, ..., s_n) - s_i`` of each place, and the places, last place first.

    Last place first, the documents still to be placed are those so far, and padding, which
    :func:`order` puts at the end, is among nobody's.
    """
    last_first = order(labels, scores.detach(), mask)
    placed, present = scores.gather(1, last_first), mask.gather(1, last_first)
    costs = (placed.logcumsumexp(dim=1) - placed).masked_fill(~present, 0)
    count = mask.sum(dim=1, keepdim=True)
    places = (count - torch.arange(mask.shape[1], device=mask.device)).clamp(min=1)
    return costs, places.to(scores.dtype)
