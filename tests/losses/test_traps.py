"""What went wrong in real libraries, as properties of every loss."""

import math
from typing import Any, NamedTuple

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.losses.cases import ALL_PAIRS, BINARY, PAIRWISE, POINTWISE, SATURATING, VARIANTS
from torch import Tensor
from torch.testing import assert_close

from crossrank.losses import make_loss

quick = settings(max_examples=12, deadline=None)
every = pytest.mark.parametrize("variant", VARIANTS)


class Batch(NamedTuple):
    scores: Tensor
    labels: Tensor
    mask: Tensor


@st.composite
def batches(draw: st.DrawFn, variant: str, distinct: bool = False) -> Batch:
    """Up to four queries of up to five documents, unless asked otherwise with equal scores."""
    top = 1 if VARIANTS[variant][0] in BINARY else 3
    lengths = draw(st.lists(st.integers(1, 5), min_size=1, max_size=4))
    widest = max(lengths)
    batch = Batch(
        torch.zeros(len(lengths), widest, dtype=torch.float64),
        torch.zeros(len(lengths), widest, dtype=torch.float64),
        torch.zeros(len(lengths), widest, dtype=torch.bool),
    )
    for query, length in enumerate(lengths):
        quarters = st.lists(st.integers(-12, 12), min_size=length, max_size=length, unique=distinct)
        grades = st.lists(st.integers(0, top), min_size=length, max_size=length)
        batch.scores[query, :length] = torch.tensor(draw(quarters)) / 4
        batch.labels[query, :length] = torch.tensor(draw(grades))
        batch.mask[query, :length] = True
    return batch


def loss_of(variant: str) -> Any:
    name, options = VARIANTS[variant]
    return make_loss(name, **options)


