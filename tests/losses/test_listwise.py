"""What is particular to each listwise loss."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from crossrank.errors import InputError
from crossrank.losses import make_loss
from crossrank.losses.approximate import doubly_stochastic, neural_sort
from crossrank.losses.ranks import discounts, gains, max_dcg, ranks

SOFT_MEASURES = ["approx_ndcg", "approx_mrr", "neural_ndcg"]


def full(scores: Tensor) -> Tensor:
    return torch.ones_like(scores, dtype=torch.bool)


def ndcg(scores: Tensor, labels: Tensor, k: int | None = None) -> Tensor:
    """True NDCG, summed rank by rank."""
    places = ranks(scores, labels, full(scores))
    counted = places <= (k or scores.shape[1])
    return (gains(labels) * discounts(places) * counted).sum(1) / max_dcg(labels, full(scores), k)


def gradient_of(name: str, scores: Tensor, labels: Tensor, **options: Any) -> Tensor:
    scores = scores.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(make_loss(name, **options)(scores, labels), scores)
    return gradient


@pytest.mark.parametrize(("temperature", "mass"), [(1.0, 0.232), (0.2, 0.943)])
def test_listnet_aims_at_a_share_that_the_label_temperature_sets(
    temperature: float, mass: float
) -> None:
    labels = torch.tensor([[1.0] + [0.0] * 9])
    # At equal scores the gradient of the positive is 1/10 minus its share of the target.
    gradient = gradient_of("listnet", torch.zeros(1, 10), labels, label_temperature=temperature)
    assert gradient[0, 0].item() == pytest.approx(0.1 - mass, abs=5e-4)


def test_position_aware_listmle_weighs_three_places_by_75_25_and_0() -> None:
    # Place i costs log(4 - i) at equal scores; high scores above make a place cost nothing.
    labels = torch.tensor([[3.0, 2.0, 1.0]])
    loss = make_loss("position_aware_listmle")
    assert loss(torch.tensor([[0.0, 0.0, 0.0]]), labels).item() == pytest.approx(
        0.75 * math.log(3) + 0.25 * math.log(2)
    )
    assert loss(torch.tensor([[60.0, 0.0, 0.0]]), labels).item() == pytest.approx(
        0.25 * math.log(2)
    )
    assert loss(torch.tensor([[90.0, 60.0, 0.0]]), labels).item() == pytest.approx(0)


@pytest.mark.parametrize("count", [127, 128, 129, 500])
def test_position_aware_listmle_halves_its_weights_however_long_the_list(count: int) -> None:
    scores, labels = torch.zeros(1, count), torch.arange(count, 0, -1.0)[None]
    value = make_loss("position_aware_listmle")(scores, labels).item()
    expected = sum(math.log(count + 1 - i) * 2.0**-i for i in range(1, count + 1))
    assert value == pytest.approx(expected, rel=1e-5)
    assert gradient_of("position_aware_listmle", scores, labels).isfinite().all()


def test_listmle_takes_scores_that_exp_cannot() -> None:
    scores = torch.tensor([[0.0, 500.0, -500.0]])
    labels = torch.tensor([[2.0, 1.0, 0.0]])
    assert make_loss("listmle")(scores, labels).item() == 500
    assert_close(gradient_of("listmle", scores, labels), torch.tensor([[-1.0, 1.0, 0.0]]))


def test_soft_sorting_is_sorting_when_cold() -> None:
    scores = torch.tensor([[1.0, 3.0, 2.0, 0.0], [0.5, -1.0, 0.0, 0.0]])
    mask = torch.tensor([[True] * 4, [True] * 2 + [False] * 2])
    expected = torch.zeros(2, 4, 4)
    for rank, document in enumerate([1, 2, 0, 3]):
        expected[0, rank, document] = 1
    expected[1, 0, 0] = expected[1, 1, 1] = 1
    found, present = neural_sort(scores, mask, temperature=0.01)
    assert_close(found, expected)
    assert_close(doubly_stochastic(found, present, mask), expected)


def test_soft_sorting_by_hand() -> None:
    # n = 3, sums of distances (3, 2, 3): rows 2s - d, 0s - d, -2s - d
    scores = torch.tensor([[0.0, 1.0, 2.0]])
    rows = torch.tensor([[-3.0, 0.0, 1.0], [-3.0, -2.0, -3.0], [-3.0, -4.0, -7.0]])
    found, _ = neural_sort(scores, full(scores), temperature=1.0)
    assert_close(found[0], rows.softmax(dim=1))


def test_scaling_makes_rows_and_columns_sum_to_one() -> None:
    torch.manual_seed(0)
    scores, mask = torch.randn(6, 20), torch.rand(6, 20) < 0.7
    sorting, present = neural_sort(scores, mask, temperature=3.0)
    assert (sorting.sum(dim=1)[mask] - 1).abs().max() > 0.1  # which there is to mend
    scaled = doubly_stochastic(sorting, present, mask)
    assert_close(scaled.sum(dim=2), present.float())
    assert_close(scaled.sum(dim=1), mask.float(), rtol=0, atol=1e-3)


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("k", [None, 1, 3, 50])
def test_neural_ndcg_is_exact_when_cold(transposed: bool, k: int | None) -> None:
    torch.manual_seed(1)
    scores, labels = torch.randperm(40).reshape(5, 8).float(), torch.randint(0, 4, (5, 8)).float()
    loss = make_loss("neural_ndcg", temperature=0.01, transposed=transposed, k=k)
    assert_close(loss(scores, labels), 1 - ndcg(scores, labels, k).mean())


def test_both_forms_of_neural_ndcg_agree_where_scaling_converges() -> None:
    torch.manual_seed(2)
    scores, labels = torch.randn(5, 8), torch.randint(0, 4, (5, 8)).float()
    plain = make_loss("neural_ndcg")(scores, labels)
    assert_close(make_loss("neural_ndcg", transposed=True)(scores, labels), plain)


def test_approx_ndcg_and_approx_mrr_are_exact_when_cold() -> None:
    torch.manual_seed(3)
    scores, labels = torch.randperm(40).reshape(5, 8).float(), torch.randint(0, 3, (5, 8)).float()
    found = make_loss("approx_ndcg", temperature=0.01)(scores, labels)
    assert_close(found, 1 - ndcg(scores, labels).mean())
    first = ranks(scores, labels, full(scores)).masked_fill(labels == 0, math.inf).amin(dim=1)
    found = make_loss("approx_mrr", temperature=0.01)(scores, labels)
    assert_close(found, 1 - (1 / first).mean())


@pytest.mark.parametrize("name", [*SOFT_MEASURES, "softmax_cross_entropy"])
def test_without_a_positive_there_is_nothing_to_learn(name: str) -> None:
    scores, labels = torch.randn(2, 5), torch.zeros(2, 5)
    labels[1, 2] = 1
    gradient = gradient_of(name, scores, labels)
    assert make_loss(name)(scores[:1], labels[:1]).item() == 0
    assert gradient[0].tolist() == [0] * 5
    assert gradient[1, 2] < 0


@pytest.mark.parametrize("name", ["approx_ndcg", "approx_mrr", "neural_ndcg", "adr_mse"])
@pytest.mark.parametrize("temperature", [0, -1.0, math.nan, math.inf, "warm", True])
def test_a_temperature_is_above_zero(name: str, temperature: object) -> None:
    with pytest.raises(InputError, match=r"temperature must be a number above 0, received "):
        make_loss(name, temperature=temperature)


@pytest.mark.parametrize("k", [0, -3, 2.5, True])
def test_k_is_a_whole_number_from_one(k: object) -> None:
    with pytest.raises(InputError, match="k must be a whole number from 1"):
        make_loss("neural_ndcg", k=k)
