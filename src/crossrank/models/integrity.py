"""Are a model's files whole, and which model are they?"""

import hashlib
import json
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

from crossrank.errors import ModelFileError
from crossrank.models.files import companions, list_names
from crossrank.models.spec import ModelSpec

_POINTER = b"version https://git-lfs"


def check_file(path: Path) -> None:
    """Look whether a weight file is whole, without reading the weights.

    Raises:
        ModelFileError: It is missing, cut short, or a pointer that Git LFS left in its place.

    Example:
        >>> check_file(Path("no-such-folder/model.onnx"))
        Traceback (most recent call last):
        crossrank.errors.ModelFileError: no-such-folder/model.onnx is required and does not exist.
    """
    if not path.is_file():
        raise ModelFileError(f"{path} is required and does not exist.")
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(64)
    if start.startswith(_POINTER):
        raise ModelFileError(
            f"{path} is a Git LFS pointer, not the weights. Fetch them with: git lfs pull"
        )
    reason = _CHECKS[path.suffix](path, size) if path.suffix in _CHECKS else None
    if reason:
        raise ModelFileError(f"{path} is damaged: {reason}. Download the model again.")


def _check_safetensors(path: Path, size: int) -> str | None:
    """Compare the offsets in the header with the size of the file."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if size < 8 or length > size - 8:
            return f"it has {size} bytes, and its header alone needs {length + 8}"
        try:
            header = json.loads(file.read(length))
            ends = [value["data_offsets"][1] for key, value in header.items() if key[:2] != "__"]
        except (ValueError, TypeError, LookupError, AttributeError):
            return "its header cannot be read"
    needed = 8 + length + max(ends, default=0)
    return None if size == needed else f"it has {size} bytes instead of {needed}"


def _check_onnx(path: Path, size: int) -> str | None:
    """Walk the outermost fields of the protocol buffer; each says how long it is."""
    with path.open("rb") as file:
        fields = set()
        while (position := file.tell()) < size:
            tag = _varint(file.read(10))
            if tag is None or tag[0] & 7 not in (0, 2):
                return f"byte {position} begins no field of an ONNX file"
            file.seek(position + tag[1])
            value = _varint(file.read(10))
            if value is None:
                return f"it ends inside a field at byte {position}"
            skip = value[0] if tag[0] & 7 == 2 else 0
            if file.seek(position + tag[1] + value[1] + skip) > size:
                return f"it ends after {size} bytes, inside a field that needs {file.tell()}"
            fields.add(tag[0] >> 3)
    return None if 7 in fields else "it holds no graph"


def _varint(data: bytes) -> tuple[int, int] | None:
    """Read a protocol buffer's integer; gives its value and how many bytes it took."""
    value = 0
    for index, byte in enumerate(data):
        value |= (byte & 127) << (7 * index)
        if byte < 128:
            return value, index + 1
    return None


def _check_openvino(path: Path, size: int) -> str | None:
    with path.open("rb") as file:
        file.seek(max(0, size - 64))
        whole = file.read().rstrip().endswith(b"</net>")
    if not whole:
        return "its end is missing"
    weights = path.with_suffix(".bin")
    return None if weights.is_file() else f"{weights.name}, which holds its weights, is missing"


_CHECKS = {".safetensors": _check_safetensors, ".onnx": _check_onnx, ".xml": _check_openvino}


def digest(spec: ModelSpec, files: Iterable[Path] = ()) -> str:
    """Digest everything in a model's files that can change a score.

    Args:
        spec: The model; its configurations and its tokenizer count.
        files: The weight files that are loaded. Files they need beside them count too.

    Returns:
        A SHA-256 as hexadecimal digits. Files that did not change are not read again.
    """
    total = hashlib.sha256(json.dumps(spec.config, sort_keys=True, default=str).encode())
    settings = [
        *spec.folder.glob("modules.json"),
        *spec.folder.glob("config_sentence_transformers.json"),
        *spec.folder.rglob("sentence_bert_config.json"),
        *spec.folder.glob("[0-9]*_*/config.json"),
        *spec.folder.glob("*processor_config.json"),
    ]
    home = spec.tokenizer_file.parent
    settings += home.glob("tokenizer_config.json")
    for path in [*files, spec.tokenizer_file, *sorted(settings)]:
        names = list_names(path.parent)
        for part in (path, *(path.parent / name for name in companions(path.name, names))):
            state = part.stat()
            total.update(_file_digest(part, state.st_size, state.st_mtime_ns))
    return total.hexdigest()


@lru_cache(maxsize=256)
def _file_digest(path: Path, size: int, modified: int) -> bytes:
    """Digest a file; size and time of change belong to the key of what is remembered."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()
