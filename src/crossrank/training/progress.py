"""What a training run shows while it goes on."""

import sys
from collections.abc import Callable
from typing import Any

from tqdm.auto import tqdm
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from crossrank.progress import on_terminal

SECONDS_BETWEEN = 0.5


class TrainingProgress(TrainerCallback):
    """A bar on stderr, and a line for each evaluation.

    Args:
        measure: What to tell of an evaluation.
        tell: Called with each line.
    """

    def __init__(self, measure: str, tell: Callable[[str], object]) -> None:
        self.measure = measure
        self.tell = tell
        self.bar: Any = None

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Open the bar, where a run that is resumed has got to."""
        self.bar = tqdm(
            total=state.max_steps,
            initial=state.global_step,
            desc="Training",
            unit="step",
            file=sys.stderr,
            disable=not (on_terminal() and state.is_world_process_zero),
            mininterval=SECONDS_BETWEEN,
        )

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Move the bar."""
        self.bar.update(state.global_step - self.bar.n)

    def on_log(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Show the loss."""
        if self.bar is not None and "loss" in kwargs.get("logs", {}):
            self.bar.set_postfix(loss=f"{float(kwargs['logs']['loss']):.4f}")

    def on_evaluate(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Tell what was measured."""
        value = kwargs["metrics"][f"eval_{self.measure}"]
        if self.bar is not None:
            self.bar.clear()
        self.tell(f"step {state.global_step} of {state.max_steps}: {self.measure} {value:.4f}")

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Close the bar."""
        self.bar.close()
        self.bar = None
