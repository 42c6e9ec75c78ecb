"""Listwise losses that make a measure smooth: NDCG, reciprocal rank, or the ranks themselves."""

import torch
from torch import Tensor

from crossrank.losses.base import Loss
from crossrank.losses.options import above_zero, cutoff
from crossrank.losses.ranks import discounts, gains, max_dcg, soft_ranks
from crossrank.losses.registry import register


@register("approx_ndcg")
class ApproxNDCG(Loss):
    """One minus NDCG at soft ranks (Qin et al., Information Retrieval 2010).

    ``1 - sum G_i / log2(1 + r_i)``, with ``G_i = (2^y_i - 1) / maxDCG`` and
    ``r_i = 1 + sum over j != i of sigmoid((s_j - s_i) / temperature)``. 0 where no label is
    above 0.

    Args:
        temperature: The lower, the nearer to NDCG, and the fewer pairs have a gradient.

    Raises:
        InputError: The temperature is not above 0.

    Example:
        >>> value = ApproxNDCG()(torch.tensor([[0.0, 0.0]]), torch.tensor([[1, 0]]))
        >>> round(value.item(), 4)  # soft rank 1.5: 1 - 1 / log2(2.5)
        0.2435
    """

    def __init__(self, temperature: float = 1.0) -> None:
        super().__init__()
        self.temperature = above_zero("temperature", temperature)

    def per_query(self, scores: Tensor, labels: Tensor, mask: Tensor) -> Tensor:
        """Compute what each query costs."""
        kept = discounts(soft_ranks(scores, mask, self.temperature))
        dcg = (gains(labels) * kept).sum(dim=1)  # padding has label 0, so gain 0
        return _one_minus_ratio(dcg, max_dcg(labels, mask))


@register("approx_mrr")
class ApproxMRR(Loss):
    """One minus the reciprocal of the best positive's soft rank (after Qin et al., 2010).

    ``1 - max over y_i > 0 of 1 / r_i``, with ``r_i`` as in :class:`ApproxNDCG`. Only the best
    positive learns, as in the measure; 0 where no label is above 0.

    Args:
        temperature: The lower, the nearer to the reciprocal rank, and the fewer pairs have a
            gradient.

    Raises:
        InputError: The temperature is not above 0.

    Example:
        >>> value = ApproxMRR()(torch.tensor([[0.0, 0.0]]), torch.tensor([[1, 0]]))
        >>> round(value.item(), 4)  # soft rank 1.5
        0.3333
    """

    def __init__(self, temperature: float = 1.0) -> None:
        super().__init__()
        self.temperature = above_zero("temperature", temperature)

    def per_query(self, scores: Tensor, labels: Tensor, mask: Tensor) -> Tensor:
        """Compute what each query costs."""
        reciprocal = 1 / soft_ranks(scores, mask, self.temperature)
        positive = (labels > 0).to(scores.dtype)
        best = (reciprocal * positive).amax(dim=1)
        return _one_minus_ratio(best, positive.amax(dim=1))


@register("neural_ndcg")
class NeuralNDCG(Loss):
    """One minus NDCG through a soft sorting matrix (Pobrotyn & Białobrzeski, 2021).

    ``P``, ``[ranks, documents]``, is NeuralSort's relaxed permutation (Grover et al., ICLR 2019),
    scaled to have rows and columns that sum to 1. Gains are sorted with it and discounted,
    ``1 - sum_r (P g)_r / log2(1 + r) / maxDCG``; transposed, it is discounts that are handed to
    documents, ``1 - sum_i g_i (P' d)_i / maxDCG``. 0 where no label is above 0.

    The scaling is iterative and ends with rows, or, transposed, with columns; where it has
    converged the two forms agree. https://arxiv.org/abs/2102.07831

    Args:
        temperature: Of NeuralSort. The lower, the nearer to NDCG.
        transposed: Hand discounts to documents instead of gains to ranks.
        k: How many ranks count; all by default.

    Raises:
        InputError: The temperature is not above 0, or k is below 1.

    Example:
        >>> value = NeuralNDCG()(torch.tensor([[0.0, 0.0]]), torch.tensor([[1, 0]]))
        >>> round(value.item(), 4)  # half at rank 1, half at rank 2: 1 - (1 + 1 / log2(3)) / 2
        0.1845
    """

    def __init__(
        self, temperature: float = 1.0, *, transposed: bool = False, k: int | None = None
    ) -> None:
        super().__init__()
        self.temperature = above_zero("temperature", temperature)
        self.transposed = transposed
        self.k = cutoff(k)

    def per_query(self, scores: Tensor, labels: Tensor, mask: Tensor) -> Tensor:
        """Compute what each query costs."""
        sorting, sorted_mask = neural_sort(scores, mask, self.temperature)
        if self.transposed:
            shares = doubly_stochastic(sorting.mT, mask, sorted_mask).mT
        else:
            shares = doubly_stochastic(sorting, sorted_mask, mask)
        places = torch.arange(1, mask.shape[1] + 1, device=mask.device, dtype=scores.dtype)
        kept = discounts(places)[: self.k]
        dcg = (shares[:, : self.k] @ gains(labels)[:, :, None])[:, :, 0] @ kept
        return _one_minus_ratio(dcg, max_dcg(labels, mask, self.k))


