"""Writing a BM25 index to disk, in the files that bm25s loads as memory maps.

Two passes. The first reads the texts once and writes postings (word, document, count) in the order
of the documents; the second scores them and writes each to its place among the postings of its
word. Memory holds the vocabulary, the documents' lengths and one block of postings.
"""

import json
import tempfile
from array import array
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crossrank.errors import InputError
from crossrank.retrieval.words import words_of

K1, B = 1.5, 0.75

BLOCK_TEXTS = 10_000
BLOCK_POSTINGS = 4_000_000

POSTING = np.dtype([("word", np.int32), ("document", np.int32), ("count", np.int32)])


def write_index(folder: Path, texts: Iterable[str]) -> None:
    """Write the index of texts, each read once.

    Args:
        folder: Where to; made when it is missing. bm25s loads it with ``mmap=True``.

    Raises:
        InputError: There are no words to index.
        MissingDependencyError: bm25s is not installed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    vocabulary: dict[str, int] = {}
    lengths = array("i")
    with tempfile.TemporaryFile(dir=folder) as postings:
        for block in _postings(texts, vocabulary, lengths):
            block.tofile(postings)
        if not vocabulary:
            raise InputError(
                "BM25 needs documents with words of two or more letters that are not English stop "
                "words, and found none."
            )
        postings.seek(0)
        _write_matrix(folder, postings, len(vocabulary), np.frombuffer(lengths, dtype=np.int32))
    (folder / "vocab.index.json").write_text(
        json.dumps(vocabulary, ensure_ascii=False), encoding="utf-8", errors="surrogatepass"
    )
    settings = {"k1": K1, "b": B, "method": "lucene", "num_docs": len(lengths)}
    (folder / "params.index.json").write_text(json.dumps(settings), encoding="ascii")
    average = {"average": sum(lengths) / len(lengths)}
    (folder / "average.json").write_text(json.dumps(average), encoding="ascii")


def _postings(
    texts: Iterable[str], vocabulary: dict[str, int], lengths: "array[int]"
) -> Iterator[NDArray[Any]]:
    """Count words block by block; adds to the vocabulary and the documents' lengths."""
    remaining = iter(texts)
    while block := list(islice(remaining, BLOCK_TEXTS)):
        found = [
            [vocabulary.setdefault(word, len(vocabulary)) for word in words_of(text)]
            for text in block
        ]
        sizes = np.fromiter(map(len, found), dtype=np.int32, count=len(block))
        words = np.fromiter(chain.from_iterable(found), dtype=np.int64, count=sizes.sum())
        documents = np.repeat(np.arange(len(lengths), len(lengths) + len(block)), sizes)
        lengths.frombytes(sizes.tobytes())
        keys, counts = np.unique(documents << 32 | words, return_counts=True)
        postings = np.empty(len(keys), dtype=POSTING)
        postings["word"] = keys & 0xFFFFFFFF
        postings["document"] = keys >> 32
        postings["count"] = counts
        yield postings


def _write_matrix(folder: Path, postings: Any, words: int, lengths: NDArray[np.int32]) -> None:
    """Write the scores as a sparse matrix, one column a word (Lucene's BM25)."""
    containing = np.zeros(words, dtype=np.int64)
    for block in _blocks(postings):
        containing += np.bincount(block["word"], minlength=words)
    starts = np.concatenate(([0], np.cumsum(containing)))
    np.save(folder / "indptr.csc.index.npy", starts)
    scores = _new(folder / "data.csc.index.npy", np.float32, starts[-1])
    documents = _new(folder / "indices.csc.index.npy", np.int32, starts[-1])
    weights = inverse_document_frequency(containing, len(lengths))
    norms = K1 * (1 - B + B * lengths / lengths.mean())
    free = starts[:-1].copy()
    for block in _blocks(postings):
        block = block[np.argsort(block["word"], kind="stable")]
        word, document, count = block["word"], block["document"], block["count"]
        present, first, times = np.unique(word, return_index=True, return_counts=True)
        place = free[word] + np.arange(len(block)) - np.repeat(first, times)
        scores[place] = weights[word] * count / (count + norms[document])
        documents[place] = document
        free[present] += times
    scores.flush()
    documents.flush()


def inverse_document_frequency(
    containing: NDArray[np.int64], documents: int
) -> NDArray[np.float64]:
    """Weigh words by how few documents contain them, as Lucene does.

    Example:
        >>> inverse_document_frequency(np.array([1, 4]), 4).round(4).tolist()
        [1.204, 0.1054]
    """
    weights: NDArray[np.float64] = np.log1p((documents - containing + 0.5) / (containing + 0.5))
    return weights


def _blocks(postings: Any) -> Iterator[NDArray[Any]]:
    postings.seek(0)
    while len(block := np.fromfile(postings, dtype=POSTING, count=BLOCK_POSTINGS)):
        yield block


def _new(path: Path, dtype: Any, size: int) -> Any:
    return np.lib.format.open_memmap(path, mode="w+", dtype=dtype, shape=(int(size),))
