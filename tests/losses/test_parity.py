"""The same numbers as sentence-transformers where it is right, and the right ones where it is not.

Both get the scores themselves: in the place of a model stands a table of them. A loss agrees when
its value and its gradient do.
"""

from collections.abc import Callable, Sequence
from math import log, log2
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from crossrank.losses import make_loss

L3 = log(3)
D2 = 1 / log2(3)
"""The discount of rank 2."""


@pytest.fixture(scope="module")
def losses() -> Any:
    return pytest.importorskip(
        "sentence_transformers.cross_encoder.losses", reason="compared with sentence-transformers"
    )


def given_scores(table: Tensor) -> Any:
    """A model that looks scores up, ``[queries, documents]`` or ``[queries, documents, classes]``.

    Texts are numbers: query 2 and document 7 score ``table[2, 7]``.
    """
    from sentence_transformers.cross_encoder import CrossEncoder

    class GivenScores(CrossEncoder):
        num_labels = 1
        device = torch.device("cpu")

        def __init__(self) -> None:
            nn.Module.__init__(self)

        def preprocess(self, pairs: Any, **_: Any) -> Any:
            return {"cells": torch.tensor([(int(query), int(text)) for query, text in pairs])}

        def forward(self, features: Any) -> Any:
            queries, documents = features["cells"].T
            return {"scores": table.reshape(*table.shape[:2], -1)[queries, documents]}

    return GivenScores()


class Outcome(NamedTuple):
    value: Tensor
    gradient: Tensor


def outcome(compute: Callable[[Tensor], Tensor], scores: Tensor) -> Outcome:
    scores = scores.clone().requires_grad_()
    value = compute(scores)
    value.backward()
    assert scores.grad is not None
    return Outcome(value.detach(), scores.grad)


def ours(name: str, scores: Tensor, labels: Tensor, mask: Any = None, **options: Any) -> Outcome:
    loss = make_loss(name, **options)
    return outcome(lambda scores: loss(scores, labels, mask), scores)


def theirs(
    make: Callable[[Any], Any], scores: Tensor, labels: Tensor, mask: Tensor | None = None
) -> Outcome:
    """The listwise losses of sentence-transformers, which take lists of any length."""
    lengths = [scores.shape[1]] * len(scores) if mask is None else mask.sum(dim=1).tolist()
    documents = [list(map(str, range(length))) for length in lengths]
    queries = list(map(str, range(len(scores))))
    targets = [row[:length].float() for row, length in zip(labels, lengths, strict=True)]
    return outcome(lambda scores: make(given_scores(scores))([queries, documents], targets), scores)


def columns(make: Callable[[Any], Any], table: Tensor, texts: Any, labels: Any) -> Outcome:
    """Their other losses, which take columns of texts, one text a query."""
    inputs = [list(map(str, column)) for column in texts]
    return outcome(lambda table: make(given_scores(table))(inputs, labels), table)


def some_lists(seed: int, lengths: Sequence[int] = (7, 7, 7)) -> tuple[Tensor, Tensor, Tensor]:
    """Scores, labels all different, and a mask."""
    random = torch.Generator().manual_seed(seed)
    shape = len(lengths), max(lengths)
    labels = torch.stack([torch.randperm(shape[1], generator=random) for _ in lengths]).float()
    mask = torch.arange(shape[1]) < torch.tensor(lengths)[:, None]
    return torch.randn(shape, generator=random), labels, mask


BY_LABEL = {"mini_batch_size": -1, "respect_input_order": False}


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("listnet", lambda losses, model: losses.ListNetLoss(model, mini_batch_size=-1)),
        ("listmle", lambda losses, model: losses.ListMLELoss(model, **BY_LABEL)),
        ("position_aware_listmle", lambda losses, model: losses.PListMLELoss(model, **BY_LABEL)),
    ],
)
def test_listwise_losses_agree_on_lists_of_any_length(losses: Any, name: str, make: Any) -> None:
    scores, labels, mask = some_lists(4, (7, 2, 5))
    expected = theirs(lambda model: make(losses, model), scores, labels, mask)
    assert_close(ours(name, scores, labels, mask), expected)


WEIGHTINGS = {
    "none": "NoWeightingScheme",
    "lambdarank": "LambdaRankScheme",
    "ndcg_loss2": "NDCGLoss2Scheme",
    "ndcg_loss2pp": "NDCGLoss2PPScheme",
}


