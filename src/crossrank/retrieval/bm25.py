"""BM25, computed by bm25s: over documents in memory, or over an index on disk."""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np

from crossrank.errors import InputError
from crossrank.optional import require
from crossrank.retrieval.base import Hits
from crossrank.retrieval.bm25_files import K1, B, inverse_document_frequency, write_index
from crossrank.retrieval.words import words_of
from crossrank.types import Floats, Pair


class BM25:
    """Documents ranked by the words they share with a query (Robertson et al., 1994).

    The variant is Lucene's with k1 = 1.5 and b = 0.75; words have at least two characters, are
    lower-cased and not stemmed, and English stop words are left out. Chinese, Japanese, Thai, Lao,
    Khmer and Burmese have no spaces between words: there single characters and pairs of neighbours
    count as words.

    Args:
        documents: The texts to search.

    Raises:
        InputError: There are no documents, or one is no string.
        MissingDependencyError: bm25s is not installed.

    Example:
        >>> index = BM25(["the cat sat", "a dog barked", "cats and a dog"])
        >>> [position for position, score in index.search("Which dog barked?", 2)]
        [1, 2]
    """

    def __init__(self, documents: Sequence[str]) -> None:
        if isinstance(documents, str) or not documents:
            raise InputError(f"BM25 needs a list of documents, received {documents!r:.80}")
        for position, document in enumerate(documents):
            if not isinstance(document, str):
                raise InputError(f"Document {position} must be a string, received {document!r:.80}")
        bm25s = require("bm25s", extra="rag")
        words = [words_of(document) for document in documents]
        self._average = sum(map(len, words)) / len(words)
        self._index = None
        if any(words):  # bm25s cannot index documents without words
            self._index = bm25s.BM25(method="lucene", k1=K1, b=B)
            self._index.index(words, show_progress=False)

    @classmethod
    def build(cls, folder: Path, documents: Iterable[str]) -> Self:
        """Index any number of documents on disk, and open the index.

        Memory holds the vocabulary, not the documents.

        Args:
            folder: Where the index goes; made when it is missing.
            documents: Read once.

        Raises:
            InputError: No document has a word.
            MissingDependencyError: bm25s is not installed.
        """
        write_index(folder, documents)
        return cls.open(folder)

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Open an index that ``build`` made; its postings stay on disk.

        Raises:
            InputError: There is no index, or it is damaged.
            MissingDependencyError: bm25s is not installed.
        """
        bm25s = require("bm25s", extra="rag")
        index = cls.__new__(cls)
        try:
            index._average = json.loads((folder / "average.json").read_text("ascii"))["average"]
            index._index = bm25s.BM25.load(folder, mmap=True)
            _check_whole(index._index)
        # What bm25s stumbles on in a damaged file is of many kinds.
        except (OSError, ValueError, EOFError, TypeError, LookupError, AttributeError) as error:
            raise InputError(f"{folder} must hold a BM25 index: {error}. Build it anew.") from error
        return index

    def search(self, query: str, k: int) -> Hits:
        """Find the best documents.

        Args:
            query: What to search for.
            k: Most documents to return.

        Returns:
            Position and score of each document, best first, ties by position. Documents that
            share no word with the query are left out.

        Raises:
            InputError: ``k`` is below 1.
        """
        if k < 1:
            raise InputError(f"k must be at least 1, received {k!r}")
        words = words_of(query)
        if not words or self._index is None:
            return []
        scores = self._index.get_scores(words)
        found = np.flatnonzero(scores > 0)
        if k < len(found):  # sorting all from the k-th best on, and no others, keeps ties in order
            least = np.partition(scores[found], -k)[-k]
            found = found[scores[found] >= least]
        best = found[np.argsort(-scores[found], kind="stable")][:k]
        return [(int(position), float(scores[position])) for position in best]

    def search_many(self, queries: Sequence[str], k: int) -> list[Hits]:
        """Search for each query."""
        return [self.search(query, k) for query in queries]

    def score(self, pairs: Sequence[Pair]) -> Floats:
        """Score pairs of a query and any text, as if the text were one of the documents.

        How rare words are, and how long a document is on average, is known of the documents; a
        word that occurs in none of them counts nothing.

        Returns:
            Scores ``[pairs]``.

        Example:
            >>> index = BM25(["red fox", "blue fox"])
            >>> index.search("Red?", 1), index.score([("Red?", "red fox")]).tolist()
            ([(0, 0.277...)], [0.277...])
        """
        scores = [self._score(words_of(query), words_of(document)) for query, document in pairs]
        return np.array(scores, dtype=np.float32)

    def _score(self, query: list[str], document: list[str]) -> float:
        if self._index is None:
            return 0.0
        counts = Counter(document)
        known = self._index.vocab_dict
        shared = [word for word in query if word in counts and word in known]
        starts = self._index.scores["indptr"]
        words = np.array([known[word] for word in shared], dtype=np.int64)
        weights = inverse_document_frequency(
            starts[words + 1] - starts[words], self._index.scores["num_docs"]
        )
        count = np.array([counts[word] for word in shared])
        norm = K1 * (1 - B + B * len(document) / self._average)
        return float(np.sum(weights * count / (count + norm)))


def _check_whole(index: Any) -> None:
    """Compare the sizes of an index's files."""
    starts, words = index.scores["indptr"], len(index.vocab_dict)
    if len(starts) != words + 1:
        raise ValueError(f"{words} words have the postings of {len(starts) - 1}")
    for part in ("data", "indices"):
        if len(index.scores[part]) != starts[-1]:
            raise ValueError(f"{len(index.scores[part])} instead of {starts[-1]} postings")
