"""BM25 over documents in memory, computed by bm25s."""

from collections.abc import Sequence

import numpy as np

from crossrank.errors import InputError
from crossrank.optional import require


class BM25:
    """Documents ranked by the words they share with a query (Robertson et al., 1994).

    The variant is Lucene's with k1 = 1.5 and b = 0.75; words have at least two characters, are
    lower-cased and not stemmed, and English stop words are left out.

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
        bm25s = require("bm25s", extra="demo")
        words = [_words(document) for document in documents]
        self._index = None
        if any(words):  # bm25s cannot index documents without words
            self._index = bm25s.BM25(method="lucene", k1=1.5, b=0.75)
            self._index.index(words, show_progress=False)

    def search(self, query: str, k: int) -> list[tuple[int, float]]:
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
        words = _words(query)
        if not words or self._index is None:
            return []
        scores = self._index.get_scores(words)
        # Sorting all scores from the k-th best on, and no others, keeps ties in order.
        least = np.partition(scores, -k)[-k] if k < len(scores) else 0.0
        found = np.flatnonzero((scores >= least) & (scores > 0))
        best = found[np.argsort(-scores[found], kind="stable")][:k]
        return [(int(position), float(scores[position])) for position in best]


def _words(text: str) -> list[str]:
    tokenize = require("bm25s", extra="demo").tokenize
    words: list[str] = tokenize([text], stopwords="english", return_ids=False, show_progress=False)[
        0
    ]
    return words
