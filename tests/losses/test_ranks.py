"""Ranks, gains and the masked softmax, on hand-worked cases."""

import math

import pytest
import torch
from torch.testing import assert_close

from crossrank.losses import ranks as r

ALL = torch.ones(1, 3, dtype=torch.bool)
TWO = torch.tensor([[True, True, False]])


def test_ranks_break_ties_of_scores_by_the_lower_label() -> None:
    labels = torch.tensor([[2.0, 0.0, 1.0]])
    assert r.ranks(torch.zeros(1, 3), labels, ALL).tolist() == [[3, 1, 2]]
    assert r.ranks(torch.tensor([[1.0, 1.0, 4.0]]), labels, ALL).tolist() == [[3, 2, 1]]


def test_ranks_put_padding_last_whatever_it_holds() -> None:
    scores = torch.tensor([[9.0, -math.inf, -3.0]])
    mask = torch.tensor([[False, True, True]])
    assert r.ranks(scores, torch.zeros(1, 3), mask).tolist() == [[3, 2, 1]]


def test_ranks_follow_their_documents_through_a_permutation() -> None:
    torch.manual_seed(0)
    scores, labels = torch.randint(0, 4, (2, 6, 30)).float()
    labels += torch.rand(labels.shape)  # no two documents alike
    mask, shuffle = torch.rand(scores.shape) < 0.8, torch.randperm(30)
    found = r.ranks(scores, labels, mask)
    moved = r.ranks(scores[:, shuffle], labels[:, shuffle], mask[:, shuffle])
    assert torch.equal(found[:, shuffle][mask[:, shuffle]], moved[mask[:, shuffle]])


def test_soft_ranks_are_hard_ranks_when_cold_and_middling_when_hot() -> None:
    scores = torch.tensor([[0.0, 2.0, 1.0]])
    assert_close(r.soft_ranks(scores, ALL, 1e-3), torch.tensor([[3.0, 1.0, 2.0]]))
    assert_close(r.soft_ranks(scores, ALL, 1e6), torch.full((1, 3), 2.0), rtol=0, atol=1e-5)


def test_soft_ranks_by_hand() -> None:
    scores = torch.tensor([[0.0, math.log(3), 50.0]])
    # sigmoid(log 3) = 3/4
    assert_close(r.soft_ranks(scores, TWO, 1.0)[:, :2], torch.tensor([[1.75, 1.25]]))


def test_gains_and_the_best_ranking() -> None:
    assert_close(r.gains(torch.tensor([0.0, 1, 2, 4])), torch.tensor([0.0, 1, 3, 15]))
    labels = torch.tensor([[1.0, 2.0, 3.0]])
    # 7 / log2(2) + 3 / log2(3) + 1 / log2(4)
    assert_close(r.max_dcg(labels, ALL), torch.tensor([7 + 3 / math.log2(3) + 0.5]))
    assert_close(r.max_dcg(labels, ALL, k=1), torch.tensor([7.0]))
    assert_close(r.max_dcg(labels, TWO, k=9), torch.tensor([3 + 1 / math.log2(3)]))
    assert r.max_dcg(torch.zeros(1, 3), ALL).item() == 0


def test_the_softmax_leaves_padding_out() -> None:
    scores = torch.tensor([[0.0, math.log(3), math.nan]], requires_grad=True)
    found = r.masked_log_softmax(scores, TWO)
    assert_close(found, torch.tensor([[math.log(0.25), math.log(0.75), 0.0]]))
    (gradient,) = torch.autograd.grad(found[0, 0], scores)
    assert_close(gradient, torch.tensor([[0.75, -0.75, 0.0]]))


@pytest.mark.parametrize("scale", [0.0, 1e4, -1e30])
def test_the_softmax_of_no_document_is_zero_with_no_gradient(scale: float) -> None:
    scores = torch.full((1, 3), scale, requires_grad=True)
    found = r.masked_log_softmax(scores, ~ALL)
    (gradient,) = torch.autograd.grad(found.sum(), scores)
    assert found.tolist() == gradient.tolist() == [[0, 0, 0]]