@pytest.mark.parametrize("weighting", WEIGHTINGS)
@pytest.mark.parametrize("k", [None, 1, 3])
def test_lambda_loss_agrees_on_one_list(losses: Any, weighting: str, k: int | None) -> None:
    scores, labels, _ = some_lists(5, (7,))
    scheme = getattr(losses, WEIGHTINGS[weighting])()
    expected = theirs(
        lambda model: losses.LambdaLoss(model, scheme, k=k, sigma=2.0, mini_batch_size=-1),
        scores,
        labels,
    )
    assert_close(ours("lambda_loss", scores, labels, weighting=weighting, k=k, sigma=2.0), expected)


def test_ranknet_and_adr_mse_agree_on_one_list(losses: Any) -> None:
    scores, labels, _ = some_lists(6, (7,))
    labels[0, :3] = 2  # some are tied
    expected = theirs(
        lambda model: losses.RankNetLoss(model, reduction_log="natural"), scores, labels
    )
    assert_close(ours("ranknet", scores, labels), expected)
    expected = theirs(losses.ADRMSELoss, scores, labels)
    assert_close(ours("adr_mse", scores, labels), expected)


def test_there_long_lists_count_more(losses: Any) -> None:
    """A mean over the pairs, or the documents, of the whole batch: right is one over queries."""
    scores, labels, mask = some_lists(7, (2, 6))
    for name, make, sizes in (
        ("ranknet", lambda model: losses.RankNetLoss(model, reduction_log="natural"), (1, 15)),
        ("adr_mse", losses.ADRMSELoss, (2, 6)),
    ):
        first = theirs(make, scores[:1, :2], labels[:1, :2]).value
        second = theirs(make, scores[1:], labels[1:]).value
        assert_close(ours(name, scores, labels, mask).value, (first + second) / 2)
        weighted = (first * sizes[0] + second * sizes[1]) / sum(sizes)
        assert_close(theirs(make, scores, labels, mask).value, weighted)
        assert (weighted - (first + second) / 2).abs() > 0.05


def test_there_ndcg_loss1_compares_documents_with_themselves(losses: Any) -> None:
    """Which adds a constant and divides what is learned by n / (n - 1)."""
    scores, labels = torch.tensor([[L3, 0.0]]), torch.tensor([[1.0, 0.0]])
    found = ours("lambda_loss", scores, labels, weighting="ndcg_loss1")
    # G / D is 1 for the first document and 0 for the second; two pairs.
    assert found.value.item() == pytest.approx((1 * log2(4 / 3) + 0 * log2(4)) / 2)
    there = theirs(lambda model: losses.LambdaLoss(model, losses.NDCGLoss1Scheme()), scores, labels)
    # Four, with (0, 0), which costs log2(2) whatever the score, and (1, 1).
    assert there.value.item() == pytest.approx((1 * log2(4 / 3) + 1 * log2(2)) / 4)
    assert_close(there.gradient, found.gradient / 2)


def test_there_equal_scores_are_ranked_as_they_were_given(losses: Any) -> None:
    """Right is the pessimistic order: the positive last, whatever the order."""
    scores, labels = torch.zeros(1, 3), torch.tensor([[1.0, 0.0, 0.0]])
    last_with_second, last_with_first = D2 - 1 / 2, 1 - 1 / 2
    for order in ([0, 1, 2], [2, 1, 0]):
        found = ours("lambda_loss", scores, labels[:, order], weighting="lambdarank")
        assert found.value.item() == pytest.approx((last_with_second + last_with_first) / 2)

    def make(model: Any) -> Any:
        return losses.LambdaLoss(model, losses.LambdaRankScheme(), mini_batch_size=-1)

    there = theirs(make, scores, labels).value.item()
    assert there == pytest.approx(((1 - D2) + (1 - 1 / 2)) / 2)
    assert theirs(make, scores, labels.flip(1)).value.item() < there - 0.05


@pytest.mark.parametrize(
    ("name", "peer"), [("listmle", "ListMLELoss"), ("position_aware_listmle", "PListMLELoss")]
)
def test_there_listmle_reads_the_order_of_the_input(losses: Any, name: str, peer: str) -> None:
    """By default it ignores labels; asked to sort by them, equal ones stay as they were given."""
    scores, labels = torch.tensor([[0.0, L3]]), torch.tensor([[0.0, 1.0]])
    make = getattr(losses, peer)
    assert ours(name, scores, labels).value.item() == pytest.approx(log(4 / 3))
    assert theirs(make, scores, labels).value.item() == pytest.approx(log(4))

    scores, labels = torch.tensor([[0.0, 2.0, 1.0, -1.0]]), torch.tensor([[0.0, 0.0, 1.0, 0.0]])
    back = scores.flip(1), labels.flip(1)
    assert_close(ours(name, scores, labels).value, ours(name, *back).value)

    def sorting(model: Any) -> Any:
        return make(model, **BY_LABEL)

    difference = theirs(sorting, scores, labels).value - theirs(sorting, *back).value
    assert difference.abs() > 0.1


