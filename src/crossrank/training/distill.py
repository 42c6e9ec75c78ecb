"""Distillation: a small, fast model learns the scores of a larger one, or its token states."""

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from hashlib import blake2b, file_digest
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from datasets import Dataset
from transformers import PrinterCallback

from crossrank.cache import ScoreCache
from crossrank.cross_encoder import CrossEncoder
from crossrank.errors import InputError
from crossrank.evaluation.evaluation_set import EvaluationSet
from crossrank.losses import Loss, make_loss
from crossrank.losses.pointwise import PointwiseLoss
from crossrank.models import digest
from crossrank.models.folders import check_target, placed, refuse_loss
from crossrank.models.locks import alone, open_alone_inside
from crossrank.models.storage import make_once
from crossrank.retrieval.dense import BiEncoder
from crossrank.training.arguments import CrossEncoderTrainingArguments
from crossrank.training.columns import Examples, recognise
from crossrank.training.distillation_report import DistillationReport, make_report
from crossrank.training.model import TrainableModel
from crossrank.training.objective import AnyLoss
from crossrank.training.progress import TrainingProgress
from crossrank.training.soft_labels import (
    BiEncoderTeacher,
    CrossEncoderTeacher,
    Scale,
    Teacher,
    given_scores,
    join_pairs,
    lists_alone,
    soft_labels,
)
from crossrank.training.states import STATES, MeanError, learn_states
from crossrank.training.student import keep_layers
from crossrank.training.trainer import CrossEncoderTrainer
from crossrank.types import Pair

Kind = Literal["cross-encoder", "bi-encoder"]

REPORT = "distillation-report.json"
TIMED_PAIRS = 1000
"""Pairs of the dataset that speed is measured on, where there is no evaluation set."""


def distill(
    teacher: str | Path | None,
    out: str | Path,
    dataset: Dataset | Callable[[Path], Dataset],
    *,
    kind: Kind = "cross-encoder",
    student: str | Path | None = None,
    layers: int | Sequence[int] | None = None,
    loss: str = "margin_mse",
    scale: Scale = "logits",
    arguments: Mapping[str, Any] | None = None,
    evaluation: EvaluationSet | None = None,
    work: str | Path | None = None,
    overwrite: bool = False,
    progress: Callable[[str], object] = lambda step: None,
) -> DistillationReport:
    """Train a student on the scores of a teacher, and compare the two.

    After an interruption the same call goes on: what the teacher has scored is remembered, and
    training continues from its last checkpoint.

    Args:
        teacher: A folder or hub id; ``None`` where the dataset has a teacher's scores already, as
            ``teacher_scores`` or as labels.
        out: The folder to write.
        dataset: Queries and documents, in one of the column conventions of
            ``crossrank.training.columns``. Labels are not looked at where there is a teacher. Or
            what reads them, given an Arrow file to write.
        kind: What the teacher is.
        student: The folder or hub id that the student begins as; by default the teacher.
        layers: Which layers of it are kept, or how many; all by default.
        loss: Name of what is minimised: ``"margin_mse"``, ``"kl_divergence"``, ``"mse"``, or any
            other loss that can read the teacher's scores as labels; or ``"states"``, see
            ``crossrank.training.states``, which needs the teacher's weights in safetensors.
        scale: Of scores in the dataset: ``"logits"`` or ``"probabilities"``.
        arguments: Of ``CrossEncoderTrainingArguments``, e.g. ``{"learning_rate": 1e-4}``.
        evaluation: What both are judged on.
        work: Where scores and checkpoints are kept; beside ``out``, and removed at the end, by
            default.
        overwrite: Replace the model that ``out`` holds.
        progress: Called with a line about each step.

    Returns:
        The report, which is also written to the folder.

    Raises:
        InputError: An argument cannot be used, or the dataset is broken.
        TrainingError: Training had to stop.

    Example:
        >>> report = distill("my-model", "my-small-model", dataset, layers=3)  # doctest: +SKIP
        >>> report.ndcg_kept, report.speedup                                   # doctest: +SKIP
        (0.989, 1.9)
    """
    begin = _check(teacher, kind, student, loss)
    target = check_target(Path(out), overwrite=overwrite)
    for name, needed in (("the teacher", teacher), ("the student's beginning", student)):
        if needed is not None and Path(needed).exists():
            refuse_loss(target, Path(needed), name)
    home = Path(work).resolve() if work else target.with_name(f"{target.name}.work")
    options = dict(arguments or {})
    _training_arguments(options, home)  # what is wrong is refused now rather than later
    with alone(home) if work is None else open_alone_inside(home):
        home.mkdir(exist_ok=True)
        rows = dataset(home / "data.arrow") if callable(dataset) else dataset
        examples = Examples(rows, "dataset")
        beginning = TrainableModel.load(begin, num_labels=1)
        kept = None if layers is None else keep_layers(beginning, layers)
        with _opened(teacher, kind, home / "scores.sqlite") as model, placed(target) as made:
            taught = _taught(examples, model, loss, scale, home, progress)
            run = home / _key(beginning, kept, loss, options, home / "taught.arrow", model)
            activation = beginning.spec.activation
            start = make_once(run / "start", lambda empty: beginning.save(empty, activation))
            queries = _queries(taught)
            progress(f"training on {queries} queries")
            train_student(start, taught, loss, run / "checkpoints", made, options, teacher=teacher)
            progress("measuring")
            report = make_report(
                made,
                model,
                layers=kept,
                loss=loss,
                queries=queries,
                pairs=_first_pairs(examples),
                evaluation=evaluation,
            )
            report.write(made / REPORT)
        if work is None:
            shutil.rmtree(home)
    return report


