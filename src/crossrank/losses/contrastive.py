"""Contrastive losses: the positive against the other documents at hand."""

from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from crossrank.losses.base import Loss
from crossrank.losses.options import above_zero, one_of
from crossrank.losses.registry import register


@register("multiple_negatives_ranking")
class MultipleNegativesRanking(Loss):
    """Softmax cross-entropy of the positive among negatives (Henderson et al., 2017).

    ``-log(e^s+ / (e^s+ + sum over negatives of e^s-))``, with s the activated and scaled scores.
    Labels above 0 are positive. Of several positives each is set against the negatives alone, and
    their mean is taken: positives do not push each other down. 0 where there is no positive.

    In-batch negatives, the documents of other queries, are added to the lists by the collator.
    The cached form, whose memory is flat in batch size (Gao et al., 2021), is this loss with the
    trainer's gradient caching, which serves every loss.

    Args:
        scale: What activated scores are multiplied by.
        activation: ``"identity"``, or ``"sigmoid"``, which bounds scores and therefore needs a
            scale of about 10; sentence-transformers has these two. A sigmoid has next to no
            gradient far from 0.

    Raises:
        InputError: The scale is not above 0, or the activation is neither.

    Example:
        >>> loss = MultipleNegativesRanking()
        >>> value = loss(torch.tensor([[0.0, 0.0, 0.0]]), torch.tensor([[1, 0, 0]]))
        >>> round(value.item(), 4)  # log 3
        1.0986
    """

    def __init__(
        self, scale: float = 1.0, activation: Literal["identity", "sigmoid"] = "identity"
    ) -> None:
        super().__init__()
        self.scale = above_zero("scale", scale)
        self.activation = one_of("activation", activation, ("identity", "sigmoid"))

    def per_query(self, scores: Tensor, labels: Tensor, mask: Tensor) -> Tensor:
        """Compute what each query costs."""
        activated = self.scale * (scores.sigmoid() if self.activation == "sigmoid" else scores)
        positives, negatives = mask & (labels > 0), mask & (labels <= 0)
        # The lowest number and not -inf, of which a list without negatives would make NaN.
        lowest = torch.finfo(scores.dtype).min
        rivals = activated.masked_fill(~negatives, lowest).logsumexp(dim=1, keepdim=True)
        costs = -logsigmoid(activated - rivals).masked_fill(~positives, 0)
        return costs.sum(dim=1) / positives.sum(dim=1).clamp(min=1)
