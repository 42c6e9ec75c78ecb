"""Ranking losses: functions of scores, labels and a mask, with no model inside.

Shapes are ``[queries, documents]``; :mod:`crossrank.losses.base` says what all losses share, one
file a family holds them: pointwise, pairwise, listwise, contrastive, distillation.

Example:
    >>> import torch
    >>> loss = make_loss("ranknet")
    >>> round(loss(torch.tensor([[2.0, 0.0]]), torch.tensor([[1, 0]])).item(), 4)
    0.1269
"""

from crossrank.optional import require

require("torch", extra="train")

# Each family registers its losses.
from crossrank.losses import (  # noqa: E402, F401
    approximate,
    contrastive,
    distillation,
    listwise,
    pairwise,
    pointwise,
)
from crossrank.losses.base import Loss  # noqa: E402
from crossrank.losses.registry import LOSSES, make_loss  # noqa: E402
from crossrank.losses.weighted_sum import WeightedSum  # noqa: E402

__all__ = ["LOSSES", "Loss", "WeightedSum", "make_loss"]