def open_teacher(name: str | Path, kind: Kind, cache: Path) -> Teacher:
    """Load a teacher that remembers what it has scored.

    Args:
        name: A folder or hub id.
        kind: What it is.
        cache: A file.

    Raises:
        InputError: It has several labels.
        CrossRankError: It cannot be loaded.
    """
    if kind == "bi-encoder":
        return BiEncoderTeacher(BiEncoder.load(name), ScoreCache(cache))
    return CrossEncoderTeacher(CrossEncoder(name, cache=cache))


def train_student(
    start: Path,
    taught: Dataset,
    loss: str,
    checkpoints: Path,
    out: Path,
    arguments: Mapping[str, Any],
    *,
    teacher: str | Path | None = None,
) -> None:
    """Train, from the last checkpoint where there is one, and write the model.

    Scores are read through the same activation as before.

    Args:
        start: What it begins as.
        taught: Rows with ``teacher_scores``, which are not read where states are learned.
        loss: What is minimised.
        checkpoints: Folder of the checkpoints.
        out: Folder of the model.
        arguments: Options of the run.
        teacher: Whose states are learned, where they are.

    Raises:
        InputError: An option is unknown or cannot be used.
        TrainingError: Training had to stop.
    """
    options = _training_arguments(arguments, checkpoints)
    show = TrainingProgress("", lambda _: None)
    trainer = CrossEncoderTrainer(start, options, taught, _objective(loss), callbacks=[show])
    if loss == STATES:
        assert teacher is not None
        learn_states(trainer, TrainableModel.load(teacher))
    trainer.remove_callback(PrinterCallback)
    trainer.train(resume_from_checkpoint=True)
    trainer.trainable.save(out, trainer.trainable.spec.activation)


def _check(
    teacher: str | Path | None, kind: str, student: str | Path | None, loss: str
) -> str | Path:
    """Say what the student begins as."""
    if kind not in ("cross-encoder", "bi-encoder"):
        raise InputError(f"kind must be 'cross-encoder' or 'bi-encoder', received {kind!r}.")
    _objective(loss)
    if loss == STATES and (teacher is None or kind == "bi-encoder"):
        raise InputError(
            "Only a cross-encoder's states are learned; for a bi-encoder or a file with scores "
            "choose another loss, e.g. 'margin_mse'."
        )
    begin = teacher if student is None and kind == "cross-encoder" else student
    if begin is None:
        raise InputError(
            "A student is required: layers are taken of the teacher only where that is a "
            "cross-encoder. Name a small encoder."
        )
    return begin


def _objective(loss: str) -> AnyLoss:
    return MeanError() if loss == STATES else make_loss(loss)


def _training_arguments(
    arguments: Mapping[str, Any], checkpoints: Path
) -> CrossEncoderTrainingArguments:
    try:
        fixed = {"output_dir": str(checkpoints), "disable_tqdm": True}  # we have a bar of our own
        return CrossEncoderTrainingArguments(**{**arguments, **fixed})
    except (TypeError, ValueError) as error:
        raise InputError(f"An argument of training cannot be used: {error}.") from error


@contextmanager
def _opened(name: str | Path | None, kind: Kind, cache: Path) -> Iterator[Teacher | None]:
    """Have a teacher open, where there is one."""
    if name is None:
        yield None
        return
    with closing(open_teacher(name, kind, cache)) as teacher:
        yield teacher


def _taught(
    examples: Examples,
    teacher: Teacher | None,
    loss: str,
    scale: Scale,
    home: Path,
    progress: Callable[[str], object],
) -> Dataset:
    """Lay out what the student learns from."""
    store = home / "taught.arrow"
    if loss == STATES:
        return lists_alone(examples, store)
    objective = _objective(loss)
    compares = isinstance(objective, Loss) and not isinstance(objective, PointwiseLoss)
    if teacher is None:
        taught = given_scores(examples, store, scale)
        if compares:
            _check_lists(Examples(taught, examples.columns.source), loss)
        return taught
    if compares:
        examples = join_pairs(examples, home / "joined.arrow")
        _check_lists(examples, loss)
    progress(f"scoring the documents of {_queries(examples.dataset)} queries")
    return soft_labels(examples, teacher, store)


def _check_lists(examples: Examples, loss: str) -> None:
    if not any(len(example.documents) > 1 for example in examples):
        raise InputError(
            f"{examples.columns.source}: the loss {loss!r} compares the documents of a query, and "
            "no query has two. Add documents, e.g. with crossrank mine, or choose the loss 'mse', "
            "which takes each by itself."
        )


def _key(
    beginning: TrainableModel,
    kept: tuple[int, ...] | None,
    loss: str,
    arguments: Mapping[str, Any],
    taught: Path,
    teacher: Teacher | None,
) -> str:
    """Name a run by all that decides its weights, so that no other one is continued."""
    weights = sorted(beginning.spec.folder.rglob("*.safetensors"))
    with taught.open("rb") as file:
        data = file_digest(file, "sha256").hexdigest()
    parts = [digest(beginning.spec, weights), kept, loss, sorted(arguments.items()), data]
    if loss == STATES and isinstance(teacher, CrossEncoderTeacher):  # scores are in the data
        parts.append(digest(teacher.model.spec, teacher.model.runtime.files))
    return blake2b(repr(parts).encode(), digest_size=8).hexdigest()


def _queries(rows: Dataset) -> int:
    return len(rows.unique(recognise(rows.features).query))


def _first_pairs(examples: Examples) -> list[Pair]:
    pairs = ((example.query, text) for example in examples for text in example.documents)
    return list(islice(pairs, TIMED_PAIRS))
