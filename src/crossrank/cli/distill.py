"""``crossrank distill``: a small, fast model that learns the scores of a larger one."""

import math
from pathlib import Path
from typing import Annotated, Literal

import typer

from crossrank.cli import options
from crossrank.cli.reporting import as_table, say

KindChoice = Literal["cross-encoder", "bi-encoder"]
ScaleChoice = Literal["logits", "probabilities"]
LossChoice = Literal["margin_mse", "kl_divergence", "mse", "states"]


def _above_0(value: float) -> float:
    if not 0 < value < math.inf:
        raise typer.BadParameter(f"A number above 0 is required, received {value:g}.")
    return value


def distill(
    teacher: Annotated[
        str,
        typer.Argument(
            metavar="TEACHER", help="A folder or hub id; or a file with a teacher's scores."
        ),
    ],
    out: Annotated[
        Path, typer.Argument(metavar="OUT", help="The folder to write.", file_okay=False)
    ],
    *,
    data: Annotated[
        Path | None,
        typer.Option(
            help="Queries and documents: .jsonl, .csv, .tsv, .parquet, or a folder.",
            show_default="TEACHER, if that is a file",
            exists=True,
        ),
    ] = None,
    column: Annotated[
        list[str] | None,
        typer.Option(help="A column to take, e.g. query=question. By default all.", metavar="A=B"),
    ] = None,
    kind: Annotated[KindChoice, typer.Option(help="What the teacher is.")] = "cross-encoder",
    student: Annotated[
        str | None,
        typer.Option(
            help="What the student begins as: a folder or hub id.",
            show_default="the teacher",
            metavar="NAME",
        ),
    ] = None,
    layers: Annotated[
        str | None,
        typer.Option(
            help="How many of its layers are kept, e.g. 3; or which, e.g. 0,2,5.",
            show_default="all",
        ),
    ] = None,
    loss: Annotated[LossChoice, typer.Option(help="What is minimised.")] = "margin_mse",
    scale: Annotated[ScaleChoice, typer.Option(help="Of the scores in a file.")] = "logits",
    epochs: Annotated[
        float, typer.Option(help="How often the data is gone through.", callback=_above_0)
    ] = 1.0,
    max_steps: Annotated[
        int | None, typer.Option(min=1, help="Steps, instead of epochs.", show_default="epochs")
    ] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Queries a step.")] = 16,
    learning_rate: Annotated[
        float, typer.Option(help="Highest learning rate.", callback=_above_0)
    ] = 1e-4,
    seed: Annotated[int, typer.Option(min=0, help="Of the order of the data.")] = 42,
    evaluation: Annotated[
        Path | None,
        typer.Option(
            help="Folder to judge nDCG@10 on: queries.jsonl, corpus.jsonl, qrels.txt, run.txt.",
            exists=True,
            file_okay=False,
        ),
    ] = None,
    work: Annotated[
        Path | None,
        typer.Option(
            help="Folder for scores and checkpoints.",
            show_default="OUT.work, removed at the end",
            file_okay=False,
        ),
    ] = None,
    overwrite: options.Overwrite = False,
) -> None:
    """Train a small model on the scores of a larger one, and compare them.

    The student may begin as some of the teacher's layers. With --loss states it
    learns what the teacher makes of each token instead: the better way to begin
    for a student that has lost layers, if there are many texts. What the
    teacher has scored is kept on disk, and checkpoints too: after Ctrl-C or a
    crash the same command continues. OUT is a model folder with
    distillation-report.json.

    \b
    Examples:
      crossrank distill ./large ./small --data pairs.jsonl --layers 3
      crossrank distill all-MiniLM-L6-v2 ./small --kind bi-encoder \\
        --student ./tiny --data pairs.jsonl --evaluation judged
      crossrank distill scores.jsonl ./small --student ./tiny --scale probabilities
    """
    from_file = Path(teacher).is_file()
    if from_file == (data is not None):
        raise typer.BadParameter(
            "Give the scores as TEACHER, without --data."
            if from_file
            else "--data is required: what the teacher is to score."
        )
    columns, kept = _columns(column or []), _layers(layers)
    from crossrank.optional import require

    for package in ("torch", "datasets", "accelerate"):
        require(package, extra="train")
    from crossrank.evaluation.evaluation_set import EvaluationSet
    from crossrank.models.folders import refuse_loss
    from crossrank.training.data_files import load_data
    from crossrank.training.distill import distill as train

    refuse_loss(out, data or Path(teacher), "the data")
    if evaluation:
        refuse_loss(out, evaluation, "the evaluation set")
    report = train(
        None if from_file else teacher,
        out,
        lambda store: load_data(data or teacher, store=store, columns=columns or None),
        kind=kind,
        student=student,
        layers=kept,
        loss=loss,
        scale=scale,
        arguments={
            "num_train_epochs": epochs,
            "max_steps": max_steps or -1,
            "per_device_train_batch_size": batch_size,
            "learning_rate": learning_rate,
            "seed": seed,
        },
        evaluation=EvaluationSet.read(evaluation) if evaluation else None,
        work=work,
        overwrite=overwrite,
        progress=lambda step: say(f"{step} ..."),
    )
    typer.echo(as_table(("", "teacher", "student", ""), report.rows()), nl=False)
    say(f"Written to {out}.")


def _columns(pairs: list[str]) -> dict[str, str]:
    """Read ``OURS=THEIRS``."""
    for pair in pairs:
        if not all(pair.partition("=")):
            raise typer.BadParameter(f"--column must be like query=question, received {pair!r}.")
    return {ours: theirs for ours, _, theirs in (pair.partition("=") for pair in pairs)}


def _layers(text: str | None) -> int | tuple[int, ...] | None:
    """Read a number of layers, or their numbers."""
    if text is None:
        return None
    try:
        numbers = [int(part) for part in text.split(",")]
    except ValueError as error:
        raise typer.BadParameter(
            f"--layers must be like 3, or like 0,2,5; received {text!r}."
        ) from error
    return numbers[0] if len(numbers) == 1 else tuple(numbers)
