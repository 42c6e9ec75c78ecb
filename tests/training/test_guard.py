"""A run that no longer learns is stopped, one that learns slowly is not."""

import pytest

torch = pytest.importorskip("torch", reason="training needs torch")

from crossrank.errors import TrainingError  # noqa: E402
from crossrank.training.guard import CollapseGuard  # noqa: E402

FINE = torch.tensor(0.5)


def test_nan_loss_stops_at_once() -> None:
    with pytest.raises(TrainingError, match=r"nan at step 7.*learning_rate"):
        CollapseGuard(10).check_scores(torch.randn(4, 1), torch.tensor(float("nan")), 7)


def test_constant_scores_stop_after_the_patience() -> None:
    guard = CollapseGuard(3)
    for step in range(2):
        guard.check_scores(torch.full((4, 1), 0.7), FINE, step)
    with pytest.raises(TrainingError, match="same for 3 steps"):
        guard.check_scores(torch.full((4, 1), 0.7), FINE, 2)


def test_one_varied_batch_starts_the_count_anew() -> None:
    guard = CollapseGuard(2)
    for step in range(6):
        scores = torch.full((4, 1), 0.7) if step % 2 else torch.tensor([[0.7], [0.71]])
        guard.check_scores(scores, FINE, step)


def test_small_scores_that_differ_are_not_constant() -> None:
    guard = CollapseGuard(1)
    guard.check_scores(torch.tensor([[1e-5], [-1e-5]]), FINE, 0)


def test_a_batch_of_one_pair_says_nothing() -> None:
    guard = CollapseGuard(1)
    guard.check_scores(torch.tensor([[0.3]]), FINE, 0)


@pytest.mark.parametrize("norm", [float("inf"), float("nan"), 1e9])
def test_exploding_gradients_stop(norm: float) -> None:
    with pytest.raises(TrainingError, match="exploded at step 3"):
        CollapseGuard(1).check_gradient(norm, 3)


def test_large_gradients_are_clipped_not_stopped() -> None:
    CollapseGuard(1).check_gradient(1e3, 3)
