"""The graph file that an engine which reads ONNX or OpenVINO files is to load."""

from dataclasses import dataclass
from pathlib import Path

from crossrank.models.convert import can_convert, converted
from crossrank.models.files import choose, companions, list_names
from crossrank.models.integrity import check_file
from crossrank.models.spec import ModelSpec
from crossrank.types import Precision


@dataclass(frozen=True)
class Graph:
    """A graph that is ready to be loaded.

    Attributes:
        path: The ``.onnx`` or ``.xml`` file.
        files: All files of weights that belong to it.
        precision: What to compute in.
        reason: Why this file, in one sentence.
    """

    path: Path
    files: tuple[Path, ...]
    precision: Precision
    reason: str


def find_graph(
    spec: ModelSpec,
    backend: str,
    precision: Precision | None = None,
    file_name: str | None = None,
) -> Graph:
    """Choose a model's graph file; make it from safetensors where the model ships none.

    Args:
        spec: The model.
        backend: ``"openvino"`` or ``"onnx"``.
        precision: ``None`` is fp32, unless the model ships reduced only.
        file_name: A file the caller names.

    Raises:
        ModelFileError: There is no file that may be loaded, or it is damaged.
        InputError: There is none of this name or precision.
        MissingDependencyError: A graph must be made first, which needs torch.
    """
    names = list_names(spec.folder)
    choice = choose(
        names,
        backend,
        precision,
        file_name=file_name,
        can_convert=can_convert(),
        where=spec.name,
    )
    path, reason = spec.folder / choice.file.name, choice.reason
    check_file(path)
    if choice.file.format == "safetensors":
        path, reason = converted(spec), f"{reason}, converted once to ONNX"
    beside = companions(path.name, list_names(path.parent))
    files = (path, *(path.parent / name for name in beside))
    return Graph(path, files, choice.precision, reason)
