"""Distillation losses: scores against those of a teacher.

They take the teacher's scores in the place of labels. Pointwise distillation is
:class:`crossrank.losses.pointwise.MeanSquaredError` with ``target="teacher_scores"``.
"""

from torch import Tensor

from crossrank.losses.base import Loss
from crossrank.losses.options import above_zero
from crossrank.losses.ranks import masked_log_softmax
from crossrank.losses.registry import register


@register("margin_mse")
class MarginMSE(Loss):
    """Mean squared error of the margins between documents (Hofstätter et al., 2020).

    ``mean[((s_i - s_j) - (t_i - t_j))^2]`` over a query's pairs of documents, t being the
    teacher's scores: with two documents the paper's loss. The student learns the teacher's
    margins and is free in the level of its scores. Where only margins are known, the score 0 for
    the positive and minus its margin for each negative says the same.

    Example:
        >>> import torch
        >>> value = MarginMSE()(torch.tensor([[1.0, 0.0]]), torch.tensor([[5.0, 2.0]]))
        >>> value.item()  # (1 - 3)^2
        4.0
    """

    target = "teacher_scores"

    def per_query(self, scores: Tensor, labels: Tensor, mask: Tensor) -> Tensor:
        """Compute what each query costs."""
        # The mean of (e_i - e_j)^2 over pairs is twice the variance of e = s - t, in memory of n.
        count = mask.sum(dim=1, keepdim=True)
        errors = scores - labels
        centred = (errors - errors.sum(dim=1, keepdim=True) / count.clamp(min=1)) * mask
        return 2 * (centred**2).sum(dim=1) / (count[:, 0] - 1).clamp(min=1)


@register("kl_divergence")
class KLDivergence(Loss):
    """Divergence of the student's distribution over the documents from the teacher's.

    ``KL(softmax(t / temperature) || softmax(s / temperature))``, t being the teacher's scores
    (Hinton et al., 2015, over documents instead of classes). 0 when all margins agree.

    Args:
        temperature: The higher, the more the order of documents far from the top counts.
            Gradients shrink with its square.

    Raises:
        InputError: The temperature is not above 0.

    Example:
        >>> import torch
        >>> value = KLDivergence()(torch.tensor([[0.0, 0.0]]), torch.tensor([[3.0, 3.0]]))
        >>> value.item()
        0.0
    """

    target = "teacher_scores"

    def __init__(self, temperature: float = 1.0) -> None:
        super().__init__()
        self.temperature = above_zero("temperature", temperature)

    def per_query(self, scores: Tensor, labels: Tensor, mask: Tensor) -> Tensor:
        """Compute what each query costs."""
        teacher = masked_log_softmax(labels / self.temperature, mask)
        student = masked_log_softmax(scores / self.temperature, mask)
        return (teacher.exp() * (teacher - student)).sum(dim=1)
