"""Which weight files a model has, and which one to load on this machine.

The names are those that optimum, sentence-transformers, transformers.js and OpenVINO give:
``onnx/model.onnx``, ``onnx/model_qint8_avx512_vnni.onnx``, ``openvino/openvino_model.xml``,
``model.safetensors`` and so on.
"""

import platform
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Literal

from crossrank.errors import InputError, ModelFileError
from crossrank.types import Precision

Format = Literal["onnx", "openvino", "safetensors"]

READABLE: dict[str, tuple[Format, ...]] = {
    "openvino": ("openvino", "onnx", "safetensors"),
    "onnx": ("onnx", "safetensors"),
    "torch": ("safetensors",),
}
"""The formats each backend reads, best first; safetensors are converted for all but torch."""

COMPUTED: dict[str, tuple[Precision, ...]] = {
    "openvino": ("fp16", "bf16"),
    "torch": ("fp16", "bf16"),
}
"""Precisions that a backend computes in whatever the file holds."""

_PRECISIONS: tuple[tuple[str, Precision], ...] = (
    (r"q4f16|q4|u?int4|bnb4", "int4"),
    (r"q?u?int8|quint8|quantized|q8", "int8"),
    (r"bf16|bfloat16", "bf16"),
    (r"fp16|float16|o4", "fp16"),
    (r"o[123]|fp32|optimized|quantization", "fp32"),
)
_TUNED = (("avx512_vnni", "avx512_vnni"), ("avx512", "avx512"), ("avx2", "avx2"))
_REFUSED = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".h5", ".msgpack")
_FALLBACK: tuple[Precision, ...] = ("fp16", "int8", "bf16", "int4")


@dataclass(frozen=True)
class WeightFile:
    """One file of weights.

    Attributes:
        name: Path below the model's folder, with ``/``.
        format: How it is read.
        precision: What the weights are stored in.
        tuned_for: The processors it was made for: ``"gpu"``, ``"avx2"``, ``"avx512"``,
            ``"avx512_vnni"``, ``"arm64"``; ``None`` for all.
    """

    name: str
    format: Format
    precision: Precision
    tuned_for: str | None = None


@dataclass(frozen=True)
class Choice:
    """The file to load.

    Attributes:
        file: The file.
        precision: What to compute in.
        reason: One sentence for ``crossrank info``.
    """

    file: WeightFile
    precision: Precision
    reason: str


def list_names(folder: Path) -> list[str]:
    """List the files of a model's folder, as paths below it with ``/``."""
    return sorted(
        path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()
    )


def weight_files(names: Iterable[str]) -> list[WeightFile]:
    """Find the weight files among a repository's file names.

    Example:
        >>> for file in weight_files(["onnx/model_qint8_avx512_vnni.onnx", "model.safetensors"]):
        ...     print(file.format, file.precision, file.tuned_for)
        onnx int8 avx512_vnni
        safetensors fp32 None
    """
    return [file for file in map(_parse, names) if file is not None]


def _parse(name: str) -> WeightFile | None:
    path = PurePosixPath(name)
    if re.fullmatch(r"(0_\w+/)?model\.safetensors(\.index\.json)?", name):
        return WeightFile(name, "safetensors", "fp32")
    kind: Format | None = {".onnx": "onnx", ".xml": "openvino"}.get(path.suffix)  # type: ignore[assignment]
    match = re.fullmatch(r"(?:openvino_)?model(?:_(.+))?", path.stem.lower())
    if kind is None or match is None or len(path.parts) > 2:
        return None
    suffix = match[1]
    if suffix is None:
        return WeightFile(name, kind, "fp32")
    tuned = next((value for mark, value in _TUNED if mark in suffix), None)
    if "arm64" in suffix:
        tuned = "arm64"
    if suffix == "o4":
        tuned = "gpu"
    words = re.sub(r"_?(avx512_vnni|avx512|avx2|arm64)", "", suffix)
    for pattern, precision in _PRECISIONS:
        if re.search(rf"(^|_)({pattern})($|_)", words):
            return WeightFile(name, kind, precision, tuned)
    return None


def companions(file: str, names: Iterable[str]) -> list[str]:
    """Name the files without which a weight file cannot be read: external data and shards.

    Example:
        >>> companions("openvino/model.xml", ["openvino/model.xml", "openvino/model.bin"])
        ['openvino/model.bin']
    """
    path = PurePosixPath(file)
    if path.suffix == ".xml":
        wanted = re.escape(str(path.with_suffix(".bin")))
    elif path.suffix == ".onnx":
        wanted = rf"{re.escape(file)}[._]data(_\d+)?"
    elif path.name == "model.safetensors.index.json":
        wanted = (
            rf"{re.escape(file.removesuffix('.safetensors.index.json'))}-\d+-of-\d+\.safetensors"
        )
    else:
        return []
    return [name for name in names if re.fullmatch(wanted, name)]


