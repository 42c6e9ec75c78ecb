"""Texts in a file, found by position, so that a collection of any size needs no memory."""

import hashlib
import os
from array import array
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Self

import numpy as np

from crossrank.errors import InputError

BUFFER = 1 << 20


class StoredTexts:
    """A sequence of texts on disk: ``NAME.texts`` in UTF-8, ``NAME.offsets.npy`` where each begins.

    Args:
        path: The files' path without an ending.

    Attributes:
        digest: Says in hexadecimal digits which texts these are, and in what order.

    Raises:
        InputError: There are none, or their files are not whole.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "documents"
        >>> with StoredTexts.write(path, ["one", "", "drei"]) as texts:
        ...     len(texts), texts[2]
        (3, 'drei')
    """

    def __init__(self, path: Path) -> None:
        try:
            self.digest = _digest(path).read_text(encoding="ascii")
            self._offsets = np.lib.format.open_memmap(_offsets(path), mode="r")
            self._check_whole(_texts(path).stat().st_size)
            self._file = _texts(path).open("rb")
        except (OSError, ValueError) as error:
            raise InputError(f"{path} must hold texts: {error}.") from error

    @classmethod
    def write(cls, path: Path, texts: Iterable[str]) -> Self:
        """Store texts; memory grows by 8 bytes a text.

        Args:
            path: The files' path without an ending. What is there is replaced; whoever has it open
                keeps it.
            texts: Read once.

        Raises:
            InputError: One is no string; the message names its index.
            OSError: The disk is full, or failed.
        """
        for file_of in (_digest, _texts, _offsets):
            file_of(path).unlink(missing_ok=True)
        offsets = array("q", [0])
        digest = hashlib.sha256()
        with _texts(path).open("wb", buffering=BUFFER) as file:
            for index, text in enumerate(texts):
                if not isinstance(text, str):
                    raise InputError(f"Text {index} must be a string, received {text!r:.80}.")
                data = text.encode("utf-8", "surrogatepass")
                file.write(data)
                digest.update(b"%d:%b" % (len(data), data))
                offsets.append(offsets[-1] + len(data))
        np.save(_offsets(path), np.frombuffer(offsets, dtype=np.int64))
        _digest(path).write_text(digest.hexdigest(), encoding="ascii")
        return cls(path)

    def _check_whole(self, size: int) -> None:
        if self._offsets.dtype != np.int64 or self._offsets.ndim != 1 or len(self.digest) != 64:
            raise ValueError("offsets in 64 bits and a digest of 64 digits are required")
        if size != self._offsets[-1]:
            raise ValueError(f"it has {size} bytes instead of {self._offsets[-1]}")

    def __len__(self) -> int:
        return len(self._offsets) - 1

    def __getitem__(self, position: int) -> str:
        start, end = self._offsets[position : position + 2].tolist()
        data = os.pread(self._file.fileno(), end - start, start)
        return data.decode("utf-8", "surrogatepass")

    def __iter__(self) -> Iterator[str]:
        return (self[position] for position in range(len(self)))

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def _texts(path: Path) -> Path:
    return path.with_name(f"{path.name}.texts")


def _offsets(path: Path) -> Path:
    return path.with_name(f"{path.name}.offsets.npy")


def _digest(path: Path) -> Path:
    return path.with_name(f"{path.name}.digest")
