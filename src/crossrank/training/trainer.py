"""CrossEncoderTrainer: Hugging Face's ``Trainer`` for lists of documents."""

import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import torch
from safetensors import SafetensorError
from torch import Tensor, nn
from torch.utils.data import DataLoader
from transformers import EarlyStoppingCallback, Trainer, TrainerCallback
from transformers.trainer_utils import IntervalStrategy, TrainOutput

from crossrank.batching import plan
from crossrank.errors import InputError, TrainingError
from crossrank.evaluation.evaluators import Evaluator
from crossrank.models.torch_modules.attention import leave_out_cudnn
from crossrank.models.torch_modules.saving import pretrained
from crossrank.training.arguments import CrossEncoderTrainingArguments
from crossrank.training.checkpoints import last_checkpoint, remove_partial
from crossrank.training.collation import Collator
from crossrank.training.embeddings import make_dense, use_sparse_gradients
from crossrank.training.guard import CollapseGuard
from crossrank.training.mini_batches import Scorer, Step
from crossrank.training.model import TrainableModel
from crossrank.training.objective import AnyLoss, objectives
from crossrank.training.parameters import freeze, parameter_groups
from crossrank.training.training_data import TrainingData
from crossrank.types import Floats, Pair


class CrossEncoderTrainer(Trainer):
    """Trains a cross-encoder on lists of documents, or on pairs.

    Checkpoints, resuming, callbacks, loggers, gradient accumulation and several processes are
    those of transformers' ``Trainer``. Each step is computed in mini-batches of similar lengths,
    and lists too long for memory by gradient caching; the gradient is exact either way. A
    checkpoint is a model folder that ``CrossEncoder`` loads.

    Args:
        model: What to train; a folder or hub id is loaded with its defaults.
        args: The options of the run.
        train_dataset: Rows in one of the known column conventions, see
            ``crossrank.training.columns``; or several datasets by name.
        loss: What to minimise, or its name; or one for each dataset, by name.
        evaluator: What to measure during training; or several by name.
        callbacks: As for ``Trainer``.
        optimizers: As for ``Trainer``.

    Raises:
        InputError: The data do not fit the loss, or options contradict each other.

    Example:
        >>> trainer = CrossEncoderTrainer("my-model", args, dataset, "ranknet")  # doctest: +SKIP
        >>> trainer.train()  # doctest: +SKIP
        >>> trainer.save_model("my-better-model")  # doctest: +SKIP
    """

    args: CrossEncoderTrainingArguments

    def __init__(
        self,
        model: TrainableModel | str | Path,
        args: CrossEncoderTrainingArguments,
        train_dataset: datasets.Dataset | Mapping[str, datasets.Dataset],
        loss: AnyLoss | Mapping[str, AnyLoss] = "binary_cross_entropy",
        evaluator: Evaluator | Mapping[str, Evaluator] | None = None,
        *,
        callbacks: Sequence[TrainerCallback] = (),
        optimizers: tuple[Any, Any] = (None, None),
    ) -> None:
        self.trainable = model if isinstance(model, TrainableModel) else TrainableModel.load(model)
        self.data = TrainingData(train_dataset)
        self.objectives = objectives(loss, list(self.data.datasets))
        self.evaluators = _evaluators(evaluator)
        self.guard = CollapseGuard(args.collapse_patience)
        _check_evaluation(args, self.evaluators)
        for name, objective in self.objectives.items():
            self.data.check(
                name,
                objective.loss,
                num_labels=self.trainable.spec.num_labels,
                in_batch_negatives=args.in_batch_negatives,
            )
        if args.freeze_layers >= 0:
            freeze(self.trainable.module, args.freeze_layers)
        leave_out_cudnn(args.device)
        if args.device.type == "cpu" and args.world_size == 1:
            use_sparse_gradients(self.trainable.module)
        if args.gradient_checkpointing:
            _let_checkpoint_gradients(self.trainable.module)
        more: list[TrainerCallback] = []
        if args.early_stopping_patience is not None:
            more.append(EarlyStoppingCallback(args.early_stopping_patience))
        super().__init__(
            model=self.trainable.module,
            args=args,
            train_dataset=self.data,
            eval_dataset=self.evaluators or None,
            callbacks=[*callbacks, *more],
            optimizers=optimizers,
        )
        self.scorer = Scorer(self.trainable.module, self.trainable.spec, self.args.device)

    @property
    def folder(self) -> Path:
        """Where checkpoints are written."""
        return Path(str(self.args.output_dir))

    @property
    def activation(self) -> str:
        """What scores of the trained model are read through: as the first loss has it."""
        return next(iter(self.objectives.values())).activation

    @property
    def padding(self) -> float | None:
        """Share of padding in all that was trained on so far; ``None`` where that is nothing."""
        computed, real = self.scorer.tokens
        return 1 - real / computed if computed else None

    def train(
        self,
        resume_from_checkpoint: str | bool | None = None,
        trial: Any = None,
        ignore_keys_for_eval: list[str] | None = None,
    ) -> TrainOutput:
        """Train.

        Args:
            resume_from_checkpoint: A checkpoint, or ``True`` for the last one that is whole; where
                there is none, training starts from the beginning. A run that had come to its end
                by then is only finished: no step is trained.
            trial: As for ``Trainer.train``.
            ignore_keys_for_eval: Not used.
        """
        if resume_from_checkpoint is True:
            resume_from_checkpoint = last_checkpoint(self.folder)
        return super().train(resume_from_checkpoint or None, trial, ignore_keys_for_eval)

    def get_train_dataloader(self) -> DataLoader[Any]:
        """Make batches of similar lengths."""
        sampler = self.data.sampler(
            self.args.per_device_train_batch_size,
            seed=self.args.seed if self.args.data_seed is None else self.args.data_seed,
            weights=self.args.dataset_weights,
        )
        collate = Collator(self.trainable.tokenizer, self.args.in_batch_negatives)
        workers = self.args.dataloader_num_workers
        loader = DataLoader(
            self.data,
            batch_sampler=sampler,
            collate_fn=functools.partial(self.data.collate, collate),
            num_workers=workers,
            pin_memory=self.args.dataloader_pin_memory,
            persistent_workers=bool(workers and self.args.dataloader_persistent_workers),
        )
        prepared: DataLoader[Any] = self.accelerator.prepare(loader)
        return prepared

    def training_step(
        self,
        model: nn.Module,
        inputs: Any,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Tensor:
        """Add the gradient of one batch to the parameters.

        Returns:
            The loss, a scalar without a graph.
        """
        model.train()
        self.scorer.model = model
        name, batch = inputs
        batch = batch.to(self.args.device)
        objective = self.objectives[name]
        # Of all rows of an optimizer step, however they lie in batches and processes, of which the
        # gradients are averaged.
        rows = self.args.world_size * len(batch)
        share: float = rows / int(num_items_in_batch or rows)
        step = Step(
            score=self.scorer,
            loss=objective,
            separable=objective.separable,
            mini_batch=self.args.mini_batch_tokens or 0,
            part=self.args.part_tokens or 0,
            backward=lambda value: self.accelerator.backward(value * share),
            unsynchronised=functools.partial(self.accelerator.no_sync, model=model),
            precision=self.accelerator.autocast,
        )
        value, logits = step.run(batch)
        make_dense(self.trainable.module)
        self.guard.check_scores(logits, value, self.state.global_step)
        return value * share

    def evaluate(
        self,
        eval_dataset: Any = None,
        ignore_keys: list[str] | None = None,
        metric_key_prefix: str = "eval",
    ) -> dict[str, float]:
        """Run the evaluators.

        Args:
            eval_dataset: An evaluator, or several by name, instead of the trainer's own.
            ignore_keys: Not used.
            metric_key_prefix: Comes before the name of each measure.

        Returns:
            Values by name, e.g. ``eval_nDCG@10``.
        """
        chosen = self.evaluators if eval_dataset is None else _evaluators(eval_dataset)
        metrics: dict[str, float] = {}
        for name, evaluator in chosen.items():
            prefix = "_".join(filter(None, (metric_key_prefix, name)))
            values = evaluator(self.predict_pairs)
            metrics.update({f"{prefix}_{measure}": value for measure, value in values.items()})
        self.log(dict(metrics))
        self.control = self.callback_handler.on_evaluate(
            self.args, self.state, self.control, metrics
        )
        return metrics

    def predict_pairs(self, pairs: Sequence[Pair]) -> Floats:
        """Compute logits ``[pairs, labels]`` with the weights as they are now."""
        module = self.trainable.module
        was_training = module.training
        module.eval()
        scorer = Scorer(module, self.trainable.spec, self.args.device)
        encoded = self.trainable.tokenizer.encode(pairs)
        logits = np.empty((len(pairs), self.trainable.spec.num_labels), dtype=np.float32)
        with torch.no_grad(), self.compute_loss_context_manager():
            lengths = [pair.length for pair in encoded]
            for rows in plan(lengths, budget=self.args.mini_batch_tokens or 0):
                scores = scorer([encoded[row] for row in rows])
                logits[rows] = scores.float().cpu().numpy()
        module.train(was_training)
        return logits

    def create_optimizer(self, model: nn.Module | None = None) -> torch.optim.Optimizer:
        """Make the optimizer, with layer-wise learning rates where they are asked for."""
        if self.optimizer is None and self.args.layer_decay < 1:
            module = self.trainable.module
            groups = parameter_groups(
                module,
                learning_rate=self.args.learning_rate,
                weight_decay=self.args.weight_decay,
                layer_decay=self.args.layer_decay,
                decayed=self.get_decay_parameter_names(module),
            )
            kind, options = self.get_optimizer_cls_and_kwargs(self.args)
            self.optimizer = kind(groups, **options)
            return self.optimizer
        made: torch.optim.Optimizer = super().create_optimizer(model)
        return made

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        """Write the model to a folder; ``output_dir`` of the arguments by default."""
        if not self.args.should_save:
            return
        save = self.trainable.save_checkpoint if _internal_call else self.trainable.save
        save(output_dir or self.folder, self.activation)

    def _save_checkpoint(self, model: nn.Module, trial: Any) -> None:
        try:
            super()._save_checkpoint(model, trial)
        except (
            OSError,
            RuntimeError,
            SafetensorError,
        ) as error:  # torch and safetensors have theirs
            remove_partial(self.folder)
            raise TrainingError(
                f"The checkpoint of step {self.state.global_step} could not be written: {error}. "
                f"Earlier checkpoints in {self.folder} are whole: make room and resume."
            ) from error

    def _init_training_state(
        self,
        max_steps: int,
        num_update_steps_per_epoch: int,
        num_train_epochs: int,
        resume_from_checkpoint: str | None,
        trial: Any,
    ) -> tuple[int, int]:
        """Say in which epoch to begin, and after which batch of it.

        ``Trainer`` asks whether training is over only after each step, so that a run that had come
        to its end within an epoch, or early, would be given one step too many when it is resumed.
        """
        begin: tuple[int, int] = super()._init_training_state(
            max_steps, num_update_steps_per_epoch, num_train_epochs, resume_from_checkpoint, trial
        )
        # Patience that ran out in an earlier run of the same trainer does not end a new one.
        over = resume_from_checkpoint is not None and self._is_over()
        return (num_train_epochs, 0) if over else begin  # no epoch is left

    def _is_over(self) -> bool:
        """Look whether all steps are trained, or patience has run out.

        That a checkpoint was told to stop says nothing: so is one whose machine is taken away.
        """
        return self.state.global_step >= self.state.max_steps or any(
            callback.early_stopping_patience_counter >= callback.early_stopping_patience
            for callback in self.callback_handler.callbacks
            if isinstance(callback, EarlyStoppingCallback)
        )

    def _load_from_checkpoint(
        self, resume_from_checkpoint: str, model: nn.Module | None = None
    ) -> None:
        self.trainable.load_checkpoint(resume_from_checkpoint)

    def _load_best_model(self) -> None:
        best = self.state.best_model_checkpoint
        if best is not None:
            self.trainable.load_checkpoint(best)

    def _get_num_items_in_batch(self, batch_samples: list[Any], device: torch.device) -> int:
        """Losses are means over queries: it is these that are counted, not tokens."""
        rows = sum(len(batch) for _, batch in batch_samples)
        if self.args.world_size == 1:
            return rows  # nothing to wait for
        return int(self.accelerator.reduce(torch.tensor(rows, device=device), "sum"))

    def _clip_grad_norm(self, model: nn.Module) -> Any:
        norm = super()._clip_grad_norm(model)  # type: ignore[no-untyped-call]
        if not self.args.fp16:  # there the scaler meets infinities on its way and skips the step
            self.guard.check_gradient(float(norm), self.state.global_step)
        return norm


def _evaluators(evaluator: Any) -> dict[str, Evaluator]:
    if evaluator is None:
        return {}
    return dict(evaluator) if isinstance(evaluator, Mapping) else {"": evaluator}


def _check_evaluation(
    args: CrossEncoderTrainingArguments, evaluators: Mapping[str, Evaluator]
) -> None:
    """See that what depends on evaluation has one, and name the measure that decides."""
    strategy = IntervalStrategy(args.eval_strategy)
    evaluates = strategy != IntervalStrategy.NO
    if evaluates and not evaluators:
        raise InputError(f"eval_strategy={strategy.value!r} needs an evaluator.")
    if args.early_stopping_patience is not None and not evaluates:
        raise InputError("early_stopping_patience needs an eval_strategy, 'steps' or 'epoch'.")
    if args.load_best_model_at_end and args.metric_for_best_model in (None, "loss"):
        name, first = next(iter(evaluators.items()))
        args.metric_for_best_model = "_".join(filter(None, (name, first.primary)))
        args.greater_is_better = True


def _let_checkpoint_gradients(module: nn.Module) -> None:
    """``Trainer`` calls this on the module it is given; the network inside can do it."""
    network = pretrained(module)
    for name in ("gradient_checkpointing_enable", "activation_checkpointing_enable"):
        if hasattr(network, name):  # the second since transformers 5.20 or so
            setattr(module, name, getattr(network, name))