@register("adr_mse")
class ADRMSE(Loss):
    """Squared differences of soft ranks and true ones, discounted (Schlatt et al., 2024).

    ``mean (rho_i - r_i)^2 / log2(1 + rho_i)``, with ``rho_i`` the rank by label, the mean of
    their places where labels are equal, and ``r_i`` as in :class:`ApproxNDCG`. Made for learning
    the rankings of a language model (Rank-DistiLLM, https://arxiv.org/abs/2405.07920).

    Args:
        temperature: The lower, the nearer soft ranks are to true ones, and the fewer pairs have
            a gradient.

    Raises:
        InputError: The temperature is not above 0.

    Example:
        >>> value = ADRMSE()(torch.tensor([[0.0, 0.0]]), torch.tensor([[1, 0]]))
        >>> round(value.item(), 4)  # (.25 / log2(2) + .25 / log2(3)) / 2
        0.2039
    """

    def __init__(self, temperature: float = 1.0) -> None:
        super().__init__()
        self.temperature = above_zero("temperature", temperature)

    def per_query(self, scores: Tensor, labels: Tensor, mask: Tensor) -> Tensor:
        """Compute what each query costs."""
        # Cold soft ranks: an equal label, like a document's own, counts half.
        ahead = torch.heaviside(labels[:, None, :] - labels[:, :, None], labels.new_tensor(0.5))
        true = 0.5 + (ahead * mask[:, None, :]).sum(dim=2)
        errors = (true - soft_ranks(scores, mask, self.temperature)) ** 2 * discounts(true)
        return errors.masked_fill(~mask, 0).sum(dim=1) / mask.sum(dim=1).clamp(min=1)


def neural_sort(scores: Tensor, mask: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """Relax the permutation that sorts scores descending (Grover et al., ICLR 2019).

    Row i is ``softmax_j(((n + 1 - 2 i) s_j - sum_k |s_j - s_k|) / temperature)``.

    Args:
        scores: ``[queries, documents]``, 0 in padding.
        mask: True for a document.
        temperature: The lower, the nearer to a permutation.

    Returns:
        ``[queries, ranks, documents]``, 0 in padding; and which ranks there are,
        ``[queries, ranks]``.
    """
    count = mask.sum(dim=1, keepdim=True)
    # Sorting does not depend on the mean, and without it less is lost in rounding.
    scores = scores - (scores.detach().sum(dim=1, keepdim=True) / count.clamp(min=1))
    apart = (scores[:, :, None] - scores[:, None, :]).abs() * mask[:, None, :]
    places = torch.arange(1, mask.shape[1] + 1, device=mask.device)
    slopes = (count + 1 - 2 * places).to(scores.dtype)
    logits = slopes[:, :, None] * scores[:, None, :] - apart.sum(dim=2)[:, None, :]
    logits = (logits / temperature).masked_fill(~mask[:, None, :], torch.finfo(scores.dtype).min)
    present = places <= count
    pairs = present[:, :, None] & mask[:, None, :]
    return logits.softmax(dim=2).masked_fill(~pairs, 0), present


def doubly_stochastic(matrix: Tensor, rows: Tensor, columns: Tensor, steps: int = 50) -> Tensor:
    """Scale rows and columns to sums of 1, rows last (Sinkhorn & Knopp, 1967).

    Args:
        matrix: Non-negative, ``[queries, n, n]``, 0 in padding.
        rows: Which rows there are, ``[queries, n]``.
        columns: Which columns there are, ``[queries, n]``.
        steps: How many times; a fixed number, so that no query depends on its neighbours.

    Returns:
        ``[queries, n, n]``, 0 in padding.
    """
    # Only the factors are iterated: memory stays that of one matrix.
    by_row = rows.to(matrix.dtype)[:, :, None]
    for _ in range(steps):
        by_column = _reciprocal(matrix.mT @ by_row, columns)
        by_row = _reciprocal(matrix @ by_column, rows)
    return by_row * matrix * by_column.mT


def _reciprocal(sums: Tensor, present: Tensor) -> Tensor:
    """Compute ``1 / sums``, 0 in padding."""
    present = present[:, :, None]
    return torch.where(present, sums, torch.ones_like(sums)).reciprocal() * present


def _one_minus_ratio(value: Tensor, best: Tensor) -> Tensor:
    """Compute ``1 - value / best``, 0 where best is 0: nothing there to find."""
    some = best > 0
    ratio = value / torch.where(some, best, torch.ones_like(best))
    return torch.where(some, 1 - ratio, torch.zeros_like(best))
