"""What a swap of two documents would change: the weights of LambdaLoss's pairs.

Each weighting is a function of a :class:`Ranking` to ``[queries, documents, documents]``, the
weight of document i (rows) over document j (columns), or a shape that broadcasts to it.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from crossrank.losses.ranks import discounts, gains, max_dcg, ranks


class Ranking(NamedTuple):
    """How the scores of a batch rank its documents, without gradient.

    Attributes:
        labels: Grades, those below 0 as 0, ``[queries, documents]``.
        gains: ``(2^y - 1) / maxDCG``, the same shape; 0 where no grade is above 0.
        ranks: From 1, padding last, the same shape.
        mu: The share of NDCG-Loss2 in NDCG-Loss2++.
    """

    labels: Tensor
    gains: Tensor
    ranks: Tensor
    mu: float

    @classmethod
    def of(
        cls, scores: Tensor, labels: Tensor, mask: Tensor, k: int | None, mu: float
    ) -> "Ranking":
        """Rank each query's documents; ``k`` cuts the ideal ranking of maxDCG."""
        best = max_dcg(labels, mask, k)[:, None]
        worth = gains(labels) / torch.where(best > 0, best, torch.ones_like(best))
        return cls(labels.clamp(min=0), worth, ranks(scores, labels, mask), mu)


def none(ranking: Ranking) -> Tensor:
    """``1``: RankNet."""
    return torch.ones_like(ranking.labels)[:, :, None]


def lambdarank(ranking: Ranking) -> Tensor:
    """``|G_i - G_j| * |1/D_i - 1/D_j|``: the change of NDCG by a swap (Burges, 2010)."""
    return _gap(ranking.gains) * _gap(discounts(ranking.ranks))


def ndcg_loss1(ranking: Ranking) -> Tensor:
    """``G_i / D_i``, over all pairs."""
    return (ranking.gains * discounts(ranking.ranks))[:, :, None]


def ndcg_loss2(ranking: Ranking) -> Tensor:
    """``|G_i - G_j| * |1/D_|i-j| - 1/D_(|i-j|+1)|``, a tighter bound than NDCG-Loss1."""
    apart = _gap(ranking.ranks).clamp(min=1)  # no pair is 0 apart; a document and itself are
    return _gap(ranking.gains) * (discounts(apart) - discounts(apart + 1))


def ndcg_loss2pp(ranking: Ranking) -> Tensor:
    """``mu * NDCG-Loss2 + LambdaRank``, the best in the LambdaLoss paper."""
    return ranking.mu * ndcg_loss2(ranking) + lambdarank(ranking)


def lambda_mrr(ranking: Ranking) -> Tensor:
    """The change of the reciprocal rank by a swap; grades above 0 are relevant.

    Where i is relevant and j is not, the first relevant document is then either i, now where j
    was, or the first of the others.
    """
    relevant = ranking.labels > 0
    places = torch.where(relevant, ranking.ranks, torch.inf)
    first = places.amin(dim=1, keepdim=True)
    is_first = places == first
    second = places.masked_fill(is_first, torch.inf).amin(dim=1, keepdim=True)
    first_of_others = torch.where(is_first, second, first)
    after = torch.minimum(first_of_others[:, :, None], ranking.ranks[:, None, :])
    change = (1 / first[:, :, None] - 1 / after).abs()
    return change * (relevant[:, :, None] & ~relevant[:, None, :])


def arp_loss1(ranking: Ranking) -> Tensor:
    """``y_i``, over all pairs: a bound of the average rank of what is relevant."""
    return ranking.labels[:, :, None]


def arp_loss2(ranking: Ranking) -> Tensor:
    """``|y_i - y_j|``, a tighter bound than ARP-Loss1."""
    return _gap(ranking.labels)


def _gap(values: Tensor) -> Tensor:
    """Compute ``|v_i - v_j|``, ``[queries, documents, documents]``."""
    return (values[:, :, None] - values[:, None, :]).abs()


WEIGHTINGS: dict[str, Callable[[Ranking], Tensor]] = {
    weighting.__name__: weighting
    for weighting in (
        none,
        lambdarank,
        ndcg_loss1,
        ndcg_loss2,
        ndcg_loss2pp,
        lambda_mrr,
        arp_loss1,
        arp_loss2,
    )
}
"""Every weighting by the name that recipes call it by."""

OVER_ALL_PAIRS = {"ndcg_loss1", "arp_loss1"}
"""Weightings that compare all pairs of different documents, whatever their labels."""
