"""Token states as soft labels: every token of a student is to mean what it means to its teacher.

A score is one number a pair; the final states are some hundred numbers a token (Jiao et al., 2020,
TinyBERT, arXiv:1909.10351). A student that has lost layers learns far more from them, and needs no
negatives: any text is worth learning from.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from crossrank.errors import InputError
from crossrank.models.torch_modules.saving import pretrained
from crossrank.tokenization import Encoded
from crossrank.training.collation import TrainingBatch
from crossrank.training.mini_batches import Scorer
from crossrank.training.model import TrainableModel
from crossrank.training.objective import Objective
from crossrank.training.parameters import layer_list
from crossrank.training.trainer import CrossEncoderTrainer

STATES = "states"
"""What this is called where losses are named."""


class StateErrors(Scorer):
    """Computes how far a student's states are from its teacher's, in the place of logits.

    The error of a token is the squared distance of the two states by the squared length of the
    teacher's, that of a pair the mean over its tokens.

    Args:
        student: Runs the student.
        teacher: Runs the teacher.
    """

    def __init__(self, student: Scorer, teacher: Scorer) -> None:
        super().__init__(student.model, student.spec, student.device)
        self._teacher = teacher
        self._reached, self._aims = LastStates(student.model), LastStates(teacher.model)

    def __call__(self, encoded: Sequence[Encoded]) -> Tensor:
        """Compute errors ``[pairs, 1]``, fp32."""
        if self.model.training:
            self.model.eval()  # no dropout: what the teacher says is without noise, too
        batch = self.collate(encoded)
        with torch.no_grad():
            self._teacher.forward(batch)
        self.forward(batch)
        reached, aims = self._reached.take(), self._aims.take()
        errors = (reached - aims).square().sum(dim=-1) / aims.square().sum(dim=-1)
        mask = torch.from_numpy(batch.attention_mask).to(self.device)
        return (errors * mask).sum(dim=1, keepdim=True) / mask.sum(dim=1, keepdim=True)


class LastStates:
    """Keeps what the last layer of a model computes.

    Args:
        model: Whatever it computes in the end.
    """

    def __init__(self, model: nn.Module) -> None:
        layers = model.get_submodule(layer_list(model))
        assert isinstance(layers, nn.ModuleList)
        layers[-1].register_forward_hook(self._keep)
        self._states: Tensor | None = None

    def take(self) -> Tensor:
        """Give the states of the last call, fp32 ``[pairs, length, size]``, and let go of them."""
        assert self._states is not None
        states, self._states = self._states.float(), None
        return states

    def _keep(self, layer: nn.Module, inputs: object, output: Tensor | tuple[Tensor, ...]) -> None:
        self._states = output if isinstance(output, Tensor) else output[0]


@dataclass(frozen=True)
class MeanError(Objective):
    """The mean of the errors of pairs over the documents of a query, and over queries."""

    loss: None = None

    @property
    def separable(self) -> bool:
        """Whether it is a mean over queries."""
        return True

    def __call__(self, logits: Tensor, batch: TrainingBatch) -> Tensor:
        """Compute the mean of ``[pairs, 1]``, a scalar."""
        cells = (batch.rows, batch.columns)
        errors = logits.new_zeros(batch.mask.shape).index_put(cells, logits[:, 0])
        return (errors.sum(dim=1) / batch.mask.sum(dim=1)).mean()


def learn_states(trainer: CrossEncoderTrainer, teacher: TrainableModel) -> None:
    """Let a trainer teach states instead of scores.

    Args:
        trainer: Made with ``MeanError()`` as its loss.
        teacher: Reads the same tokens as the student, and has states of the same size.

    Raises:
        InputError: It does not.
    """
    student = trainer.trainable
    for name, of in (("tokenizer", _vocabulary), ("size of states", _size)):
        if of(student) != of(teacher):
            raise InputError(
                f"To learn states, a student needs the same {name} as its teacher, and those of "
                f"{student.spec.name} and {teacher.spec.name} differ. Begin with some of the "
                "teacher's layers, or learn its scores."
            )
    module = teacher.module.to(trainer.args.device).eval()
    trainer.scorer = StateErrors(trainer.scorer, Scorer(module, teacher.spec, trainer.args.device))


def _vocabulary(model: TrainableModel) -> str:
    return model.tokenizer.tokenizer.to_str()


def _size(model: TrainableModel) -> int:
    size: int = pretrained(model.module).config.hidden_size
    return size