def test_pointwise_losses_agree(losses: Any) -> None:
    scores, labels = torch.tensor([[0.3, -1.2, 2.0, 0.9]]), torch.tensor([[1.0, 0.0, 0.25, 0.75]])
    texts = [[0] * 4, range(4)]
    for name, options, make in (
        ("binary_cross_entropy", {}, losses.BinaryCrossEntropyLoss),
        (
            "binary_cross_entropy",
            {"pos_weight": 4.0},
            lambda model: losses.BinaryCrossEntropyLoss(model, pos_weight=torch.tensor(4.0)),
        ),
        ("mse", {}, lambda model: losses.MSELoss(model, activation_fn=nn.Identity())),
        (
            "mse",
            {"activation": "sigmoid"},
            lambda model: losses.MSELoss(model, activation_fn=nn.Sigmoid()),
        ),
    ):
        expected = columns(make, scores, texts, labels[0])
        assert_close(ours(name, scores, labels, **options), expected)


def test_cross_entropy_agrees(losses: Any) -> None:
    logits = torch.randn(3, 1, 4, generator=torch.Generator().manual_seed(8))
    classes = torch.tensor([3, 0, 1])
    expected = columns(losses.CrossEntropyLoss, logits, [range(3), [0] * 3], classes)
    found = outcome(lambda logits: make_loss("cross_entropy")(logits[:, 0], classes), logits)
    assert_close(found, expected)


@pytest.mark.parametrize("cached", [False, True])
@pytest.mark.parametrize(
    ("options", "theirs_options"),
    [
        ({"activation": "sigmoid", "scale": 10.0}, {}),
        ({"scale": 2.0}, {"activation_fn": nn.Identity(), "scale": 2.0}),
    ],
)
def test_multiple_negatives_ranking_agrees(
    losses: Any, cached: bool, options: Any, theirs_options: Any
) -> None:
    """Document i is the positive of query i, all others are its negatives."""
    table = torch.randn(4, 4, generator=torch.Generator().manual_seed(9))

    def make(model: Any) -> Any:
        if cached:
            return losses.CachedMultipleNegativesRankingLoss(
                model, num_negatives=None, mini_batch_size=3, **theirs_options
            )
        return losses.MultipleNegativesRankingLoss(model, num_negatives=None, **theirs_options)

    expected = columns(make, table, [range(4), range(4)], None)
    assert_close(ours("multiple_negatives_ranking", table, torch.eye(4), **options), expected)


def test_there_half_precision_stays_half(losses: Any) -> None:
    """Cross-entropy of bf16 logits is off in the third digit: right is to cast first."""
    table = torch.tensor([[2.0, 0.5], [0.25, 1.0]], dtype=torch.bfloat16)
    exact = (log(1 + 2.718281828459045**-1.5) + log(1 + 2.718281828459045**-0.75)) / 2
    found = ours("multiple_negatives_ranking", table, torch.eye(2))
    assert found.value.item() == pytest.approx(exact, rel=1e-6)

    def make(model: Any) -> Any:
        return losses.MultipleNegativesRankingLoss(model, activation_fn=nn.Identity(), scale=1)

    there = columns(make, table, [range(2), range(2)], None)
    assert there.value.dtype == torch.bfloat16
    assert there.value.item() != pytest.approx(exact, rel=1e-4)


def test_margin_mse_agrees_on_pairs(losses: Any) -> None:
    scores = torch.randn(3, 2, generator=torch.Generator().manual_seed(10))
    teacher = torch.tensor([[5.0, 2.0], [1.0, 4.0], [0.5, 0.0]])
    margins = teacher[:, 0] - teacher[:, 1]
    expected = columns(losses.MarginMSELoss, scores, [range(3), [0] * 3, [1] * 3], margins)
    assert_close(ours("margin_mse", scores, teacher), expected)


def test_margin_mse_learns_the_margins_between_negatives_too(losses: Any) -> None:
    """Not an error there, but another loss: the first document against each other one."""
    scores, teacher = torch.zeros(1, 3), torch.tensor([[3.0, 1.0, 0.0]])
    found = ours("margin_mse", scores, teacher).value.item()
    assert found == pytest.approx((2**2 + 3**2 + 1**2) / 3)
    there = columns(losses.MarginMSELoss, scores, [[0], [0], [1], [2]], list(teacher))
    assert there.value.item() == pytest.approx((2**2 + 3**2) / 2)
