"""How losses are found, what they refuse, how they are added, and how their scores are read."""

from typing import Any

import pytest
import torch
from torch.testing import assert_close

from crossrank import activations
from crossrank.errors import InputError
from crossrank.losses import LOSSES, WeightedSum, make_loss

SCORES, LABELS = torch.tensor([[0.5, -1.0]]), torch.tensor([[1.0, 0.0]])


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("rank_net", {}, r"one of adr_mse, .*received 'rank_net'. Did you mean 'ranknet'\?"),
        ("ranknet", {"sigmas": 2}, "'ranknet' does not take these options: .*sigmas"),
        ("gbce", {}, "'gbce' does not take these options: .*pool"),
        ("ranknet", {"sigma": 0}, "sigma must be a number above 0, received 0"),
        ("ranknet", {"reduction": "max"}, "reduction must be one of mean, sum; received 'max'"),
        ("hinge", {"margin": -1}, "margin must be a number above 0, received -1"),
        ("lambda_loss", {"weighting": "ndcg"}, "weighting must be one of none, lambdarank, "),
        ("lambda_loss", {"k": 0}, "k must be a whole number from 1, or None for all, received 0"),
        ("lambda_loss", {"mu": "ten"}, "mu must be a number above 0, received 'ten'"),
        ("lambda_loss", {"log_base": 1}, "log_base must be above 1, received 1"),
        ("binary_cross_entropy", {"pos_weight": 0}, "pos_weight must be a number above 0"),
        ("gbce", {"pool": 10, "t": 1.5}, "t must be from 0 to 1, received 1.5"),
        ("mse", {"activation": "tanh"}, "activation must be one of identity, sigmoid; received "),
        ("mse", {"target": "teacher"}, "target must be one of labels, teacher_scores; received "),
        ("multiple_negatives_ranking", {"scale": 0}, "scale must be a number above 0"),
        ("kl_divergence", {"temperature": 0}, "temperature must be a number above 0"),
        ("listnet", {"label_temperature": 0}, "label_temperature must be a number above 0"),
    ],
)
def test_options_are_checked(name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        make_loss(name, **options)


def test_shapes_are_checked() -> None:
    loss = make_loss("ranknet")
    with pytest.raises(InputError, match=r"scores must be \[queries, documents\], received \[2\]"):
        loss(SCORES[0], LABELS[0])
    with pytest.raises(InputError, match=r"labels must have the shape of scores, \[1, 2\], rec"):
        loss(SCORES, LABELS[:, :1])
    with pytest.raises(InputError, match=r"mask must have the shape of scores, \[1, 2\], rec"):
        loss(SCORES, LABELS, torch.ones(2, 2))


@pytest.mark.parametrize(("name", "options"), [("binary_cross_entropy", {}), ("gbce", {"pool": 9})])
@pytest.mark.parametrize("label", [-0.5, 3.0, float("nan")])
def test_probabilities_are_from_0_to_1(name: str, options: Any, label: float) -> None:
    labels = torch.tensor([[1.0, label]])
    with pytest.raises(InputError, match=f"{name} needs labels from 0 to 1, received from"):
        make_loss(name, **options)(SCORES, labels)
    # In padding they do not matter.
    assert make_loss(name, **options)(SCORES, labels, torch.tensor([[True, False]])).isfinite()


def test_gbce_refuses_a_pool_smaller_than_a_list() -> None:
    with pytest.raises(InputError, match="received 2 for 3 negatives"):
        make_loss("gbce", pool=2)(torch.zeros(1, 4), torch.tensor([[1, 0, 0, 0]]))


def test_cross_entropy_checks_shapes_and_classes() -> None:
    loss, scores = make_loss("cross_entropy"), torch.zeros(2, 3)
    with pytest.raises(InputError, match=r"scores \[pairs, classes\], and labels and mask \[pai"):
        loss(scores, torch.zeros(2, 3))
    for labels in ([0, 3], [-1, 0], [0.5, 0]):
        with pytest.raises(InputError, match="whole numbers from 0 to 2; received"):
            loss(scores, torch.tensor(labels))
    padded = loss(scores, torch.tensor([1, 99]), torch.tensor([True, False]))
    assert_close(padded, torch.tensor(3.0).log())


SIGMOID = {"binary_cross_entropy", "gbce"}


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_scores_are_read_through_what_the_loss_trained(name: str) -> None:
    loss = make_loss(name, **({"pool": 9} if name == "gbce" else {}))
    expected = "softmax" if name == "cross_entropy" else "identity"
    assert loss.activation == ("sigmoid" if name in SIGMOID else expected)
    assert activations.resolve(loss.activation) is not None


@pytest.mark.parametrize("name", ["mse", "multiple_negatives_ranking"])
def test_a_sigmoid_inside_the_loss_is_a_sigmoid_on_its_scores(name: str) -> None:
    assert make_loss(name, activation="sigmoid").activation == "sigmoid"


def test_a_sum_adds_weighted_values_and_gradients() -> None:
    terms = [(make_loss("ranknet"), 2), (make_loss("mse"), 0.5)]
    scores = SCORES.clone().requires_grad_()
    value = WeightedSum(terms)(scores, LABELS)
    # 2 log(1 + e^-1.5) + 0.5 (0.25 + 1) / 2
    expected = 2 * torch.tensor(-1.5).exp().log1p() + 0.3125
    assert_close(value, expected)
    (gradient,) = torch.autograd.grad(value, scores)
    # the share of the wrong order is sigma(-1.5); of the squares, 0.5 * (s - y)
    wrong = torch.sigmoid(torch.tensor(-1.5))
    assert_close(gradient, torch.stack([-2 * wrong - 0.25, 2 * wrong - 0.5])[None])


def test_in_a_sum_distillation_takes_the_teacher_and_the_others_the_labels() -> None:
    teacher, mask = torch.tensor([[3.0, 9.0, 1.0]]), torch.tensor([[True, False, True]])
    scores, labels = torch.tensor([[1.0, 5.0, 0.0]]), torch.tensor([[1.0, 1.0, 0.0]])
    both = WeightedSum([(make_loss("ranknet"), 1), (make_loss("margin_mse"), 1)])
    ranknet = torch.tensor(-1.0).exp().log1p()
    assert_close(both(scores, labels, mask, teacher), ranknet + (1 - 2) ** 2)
    assert_close(both(scores, labels, mask), ranknet)  # without a teacher labels teach both
    taught = WeightedSum([(make_loss("mse", target="teacher_scores"), 1)])
    assert_close(taught(scores, labels, mask, teacher), torch.tensor((2**2 + 1**2) / 2))


def test_a_sum_needs_terms_with_weights_above_0() -> None:
    for terms in ([], [(make_loss("mse"), 0)], [(make_loss("mse"), float("nan"))]):
        with pytest.raises(InputError, match="at least one loss, and weights above 0"):
            WeightedSum(terms)


def test_a_sum_reads_scores_as_its_first_loss_does() -> None:
    terms = [(make_loss("binary_cross_entropy"), 1), (make_loss("ranknet"), 1)]
    assert WeightedSum(terms).activation == "sigmoid"
    assert WeightedSum(terms[::-1]).activation == "identity"
