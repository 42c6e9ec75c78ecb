"""The vectors of documents in a file: computed in blocks, and those known before only once."""

import json
from collections.abc import Callable, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crossrank.errors import InputError
from crossrank.retrieval.dense import BLOCK_TEXTS, BiEncoder
from crossrank.retrieval.texts import StoredTexts
from crossrank.text_files import write_whole


class KnownVectors:
    """Vectors that were computed before, found by their text.

    Memory holds 16 bytes a text: a digest of it, sorted, and its number.

    Args:
        texts: The documents, open as long as this is used.
        vectors: Their vectors, by the model that computes new ones.
    """

    def __init__(self, texts: StoredTexts, vectors: NDArray[np.float16]) -> None:
        self._texts = texts
        self._vectors = vectors
        keys = np.fromiter(map(_key, texts), dtype=np.uint64, count=len(texts))
        self._rows = np.argsort(keys)
        self._keys = keys[self._rows]

    def find(self, text: str) -> NDArray[np.float16] | None:
        """Give the vector of a text, if it is known."""
        place = int(np.searchsorted(self._keys, np.uint64(_key(text))))
        if place == len(self._rows) or self._texts[row := int(self._rows[place])] != text:
            return None
        vector: NDArray[np.float16] = self._vectors[row]
        return vector


def embed(
    encoder: BiEncoder,
    texts: StoredTexts,
    file: Path,
    *,
    known: KnownVectors | None = None,
    progress: Callable[[int], object] = lambda _: None,
) -> NDArray[np.float16]:
    """Write the vectors of documents to a file, and map it into memory.

    What another process has done of the same work is kept: beside the file lies
    ``NAME.progress``, which says how many of which texts and of which model are done.

    Args:
        encoder: Computes the vectors.
        texts: The documents.
        file: An ``.npy`` file, fp16, ``[documents, width]``. Where it is of other work it is
            replaced; whoever has it open keeps it.
        known: Vectors that need not be computed again.
        progress: Told how many texts were done since the last call.

    Returns:
        The vectors.
    """
    done = _done(encoder, texts, file)
    progress(done)
    shape = (len(texts), encoder.width)
    vectors: Any
    if done:
        vectors = _open(file, "r+", shape)
    else:
        _journal(file).unlink(missing_ok=True)
        file.unlink(missing_ok=True)
        vectors = np.lib.format.open_memmap(file, mode="w+", dtype=np.float16, shape=shape)
    for start in range(done, len(texts), BLOCK_TEXTS):
        block = [texts[place] for place in range(start, min(start + BLOCK_TEXTS, len(texts)))]
        vectors[start : start + len(block)] = _vectors_of(block, encoder, known)
        vectors.flush()
        rows = {"rows": start + len(block)}
        write_whole(_journal(file), json.dumps(_job(encoder, texts) | rows))
        progress(len(block))
    return read_vectors(encoder, texts, file)


def read_vectors(encoder: BiEncoder, texts: StoredTexts, file: Path) -> NDArray[np.float16]:
    """Map the vectors of documents into memory.

    Raises:
        InputError: The file is not whole, or of other documents or another model.
    """
    done = _done(encoder, texts, file)
    if done < len(texts):
        raise InputError(
            f"{file} must hold the vectors of {len(texts)} documents by this model, received "
            f"{done} of them."
        )
    return _open(file, "r", (len(texts), encoder.width))


def _vectors_of(
    block: Sequence[str], encoder: BiEncoder, known: KnownVectors | None
) -> NDArray[np.float16]:
    """Give the vectors of texts; compute those that are not known."""
    found = [known.find(text) if known else None for text in block]
    new = [text for text, vector in zip(block, found, strict=True) if vector is None]
    computed = iter(encoder.encode(new, role="document").astype(np.float16))
    return np.stack([next(computed) if vector is None else vector for vector in found])


def _done(encoder: BiEncoder, texts: StoredTexts, file: Path) -> int:
    """How many vectors of this work the file holds."""
    try:
        state = json.loads(_journal(file).read_text(encoding="utf-8"))
        rows = int(state.pop("rows"))
        _open(file, "r", (len(texts), encoder.width))
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return 0
    return rows if state == _job(encoder, texts) else 0


def _open(file: Path, mode: str, shape: tuple[int, int]) -> NDArray[np.float16]:
    try:
        vectors: NDArray[np.float16] = np.lib.format.open_memmap(file, mode=mode)
    except (OSError, ValueError) as error:
        raise InputError(f"{file} must hold vectors: {error}.") from error
    if vectors.dtype != np.float16 or vectors.shape != shape:
        raise InputError(
            f"{file} must hold vectors {list(shape)} in fp16, received {list(vectors.shape)} in "
            f"{vectors.dtype}."
        )
    return vectors


def _job(encoder: BiEncoder, texts: StoredTexts) -> dict[str, str]:
    return {"texts": texts.digest, "model": encoder.digest}


def _journal(file: Path) -> Path:
    return file.with_name(f"{file.name}.progress")


def _key(text: str) -> int:
    data = text.encode("utf-8", "surrogatepass")
    return int.from_bytes(blake2b(data, digest_size=8).digest(), "little")
