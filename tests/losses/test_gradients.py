"""Gradients against finite differences."""

import pytest
import torch
from tests.losses.cases import BINARY, VARIANTS

from crossrank.losses import make_loss

RAGGED = torch.tensor([[True] * 5, [True] * 3 + [False] * 2, [True] + [False] * 4, [False] * 5])


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("seed", [0, 1])
def test_gradients_are_those_of_finite_differences(variant: str, seed: int) -> None:
    name, options = VARIANTS[variant]
    random = torch.Generator().manual_seed(seed)
    # No two scores are equal, so none of the steps changes a rank.
    scores = torch.randperm(20, generator=random).reshape(4, 5).double() / 4 - 2.3
    labels = torch.randint(0, 2 if name in BINARY else 4, (4, 5), generator=random).double()
    loss = make_loss(name, **options)
    assert torch.autograd.gradcheck(
        lambda scores: loss(scores, labels, RAGGED), scores.requires_grad_()
    )


def test_gradients_of_cross_entropy() -> None:
    random = torch.Generator().manual_seed(0)
    scores = torch.randn(4, 3, generator=random, dtype=torch.float64, requires_grad=True)
    labels, mask = torch.tensor([2, 0, 1, 9]), torch.tensor([True, True, True, False])
    loss = make_loss("cross_entropy")
    assert torch.autograd.gradcheck(lambda scores: loss(scores, labels, mask), scores)


@pytest.mark.parametrize("weighting", ["lambdarank", "ndcg_loss1", "ndcg_loss2pp", "lambda_mrr"])
def test_no_gradient_flows_through_lambda_weights(weighting: str) -> None:
    scores = torch.tensor([[0.5, 2.0, -1.0]], requires_grad=True)
    labels, mask = torch.tensor([[1.0, 0.0, 2.0]]), torch.ones(1, 3, dtype=torch.bool)
    weights = make_loss("lambda_loss", weighting=weighting).weights(scores, labels, mask)
    assert not weights.requires_grad
    assert weights.sum() > 0
