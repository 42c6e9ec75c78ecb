"""One run on the tiny model; as a script, for tests that kill it or start it twice at once.

    python runs.py MODEL DATA OUT OPTIONS

``DATA`` is a folder that ``datasets`` saved, ``OPTIONS`` a JSON object of training arguments. A
line ``step N`` follows each step.
"""

import json
import sys
from pathlib import Path
from typing import Any

import datasets
from transformers import TrainerCallback

from crossrank.training.arguments import CrossEncoderTrainingArguments
from crossrank.training.model import TrainableModel
from crossrank.training.trainer import CrossEncoderTrainer

OPTIONS: dict[str, Any] = {
    "max_steps": 12,
    "per_device_train_batch_size": 4,
    "learning_rate": 1e-3,
    "save_steps": 3,
    "logging_steps": 1,
    "seed": 11,
    "use_cpu": True,
    "disable_tqdm": True,
}


def make_trainer(
    model: Path | TrainableModel,
    dataset: Any,
    out: Path,
    loss: Any = "ranknet",
    evaluator: Any = None,
    **options: Any,
) -> CrossEncoderTrainer:
    """Set up a run."""
    arguments = CrossEncoderTrainingArguments(output_dir=str(out), **{**OPTIONS, **options})
    return CrossEncoderTrainer(model, arguments, dataset, loss, evaluator)


class Announce(TrainerCallback):
    """Says when a step is done, its checkpoint included."""

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Say which steps are done."""
        print("step", state.global_step, flush=True)  # noqa: T201


def main() -> None:
    """Train, and save the model to ``OUT/final``."""
    model, data, out = map(Path, sys.argv[1:4])
    dataset = datasets.load_from_disk(str(data))
    trainer = make_trainer(model, dataset, out, **json.loads(sys.argv[4]))
    trainer.add_callback(Announce())
    trainer.train()
    trainer.save_model(str(out / "final"))


if __name__ == "__main__":
    main()
