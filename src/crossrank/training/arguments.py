"""The options of a training run."""

from dataclasses import dataclass, field
from typing import Any

import torch
from transformers import TrainingArguments

from crossrank.errors import InputError


@dataclass
class CrossEncoderTrainingArguments(TrainingArguments):
    """transformers' ``TrainingArguments`` with what cross-encoders need besides.

    A batch is counted in queries: ``per_device_train_batch_size=16`` with lists of eight documents
    is 128 pairs. Memory does not follow from it: see ``part_tokens``.

    Attributes:
        mini_batch_tokens: Most tokens computed at once; by default what the device computes
            fastest.
        part_tokens: Most tokens whose graph is held in memory; by default four mini-batches. A
            longer list of documents goes through gradient caching.
        in_batch_negatives: Documents of other queries added to each list, labelled 0.
        dataset_weights: How often each of several datasets is drawn from, by name; by default as
            often as it is large.
        freeze_layers: Layers, from the lowest, that are not trained, and the embeddings; -1
            trains everything.
        layer_decay: Each layer learns at this share of the rate of the one above it.
        early_stopping_patience: Evaluations without improvement until training stops.
        collapse_patience: Steps in a row with constant scores until training stops.
    """

    # Where a default differs from transformers', a cross-encoder is better served by it.
    learning_rate: float = 2e-5
    warmup_steps: float = 0.1
    per_device_train_batch_size: int = 16
    logging_steps: float = 50
    report_to: str | list[str] | None = field(default="none")
    remove_unused_columns: bool = False
    dataloader_pin_memory: bool = field(default_factory=torch.cuda.is_available)
    # Without an accelerator there is no choice, and transformers refuses bf16 unless it is told.
    use_cpu: bool = field(default_factory=lambda: not torch.accelerator.is_available())

    mini_batch_tokens: int | None = None
    part_tokens: int | None = None
    in_batch_negatives: int = 0
    dataset_weights: dict[str, float] | None = None
    freeze_layers: int = -1
    layer_decay: float = 1.0
    early_stopping_patience: int | None = None
    collapse_patience: int = 100

    def __post_init__(self) -> None:
        super().__post_init__()  # type: ignore[no-untyped-call]
        _at_least(1, mini_batch_tokens=self.mini_batch_tokens, part_tokens=self.part_tokens)
        _at_least(1, early_stopping_patience=self.early_stopping_patience)
        _at_least(1, collapse_patience=self.collapse_patience)
        _at_least(0, in_batch_negatives=self.in_batch_negatives)
        _at_least(-1, freeze_layers=self.freeze_layers)
        if not 0 < self.layer_decay <= 1:
            raise InputError(
                f"layer_decay must be above 0 and at most 1, received {self.layer_decay}."
            )
        if self.in_batch_negatives and self.per_device_train_batch_size == 1:
            raise InputError(
                "in_batch_negatives are documents of the other queries of a batch: a batch size of "
                "at least 2 is required, received 1."
            )
        for name in ("dataloader_drop_last", "label_smoothing_factor", "neftune_noise_alpha"):
            if getattr(self, name):
                raise InputError(
                    f"{name} is not for cross-encoders here: leave it out, received "
                    f"{getattr(self, name)!r}."
                )
        if self.early_stopping_patience is not None:
            self.restore_callback_states_from_checkpoint = True  # how long it has been patient
        if self.ddp_broadcast_buffers is None:
            # Processes run the network as often as their own lists need, and a broadcast waits for
            # all. No Transformer changes its buffers.
            self.ddp_broadcast_buffers = False
        if self.mini_batch_tokens is None:
            self.mini_batch_tokens = 4096 if self.device.type == "cpu" else 32_768
        if self.part_tokens is None:
            self.part_tokens = 4 * self.mini_batch_tokens


def _at_least(least: int, **options: Any) -> None:
    for name, value in options.items():
        if value is not None and value < least:
            raise InputError(f"{name} must be at least {least}, received {value}.")