def value_and_gradient(
    variant: str, scores: Tensor, labels: Tensor, mask: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    scores = scores.detach().clone().requires_grad_()
    value = loss_of(variant)(scores, labels, mask)
    (gradient,) = torch.autograd.grad(value, scores)
    return value.detach(), gradient


@every
@quick
@given(data=st.data())
def test_padding_adds_nothing(variant: str, data: st.DataObject) -> None:
    scores, labels, mask = batch = data.draw(batches(variant))
    value, gradient = value_and_gradient(variant, *batch)
    rubbish = data.draw(st.sampled_from([0.0, 1e-16, 1e30, -1e30, math.nan, math.inf, -math.inf]))
    more = data.draw(st.integers(0, 3))

    def pad(grid: Tensor, filling: float) -> Tensor:
        wider = torch.nn.functional.pad(grid, (0, more), value=filling)
        return wider.masked_fill(~padded_mask, filling)

    padded_mask = torch.nn.functional.pad(mask, (0, more))
    padded = value_and_gradient(variant, pad(scores, rubbish), pad(labels, rubbish), padded_mask)
    assert_close(padded[0], value)
    assert_close(padded[1], torch.nn.functional.pad(gradient, (0, more)))
    assert (padded[1][~padded_mask] == 0).all()


@every
def test_queries_without_documents_do_not_count(variant: str) -> None:
    scores, labels = torch.tensor([[0.5, -1.0], [0.0, 0.0]]), torch.tensor([[0, 1], [0, 0]])
    mask = torch.tensor([[True, True], [False, False]])
    value, gradient = value_and_gradient(variant, scores, labels, mask)
    assert_close(value, value_and_gradient(variant, scores[:1], labels[:1])[0])
    value, gradient = value_and_gradient(variant, scores, labels, mask & False)
    assert value == 0
    assert (gradient == 0).all()


@every
@quick
@given(data=st.data())
def test_never_nan(variant: str, data: st.DataObject) -> None:
    scores, labels, mask = data.draw(batches(variant))
    for grades in (labels, torch.zeros_like(labels), torch.ones_like(labels)):
        for level in (scores, torch.zeros_like(scores)):
            value, gradient = value_and_gradient(variant, level.float(), grades, mask)
            assert value.isfinite()
            assert gradient.isfinite().all()


@pytest.mark.parametrize("variant", sorted(set(VARIANTS) - POINTWISE))
@pytest.mark.parametrize("label", [0, 1, 3])
def test_one_document_teaches_a_ranking_nothing(variant: str, label: int) -> None:
    value, gradient = value_and_gradient(variant, torch.tensor([[2.5]]), torch.tensor([[label]]))
    assert value.item() == pytest.approx(0, abs=1e-6)
    assert gradient.item() == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("variant", sorted(PAIRWISE - ALL_PAIRS))
@pytest.mark.parametrize("label", [0, 1, 3])
def test_equal_labels_teach_pairs_nothing(variant: str, label: int) -> None:
    labels = torch.full((1, 3), label)
    value, gradient = value_and_gradient(variant, torch.tensor([[2.5, 0.0, 1.0]]), labels)
    assert value == 0
    assert (gradient == 0).all()


NEEDS_A_POSITIVE = [
    *sorted(ALL_PAIRS),
    "multiple_negatives_ranking",
    "softmax_cross_entropy",
    "approx_ndcg",
    "approx_mrr",
    "neural_ndcg",
    "neural_ndcg-transposed-2",
]


@pytest.mark.parametrize("variant", NEEDS_A_POSITIVE)
def test_without_a_positive_there_is_nothing_to_learn(variant: str) -> None:
    scores = torch.tensor([[2.5, 0.0, 1.0]])
    value, gradient = value_and_gradient(variant, scores, torch.zeros(1, 3))
    assert value == 0
    assert (gradient == 0).all()


@pytest.mark.parametrize("variant", sorted(POINTWISE))
@pytest.mark.parametrize("label", [0, 1])
def test_pointwise_losses_always_learn(variant: str, label: int) -> None:
    value, gradient = value_and_gradient(variant, torch.tensor([[2.5]]), torch.tensor([[label]]))
    assert value > 0
    assert gradient != 0


@every
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@quick
@given(data=st.data())
def test_half_precision_is_only_that_of_the_scores(
    variant: str, dtype: torch.dtype, data: st.DataObject
) -> None:
    scores, labels, mask = data.draw(batches(variant))
    rounded = (scores * 1.1).to(dtype)
    value, gradient = value_and_gradient(variant, rounded, labels, mask)
    exact, exact_gradient = value_and_gradient(variant, rounded.float(), labels, mask)
    assert value.dtype == torch.float32
    assert value == exact
    assert_close(gradient, exact_gradient.to(dtype))


@every
def test_autocast_changes_nothing(variant: str) -> None:
    scores, labels = torch.tensor([[0.3, -1.7, 2.1]]), torch.tensor([[1, 0, 0]])
    value, gradient = value_and_gradient(variant, scores, labels)
    scores.requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        cast = loss_of(variant)(scores, labels)
    # The way back is outside: within, torch would cast that too.
    (cast_gradient,) = torch.autograd.grad(cast, scores)
    assert cast == value
    assert torch.equal(cast_gradient, gradient)


@every
@quick
@given(data=st.data())
def test_the_order_of_documents_and_queries_plays_no_part(
    variant: str, data: st.DataObject
) -> None:
    batch = data.draw(batches(variant, distinct=True))
    width = batch.scores.shape[1]
    documents = torch.tensor(data.draw(st.permutations(range(width))))
    queries = torch.tensor(data.draw(st.permutations(range(len(batch.scores)))))
    value, gradient = value_and_gradient(variant, *batch)
    shuffled = value_and_gradient(variant, *(grid[queries][:, documents] for grid in batch))
    assert_close(shuffled[0], value)
    assert_close(shuffled[1], gradient[queries][:, documents])


@every
@quick
@given(data=st.data())
def test_nor_does_it_where_scores_are_equal(variant: str, data: st.DataObject) -> None:
    scores, labels, mask = data.draw(batches(variant))
    documents = torch.tensor(data.draw(st.permutations(range(scores.shape[1]))))
    for level in (scores, torch.zeros_like(scores)):
        value, _ = value_and_gradient(variant, level, labels, mask)
        order = level[:, documents], labels[:, documents], mask[:, documents]
        assert_close(value_and_gradient(variant, *order)[0], value)


LEVEL_MATTERS = POINTWISE | {"multiple_negatives_ranking-sigmoid"}


@pytest.mark.parametrize("variant", sorted(set(VARIANTS) - LEVEL_MATTERS))
@quick
@given(data=st.data())
def test_only_differences_of_scores_count(variant: str, data: st.DataObject) -> None:
    scores, labels, mask = data.draw(batches(variant))
    shift = torch.tensor(data.draw(st.lists(st.integers(-1000, 1000), min_size=4, max_size=4)))
    value, gradient = value_and_gradient(variant, scores, labels, mask)
    shifted = value_and_gradient(variant, scores + shift[: len(scores), None], labels, mask)
    assert_close(shifted[0], value)
    assert_close(shifted[1], gradient)


@every
@quick
@given(data=st.data())
def test_extreme_scores_stay_finite(variant: str, data: st.DataObject) -> None:
    scores, labels, mask = data.draw(batches(variant))
    value, gradient = value_and_gradient(variant, (1e4 * scores.sign()).float(), labels, mask)
    assert value.isfinite()
    assert gradient.isfinite().all()


@every
@pytest.mark.parametrize("spread", [1.0, 100.0, 1e4])
def test_long_lists_stay_finite(variant: str, spread: float) -> None:
    random = torch.Generator().manual_seed(0)
    scores = torch.randn(1, 200, generator=random) * spread
    top = 1 if VARIANTS[variant][0] in BINARY else 3
    labels = torch.randint(0, top + 1, (1, 200), generator=random)
    # gbce refuses more negatives than its pool.
    mask = torch.arange(200)[None] < (50 if variant == "gbce" else 200)
    value, gradient = value_and_gradient(variant, scores, labels, mask)
    assert value.isfinite()
    assert value >= 0
    assert gradient.isfinite().all()


@pytest.mark.parametrize("variant", sorted(set(VARIANTS) - SATURATING))
@pytest.mark.parametrize("extreme", [50.0, 1e4])
def test_badly_ordered_documents_still_learn(variant: str, extreme: float) -> None:
    scores = torch.tensor([[-extreme, extreme, extreme]])
    _, gradient = value_and_gradient(variant, scores, torch.tensor([[1, 0, 0]]))
    assert gradient[0, 0] < -1e-3
    assert (gradient[0, 1:] >= 0).all()
    assert gradient[0, 1:].sum() > 1e-3


@pytest.mark.parametrize("variant", sorted(PAIRWISE | POINTWISE - {"ranknet-sum"}))
def test_long_lists_do_not_dominate(variant: str) -> None:
    def cost(length: int) -> float:
        labels = torch.arange(length)[None] % 2
        return value_and_gradient(variant, torch.zeros(1, length), labels)[0].item()

    if variant == "ranknet-sum":  # the reference's two numbers
        assert cost(2) == pytest.approx(math.log(2))
        assert cost(100) == pytest.approx(1733, abs=0.5)
    else:
        assert cost(100) <= cost(2) * 2


@every
@quick
@given(data=st.data())
def test_a_batch_costs_the_weighted_mean_of_its_parts(variant: str, data: st.DataObject) -> None:
    batch = data.draw(batches(variant))
    count = len(batch.scores)
    cut = data.draw(st.integers(0, count))
    whole, gradient = value_and_gradient(variant, *batch)
    first = value_and_gradient(variant, *(grid[:cut] for grid in batch))
    rest = value_and_gradient(variant, *(grid[cut:] for grid in batch))
    assert_close((first[0] * cut + rest[0] * (count - cut)) / count, whole)
    assert_close(torch.cat([first[1] * cut, rest[1] * (count - cut)]) / count, gradient)


@pytest.mark.parametrize("weighting", ["none", "lambdarank", "ndcg_loss1", "arp_loss2"])
def test_truncation_keeps_pairs_with_either_document_in_the_top(weighting: str) -> None:
    # Ranks 1 to 4; the only positive is last: swaps across k = 2 are what moves it.
    scores = torch.tensor([[3.0, 2.0, 1.0, 0.0]], requires_grad=True)
    loss = make_loss("lambda_loss", weighting=weighting, k=2)
    loss(scores, torch.tensor([[0, 0, 0, 1]])).backward()
    assert scores.grad is not None
    assert scores.grad[0, 3] < 0
    assert (scores.grad[0, :2] > 0).all()
    assert scores.grad[0, 2] == 0