def choose(
    names: Sequence[str],
    backend: str,
    precision: Precision | None = None,
    *,
    file_name: str | None = None,
    can_convert: bool = True,
    where: str = "the model",
) -> Choice:
    """Choose the weight file to load.

    Args:
        names: The model's files, as paths below its folder.
        backend: ``"openvino"``, ``"onnx"`` or ``"torch"``.
        precision: ``None`` is fp32, unless the model ships reduced only: then the file that suits
            this machine best.
        file_name: A file the caller names, with or without its folder.
        can_convert: Whether safetensors can be turned into ONNX here, which needs torch.
        where: What to call the model in errors.

    Raises:
        ModelFileError: There is no file that may be loaded.
        InputError: There is none of this name or precision.
    """
    if backend not in READABLE:
        raise InputError(f"backend must be one of {', '.join(READABLE)}, received {backend!r}.")
    formats = READABLE[backend]
    if file_name is not None:
        return _named(names, file_name, precision, backend, where)
    readable = [file for file in weight_files(names) if file.format in formats]
    if not can_convert and any(file.format != "safetensors" for file in readable):
        readable = [file for file in readable if file.format != "safetensors"]
    if not readable:
        raise ModelFileError(_nothing(names, backend, where))
    if precision is None:
        return _automatic(readable, formats)
    exact = [file for file in readable if file.precision == precision]
    if exact:
        file = min(exact, key=lambda file: _rank(file, formats))
        return Choice(file, precision, f"{file.name}: {precision} was asked for")
    whole = [file for file in readable if file.precision == "fp32"]
    if precision in COMPUTED.get(backend, ()) and whole:
        file = min(whole, key=lambda file: _rank(file, formats))
        return Choice(file, precision, f"{file.name}: computed in {precision}, as was asked for")
    there = ", ".join(sorted({f"{file.precision} ({file.name})" for file in readable}))
    raise InputError(
        f"precision={precision!r} was asked for, and {where} has for backend {backend!r}: {there}. "
        f"Choose one of these{', or make the file with: crossrank export' if whole else ''}."
    )


def _automatic(readable: Sequence[WeightFile], formats: Sequence[Format]) -> Choice:
    """fp32 where there is, else what loses least among what suits this machine."""
    for precision in ("fp32", *_FALLBACK):
        found = [file for file in readable if file.precision == precision]
        found = [file for file in found if file.tuned_for != "gpu"] or found
        if not found:
            continue
        file = min(found, key=lambda file: _rank(file, formats))
        if precision == "fp32":
            return Choice(file, precision, f"{file.name}: fp32, the exact model")
        reason = f"{file.name}: the model ships no fp32 file"
        if len(found) > 1:
            reason += f", and of its {precision} files this one suits the processor best"
        return Choice(file, precision, reason)
    raise AssertionError("every weight file has a known precision")


def _named(
    names: Sequence[str],
    file_name: str,
    precision: Precision | None,
    backend: str,
    where: str,
) -> Choice:
    exact = [name for name in names if name == file_name]
    found = exact or [name for name in names if PurePosixPath(name).name == file_name]
    if not found:
        there = ", ".join(file.name for file in weight_files(names)) or "no weight files"
        raise InputError(f"file_name={file_name!r} is not in {where}, which has: {there}.")
    suffixes: dict[str, Format] = {
        ".onnx": "onnx",
        ".xml": "openvino",
        ".safetensors": "safetensors",
    }
    kind = suffixes.get(PurePosixPath(found[0]).suffix)
    if kind is None or kind not in READABLE[backend]:
        formats = ", ".join(READABLE[backend])
        raise InputError(f"file_name={file_name!r} must be a file of {formats}.")
    file = _parse(found[0]) or WeightFile(found[0], kind, precision or "fp32")
    computed = COMPUTED.get(backend, ()) if file.precision == "fp32" else ()
    if precision not in (None, file.precision, *computed):
        raise InputError(
            f"file_name={file_name!r} is a file in {file.precision}: leave precision={precision!r} "
            "out, or name another file."
        )
    return Choice(file, precision or file.precision, f"{file.name}: named by file_name")


def _rank(file: WeightFile, formats: Sequence[Format]) -> tuple[int, int, int, str]:
    """Sort key: best processor fit, best format, plainest name first."""
    order = _machine()
    fit = order.index(file.tuned_for) if file.tuned_for in order else len(order)
    return fit, formats.index(file.format), len(file.name), file.name


@cache
def _machine() -> tuple[str | None, ...]:
    """What files may be tuned for, best first; the rest run slowly or lose accuracy here."""
    if platform.machine().lower() in ("arm64", "aarch64"):
        return "arm64", None
    flags = processor_flags()
    if "avx512_vnni" in flags:
        return "avx512_vnni", "avx512", None, "avx2"
    if "avx_vnni" in flags:
        return None, "avx2"
    if "avx512f" in flags:
        return "avx512", None, "avx2"
    return "avx2", None


@cache
def processor_flags() -> frozenset[str]:
    """Read the instruction sets of this processor; empty where the system does not tell."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return frozenset()
    match = re.search(r"^flags\s*:\s*(.*)$", text, re.MULTILINE)
    return frozenset(match[1].split()) if match else frozenset()


def _nothing(names: Sequence[str], backend: str, where: str) -> str:
    """Say why there is no file to load."""
    there = ", ".join(file.name for file in weight_files(names))
    if there:
        return (
            f"The {backend} backend reads {', '.join(READABLE[backend])}, and {where} has only "
            f"{there}. Choose another backend, or backend='auto'."
        )
    pickles = [name for name in names if name.endswith(_REFUSED)]
    if pickles:
        return (
            f"{where} has its weights only as {', '.join(pickles)}, which are pickles: loading one "
            "can run any program hidden in it, so crossrank refuses. If you trust the author, "
            "load it with transformers and save it with save_pretrained, which writes "
            "model.safetensors; then load that folder."
        )
    return (
        f"A file model.safetensors, onnx/model.onnx or openvino/openvino_model.xml is required, "
        f"and {where} has none."
    )
