"""Exporting a model in another precision, judged before it is written."""

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from crossrank.errors import ExportError, InputError, QualityLimitError
from crossrank.evaluation.evaluation_set import EvaluationSet
from crossrank.models import ModelSpec, locate, read_spec
from crossrank.models.files import list_names, weight_files
from crossrank.models.folders import check_target, placed, refuse_loss
from crossrank.models.graphs import Graph, find_graph
from crossrank.models.saving import save_model
from crossrank.quantization.calibrate import calibration_feeds
from crossrank.quantization.measure import measure
from crossrank.quantization.report import ExportReport, make_report
from crossrank.quantization.weights import reduce
from crossrank.types import Pair, Precision

REPORT = "export-report.json"
FILES: dict[Precision, str] = {
    "fp32": "onnx/model.onnx",
    "fp16": "onnx/model_fp16.onnx",
    "bf16": "onnx/model_bf16.onnx",
    "int8": "onnx/model_int8.onnx",
    "int4": "onnx/model_int4.onnx",
}


def export(
    model: str | Path,
    output: str | Path,
    precision: Precision = "int8",
    *,
    pairs: Sequence[Pair],
    evaluation: EvaluationSet | None = None,
    max_ndcg_loss: float | None = None,
    overwrite: bool = False,
    rounds: int = 3,
    progress: Callable[[str], object] = lambda _: None,
) -> ExportReport:
    """Write a model as an ONNX file of the given precision, in a folder that any tool can load.

    Both models are run on the same pairs, in turn, each in a process of its own.

    Args:
        model: A folder or hub id with safetensors or an fp32 graph.
        output: The folder to write.
        precision: ``"fp32"``, ``"fp16"``, ``"bf16"``, ``"int8"`` or ``"int4"``.
        pairs: Real pairs: int8 is calibrated on them, and where there is no evaluation set the
            report is made with them.
        evaluation: A reranking task to judge the export on.
        max_ndcg_loss: The largest share of fp32's nDCG@10 that may be lost, e.g. ``0.005``.
        overwrite: Replace the model that the folder holds.
        rounds: How often speed is measured.
        progress: Called with a line about each step.

    Returns:
        The report, which is also written to the folder.

    Raises:
        QualityLimitError: More was lost than allowed; nothing was written.
        ExportError: The model cannot be written so; nothing was written.
        InputError: An argument cannot be used.
        MissingDependencyError: The extra ``export`` is not installed.
    """
    _check(precision, pairs, evaluation, max_ndcg_loss, rounds)
    target = check_target(Path(output), overwrite=overwrite)
    source = _read(model)
    refuse_loss(target, source.folder, "the model")
    with placed(target) as reduced:
        whole = reduced.with_name("fp32")
        progress("writing fp32")
        graph = find_graph(source, "onnx", "fp32")
        _lay_out(source, whole, "fp32")
        exact = _copy(graph, whole)
        progress(f"writing {precision}")
        _lay_out(source, reduced, precision)
        calibrating = precision == "int8"
        feeds = calibration_feeds(source, graph.path, pairs) if calibrating else []
        reduce(exact, reduced / FILES[precision], precision, feeds)
        report = _judge(whole, reduced, precision, pairs, evaluation, rounds, progress)
        _enforce(report, max_ndcg_loss)
        report.write(reduced / REPORT)
    return report


def _check(
    precision: str,
    pairs: Sequence[Pair],
    evaluation: EvaluationSet | None,
    max_ndcg_loss: float | None,
    rounds: int,
) -> None:
    if precision not in FILES:
        known = ", ".join(map(repr, FILES))
        raise InputError(f"precision must be one of {known}, received {precision!r}.")
    if rounds < 1:
        raise InputError(f"rounds must be at least 1, received {rounds}.")
    if not pairs:
        raise InputError("export needs pairs to measure with; received none.")
    if max_ndcg_loss is not None and evaluation is None:
        raise InputError("max_ndcg_loss needs an evaluation set to judge the export on.")


def _read(model: str | Path) -> ModelSpec:
    spec = read_spec(locate(model, backend="openvino", precision="fp32"), str(model))
    if spec.kind in ("causal-lm", "seq2seq", "vision-language"):
        raise ExportError(
            f"{spec.name} is a language model ({spec.kind}), which crossrank runs on torch only; "
            "classifiers can be exported."
        )
    if spec.modalities != ("text",):
        raise ExportError(
            f"{spec.name} reads {spec.modalities[0]} documents: export judges models on texts. "
            "backend='onnx' and backend='openvino' run it in fp32 without an export."
        )
    if not any(file.precision == "fp32" for file in weight_files(list_names(spec.folder))):
        raise ExportError(
            f"Export begins with weights in fp32, and {spec.name} has none: start from the model "
            "that it was made of."
        )
    return spec


def _lay_out(spec: ModelSpec, folder: Path, precision: Precision) -> None:
    save_model(spec, folder, activation=None, weights=False)
    (folder / FILES[precision]).parent.mkdir(parents=True, exist_ok=True)


def _copy(graph: Graph, folder: Path) -> Path:
    """Copy a graph's files, also where they are links, as onnx follows none to external data."""
    copy = folder / FILES["fp32"]
    shutil.copyfile(graph.path, copy)
    for beside in graph.files[1:]:
        shutil.copyfile(beside, copy.with_name(beside.name))
    return copy


def _judge(
    whole: Path,
    reduced: Path,
    precision: Precision,
    pairs: Sequence[Pair],
    evaluation: EvaluationSet | None,
    rounds: int,
    progress: Callable[[str], object],
) -> ExportReport:
    scored = evaluation.pairs() if evaluation else list(pairs)
    measured = []
    for number in range(1, rounds + 1):
        progress(f"measuring, round {number} of {rounds}")
        before, exact = measure(whole, "fp32", scored)
        after, changed = measure(reduced, precision, scored)
        measured.append((before, after))
    sizes = tuple(
        sum(file.stat().st_size for file in (folder / "onnx").iterdir())
        for folder in (whole, reduced)
    )
    return make_report(precision, (sizes[0], sizes[1]), measured, (exact, changed), evaluation)


def _enforce(report: ExportReport, limit: float | None) -> None:
    loss = report.ndcg_loss
    if limit is not None and loss is not None and loss > limit:
        raise QualityLimitError(
            f"{report.precision} loses {loss:.2%} of nDCG@10 ({report.fp32.ndcg:.4f} to "
            f"{report.exported.ndcg:.4f}), and at most {limit:.2%} is allowed. Nothing was "
            "written. Calibrate on pairs closer to your data, or choose a higher precision."
        )
