"""What several losses compute from: ranks, gains, and a softmax that leaves padding out.

Everything is ``[queries, documents]``, with a mask that is true for a document.
"""

import math

import torch
from torch import Tensor


def order(first: Tensor, then: Tensor, mask: Tensor) -> Tensor:
    """Sort each query's documents ascending by one key, ties by another, padding last.

    Args:
        first: The key, ``[queries, documents]``.
        then: What decides where keys are equal, the same shape.
        mask: True for a document.

    Returns:
        Positions of the documents in sorted order, ``[queries, documents]``.

    Example:
        >>> order(torch.tensor([[1, 0, 1]]), torch.tensor([[5, 9, 4]]), torch.ones(1, 3) > 0)
        tensor([[1, 2, 0]])
    """
    by_then = then.argsort(dim=1, stable=True)
    by_first = by_then.gather(1, first.gather(1, by_then).argsort(dim=1, stable=True))
    return by_first.gather(1, (~mask).gather(1, by_first).long().argsort(dim=1, stable=True))


def ranks(scores: Tensor, labels: Tensor, mask: Tensor) -> Tensor:
    """Rank documents by score; of equal scores, the lower label comes first.

    So a model that scores all documents alike is at its worst, and the order in which documents
    are given plays no part.

    Args:
        scores: ``[queries, documents]``.
        labels: The same shape.
        mask: True for a document.

    Returns:
        Ranks from 1 in the type of the scores, without gradient; padding is ranked last.

    Example:
        >>> mask = torch.ones(1, 3, dtype=torch.bool)
        >>> ranks(torch.tensor([[0.5, 2.0, 0.5]]), torch.tensor([[1, 0, 0]]), mask)
        tensor([[3., 1., 2.]])
    """
    scores = scores.detach()
    sorted_positions = order(-scores, labels, mask)
    places = torch.arange(1, scores.shape[1] + 1, device=scores.device, dtype=scores.dtype)
    return torch.empty_like(scores).scatter_(1, sorted_positions, places.expand_as(scores))


def soft_ranks(scores: Tensor, mask: Tensor, temperature: float) -> Tensor:
    """Ranks with a gradient: one plus how far each other document is ahead (Qin et al., 2010).

    ``1 + sum over j != i of sigmoid((s_j - s_i) / temperature)``. Takes memory of n^2 a query.

    Args:
        scores: ``[queries, documents]``, finite in padding too.
        mask: True for a document.
        temperature: The lower, the nearer to true ranks, and the fewer pairs have a gradient.

    Returns:
        The type and shape of the scores; what padding holds means nothing, but is above 0.

    Example:
        >>> soft_ranks(torch.tensor([[3.0, 3.0, -9.0]]), torch.ones(1, 3) > 0, temperature=0.1)
        tensor([[1.5000, 1.5000, 3.0000]])
    """
    ahead = torch.sigmoid((scores[:, None, :] - scores[:, :, None]) / temperature)
    # A document is level with itself, which adds the other half.
    return 0.5 + torch.where(mask[:, None, :], ahead, ahead.new_zeros(())).sum(dim=2)


def gains(labels: Tensor) -> Tensor:
    """What a document of each grade is worth, ``2^y - 1``; grades below 0 are worth 0.

    Example:
        >>> gains(torch.tensor([0.0, 1.0, 3.0, -2.0]))
        tensor([0., 1., 7., 0.])
    """
    return torch.expm1(labels.clamp(min=0) * math.log(2))


def discounts(ranks: Tensor) -> Tensor:
    """What a gain at each rank counts, ``1 / log2(1 + rank)``.

    Example:
        >>> discounts(torch.tensor([1.0, 3.0]))
        tensor([1.0000, 0.5000])
    """
    return 1 / torch.log2(1 + ranks)


def max_dcg(labels: Tensor, mask: Tensor, k: int | None = None) -> Tensor:
    """The discounted cumulative gain of the best possible ranking.

    Args:
        labels: Grades, ``[queries, documents]``.
        mask: True for a document.
        k: How many ranks count; all by default.

    Returns:
        ``[queries]``; 0 where no document has a grade above 0.

    Example:
        >>> max_dcg(torch.tensor([[0.0, 2.0, 1.0]]), torch.ones(1, 3) > 0)
        tensor([3.6309])
    """
    worth = torch.where(mask, gains(labels), labels.new_zeros(()))
    best = worth.sort(dim=1, descending=True).values[:, :k]
    places = torch.arange(1, best.shape[1] + 1, device=best.device, dtype=best.dtype)
    return (best * discounts(places)).sum(dim=1)


def masked_log_softmax(scores: Tensor, mask: Tensor) -> Tensor:
    """Log-softmax over each query's documents.

    Args:
        scores: ``[queries, documents]``.
        mask: True for a document.

    Returns:
        The type and shape of the scores; 0 in padding.

    Example:
        >>> masked_log_softmax(torch.tensor([[1.0, 1.0, 7.0]]), torch.tensor([[True, True, False]]))
        tensor([[-0.6931, -0.6931,  0.0000]])
    """
    # The lowest number and not -inf, of which a query without documents would make NaN.
    lowest = torch.finfo(scores.dtype).min
    return scores.masked_fill(~mask, lowest).log_softmax(dim=1).masked_fill(~mask, 0)
