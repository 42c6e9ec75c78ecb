"""A retriever whose index lies in a folder, made once and used again."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from crossrank.errors import InputError
from crossrank.retrieval.base import Retriever
from crossrank.retrieval.bm25 import BM25
from crossrank.retrieval.texts import StoredTexts

if TYPE_CHECKING:
    from crossrank.retrieval.dense import BiEncoder
    from crossrank.retrieval.vector_files import KnownVectors

RetrieverName = Literal["bm25", "dense", "both"]

VECTORS = "vectors.npy"
MARK = "documents.digest"
"""Beside the files of BM25: of which documents they are, written when all else is."""


def check_retriever(name: RetrieverName, bi_encoder: str | Path | None) -> None:
    """Make sure that a retriever can be opened.

    Raises:
        InputError: The name is unknown, or a bi-encoder is missing or not needed.
    """
    if name not in ("bm25", "dense", "both"):
        raise InputError(f"retriever must be 'bm25', 'dense' or 'both', received {name!r}.")
    if (name == "bm25") != (bi_encoder is None):
        if name == "bm25":
            raise InputError(f"The retriever 'bm25' needs no bi-encoder, received {bi_encoder!r}.")
        raise InputError(
            f"The retriever {name!r} needs a bi-encoder, received None: name one with bi_encoder, "
            "on the command line with --bi-encoder."
        )


def open_retriever(
    folder: Path,
    documents: StoredTexts,
    name: RetrieverName,
    bi_encoder: str | Path | None = None,
    *,
    finished: bool = False,
    earlier: Path | None = None,
    progress: Callable[[str], object] = lambda step: None,
) -> Retriever:
    """Open the index of documents; make, or finish, what is missing of it.

    Args:
        folder: Where the index lies.
        documents: What is searched.
        name: ``"bm25"``, ``"dense"`` or ``"both"``.
        bi_encoder: A folder or hub id; for dense and both.
        finished: Change nothing in the folder: what is missing is an error.
        earlier: Path of other documents' texts, with the index in the same folder; vectors of texts
            that are the same are taken from there.
        progress: Told what is going on.

    Raises:
        InputError: An argument cannot be used, BM25 finds no words, or a finished index is not
            whole.
        MissingDependencyError: bm25s is not installed, or torch, where the bi-encoder has its
            weights as safetensors only.
    """
    check_retriever(name, bi_encoder)
    if bi_encoder is None:
        return _open_bm25(folder / "bm25", documents, finished, progress)
    from crossrank.retrieval.dense import BiEncoder, Dense
    from crossrank.retrieval.hybrid import Hybrid
    from crossrank.retrieval.vector_files import embed, read_vectors

    encoder = BiEncoder.load(bi_encoder)
    try:
        vectors = read_vectors(encoder, documents, folder / VECTORS)
    except InputError:
        if finished:
            raise
        progress(f"Embedding {len(documents)} texts")
        with _known(earlier, encoder) as known:
            vectors = embed(encoder, documents, folder / VECTORS, known=known)
    dense = Dense(encoder, vectors)
    if name == "dense":
        return dense
    return Hybrid(_open_bm25(folder / "bm25", documents, finished, progress), dense)


@contextmanager
def _known(earlier: Path | None, encoder: "BiEncoder") -> "Iterator[KnownVectors | None]":
    """Open the vectors of other documents, if there are any of this model."""
    from crossrank.retrieval.vector_files import KnownVectors, read_vectors

    with ExitStack() as files:
        known = None
        if earlier is not None:
            with suppress(InputError):
                texts = files.enter_context(StoredTexts(earlier))
                vectors = read_vectors(encoder, texts, earlier.with_name(VECTORS))
                known = KnownVectors(texts, vectors)
        yield known


def _read_bm25(folder: Path, documents: StoredTexts) -> BM25:
    """Open the index if it is complete and of these documents."""
    try:
        indexed = (folder / MARK).read_text(encoding="ascii", errors="replace")
    except OSError as error:
        raise InputError(f"{folder} must hold a finished BM25 index: {error}.") from error
    if indexed != documents.digest:
        raise InputError(f"{folder} must hold a BM25 index of these documents, not of others.")
    return BM25.open(folder)


def _open_bm25(
    folder: Path, documents: StoredTexts, finished: bool, progress: Callable[[str], object]
) -> BM25:
    """Open the index, after making it unless it is there."""
    try:
        return _read_bm25(folder, documents)
    except InputError:
        if finished:
            raise
    progress(f"Indexing {len(documents)} texts")
    shutil.rmtree(folder, ignore_errors=True)  # whoever has it open keeps it
    index = BM25.build(folder, documents)
    (folder / MARK).write_text(documents.digest, encoding="ascii")
    return index
