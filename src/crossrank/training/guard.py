"""Stopping a run that no longer learns: NaN, exploding gradients, constant scores."""

import math

import torch
from torch import Tensor

from crossrank.errors import TrainingError

EXPLODED = 1e6
"""A gradient norm, before clipping, that no healthy run shows."""


class CollapseGuard:
    """Watches the losses, scores and gradients of a run.

    Args:
        patience: Steps in a row with constant scores until the run is stopped.
    """

    def __init__(self, patience: int) -> None:
        self.patience = patience
        self.constant = 0

    def check_scores(self, logits: Tensor, loss: Tensor, step: int) -> None:
        """Look at a batch.

        Args:
            logits: ``[pairs, labels]``, not all from the same pair.
            loss: A scalar.
            step: Number of the step, for the message.

        Raises:
            TrainingError: The loss is not finite, or scores have been constant for too long.
        """
        if not torch.isfinite(loss):
            raise TrainingError(
                f"The loss became {loss.item()} at step {step}. Lower learning_rate, train in bf16 "
                "instead of fp16, and check the labels; the last checkpoint is kept."
            )
        spread = (logits.amax(dim=0) - logits.amin(dim=0)).max().item() if len(logits) > 1 else 1.0
        size = logits.abs().max().item()
        # bf16 leaves 8 bits: differences below a thousandth of the size are its rounding.
        self.constant = self.constant + 1 if spread <= 1e-4 * max(size, 1e-2) else 0
        if self.constant >= self.patience:
            raise TrainingError(
                f"All scores have been the same for {self.constant} steps (step {step}): the model "
                "has collapsed. Lower learning_rate, warm up longer, or use more negatives per "
                "query; the last checkpoint is kept."
            )

    def check_gradient(self, norm: float, step: int) -> None:
        """Look at the norm of the gradient before it is clipped.

        Raises:
            TrainingError: It is not finite, or far too large.
        """
        if not math.isfinite(norm) or norm > EXPLODED:
            raise TrainingError(
                f"The gradient exploded at step {step}: its norm is {norm:.3g}. Lower "
                "learning_rate, warm up longer, or train in bf16 instead of fp16; the last "
                "checkpoint is kept."
            )
