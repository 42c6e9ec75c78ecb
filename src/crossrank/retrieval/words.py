"""What BM25 counts as the words of a text."""

import re
from functools import cache
from itertools import pairwise

from crossrank.optional import require

# Letters, vowel signs and tones of the scripts that put no spaces between words.
_UNSPACED = (
    "\u3005-\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"  # Han
    "\u3041-\u309a\u309d-\u309f\u30a1-\u30fa\u30fc-\u30ff\u31f0-\u31ff\uff66-\uff9f"  # kana
    "\u0e01-\u0e3a\u0e40-\u0e4e\u0e81-\u0ece\u0edc-\u0edf"  # Thai, Lao
    "\u1000-\u103f\u1050-\u108f\u109a-\u109d\ua9e0-\ua9ef\ua9fa-\ua9fe\uaa60-\uaa7f"  # Myanmar
    "\u1780-\u17d3\u17d7\u17dc\u17dd"  # Khmer
)
_RUN_OR_WORD = re.compile(rf"([{_UNSPACED}]+)|([^\W{_UNSPACED}]{{2,}})")


def words_of(text: str) -> list[str]:
    """Split a text into words, lower-cased and without English stop words.

    A word has two characters or more. Where a script puts no spaces between words, every character
    counts as a word, and so do every two that follow each other.

    Raises:
        MissingDependencyError: bm25s is not installed.

    Example:
        >>> words_of("The cat's name")
        ['cat', 'name']
        >>> words_of("日本語 2024年")
        ['日', '本', '語', '日本', '本語', '2024', '年']
    """
    stop_words = _stop_words()
    words: list[str] = []
    for run, word in _RUN_OR_WORD.findall(text.lower()):
        if run:
            words += [*run, *map("".join, pairwise(run))]
        elif word not in stop_words:
            words.append(word)
    return words


@cache
def _stop_words() -> frozenset[str]:
    return frozenset(require("bm25s", extra="rag").stopwords.STOPWORDS_EN)
