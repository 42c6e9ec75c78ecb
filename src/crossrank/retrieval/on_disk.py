"""A retriever whose index lies in a folder, made once and used again."""

from collections.abc import Callable
from pathlib import Path
from typing import Literal

from crossrank.errors import InputError
from crossrank.retrieval.base import Retriever
from crossrank.retrieval.bm25 import BM25
from crossrank.retrieval.texts import StoredTexts

RetrieverName = Literal["bm25", "dense", "both"]


def check_retriever(name: RetrieverName, bi_encoder: str | Path | None) -> None:
    """Make sure that a retriever can be opened.

    Raises:
        InputError: The name is unknown, or a bi-encoder is missing or not needed.
    """
    if name not in ("bm25", "dense", "both"):
        raise InputError(f"retriever must be 'bm25', 'dense' or 'both', received {name!r}.")
    if (name == "bm25") != (bi_encoder is None):
        required = "needs no bi-encoder" if name == "bm25" else "needs a bi-encoder"
        raise InputError(f"The retriever {name!r} {required}, received {bi_encoder!r}.")


def open_retriever(
    folder: Path,
    documents: StoredTexts,
    name: RetrieverName,
    bi_encoder: str | Path | None = None,
    *,
    progress: Callable[[str], object] = lambda step: None,
) -> Retriever:
    """Open the index of documents; make, or finish, what is missing of it.

    Args:
        folder: Where the index lies.
        documents: What is searched.
        name: ``"bm25"``, ``"dense"`` or ``"both"``.
        bi_encoder: A folder or hub id; for dense and both.
        progress: Told what is going on.

    Raises:
        InputError: An argument cannot be used, or BM25 finds no words.
        MissingDependencyError: bm25s is not installed, or torch, where the bi-encoder has its
            weights as safetensors only.
    """
    check_retriever(name, bi_encoder)
    if bi_encoder is None:
        return _open_bm25(folder / "bm25", documents, progress)
    from crossrank.retrieval.dense import BiEncoder, Dense, embed
    from crossrank.retrieval.hybrid import Hybrid

    encoder = BiEncoder.load(bi_encoder)
    progress(f"Embedding {len(documents)} documents")
    dense = Dense(encoder, embed(encoder, documents, folder / "vectors.npy"))
    if name == "dense":
        return dense
    return Hybrid(_open_bm25(folder / "bm25", documents, progress), dense)


def _open_bm25(folder: Path, documents: StoredTexts, progress: Callable[[str], object]) -> BM25:
    """Open the index, after making it unless it is complete and of these documents."""
    mark = folder / "documents.digest"
    if mark.is_file() and mark.read_text(encoding="ascii") == documents.digest:
        return BM25.open(folder)
    mark.unlink(missing_ok=True)
    progress(f"Indexing {len(documents)} documents")
    index = BM25.build(folder, documents)
    mark.write_text(documents.digest, encoding="ascii")
    return index
