"""Long documents: overlapping windows, and one logit from the logits of all windows.

Scoring windows and keeping the best is the MaxP of Dai & Callan, "Deeper Text Understanding for IR
with Contextual Neural Language Modeling", SIGIR 2019; FirstP is from the same paper.
"""

import re
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from crossrank.errors import InputError
from crossrank.types import Floats

LongDocuments = Literal["truncate", "max", "first", "mean_top3"]
"""What to do with a document that is longer than a window.

``truncate`` cuts it as the tokenizer does; ``max`` takes the best window's logit, ``first`` the
first window's, ``mean_top3`` the mean of the best three.
"""

Span = tuple[int, int]
"""Start and end character."""

SENTENCE_END = re.compile(r"(?:[.!?]['\")\]]*\s+|[。！？]|\n\s*)(?=\S)")  # noqa: RUF001
_WORD_END = re.compile(r"\s+(?=\S)")


def ends_of(border: re.Pattern[str], text: str) -> list[int]:
    """Find where a text's sentences or words end: after the white space that follows them.

    White space at the end of the text is not looked at: there each position would be tried anew.

    Example:
        >>> ends_of(SENTENCE_END, "One. Two. ")
        [5]
    """
    return [match.end() for match in border.finditer(text, 0, len(text.rstrip()))]


def check_long_documents(value: str, window: int | None, stride: int | None) -> None:
    """Make sure that the options for long documents make sense.

    Raises:
        InputError: They do not.
    """
    if value not in get_args(LongDocuments):
        known = ", ".join(map(repr, get_args(LongDocuments)))
        raise InputError(f"long_documents must be one of {known}, received {value!r}.")
    for name, number in (("window", window), ("stride", stride)):
        if number is not None and value == "truncate":
            raise InputError(
                f"{name} is for windows of long documents: set long_documents to 'max', 'first' or "
                "'mean_top3'; 'truncate' reads none."
            )
        if number is not None and number < 1:
            raise InputError(f"{name} must be at least 1 token, received {number}.")
    if window is not None and stride is not None and stride > window:
        raise InputError(
            f"stride must not be larger than window, or text between two windows would be "
            f"skipped; received stride={stride}, window={window}."
        )


def split(
    text: str, offsets: NDArray[np.int64], *, window: int, stride: int | None = None
) -> list[Span]:
    """Cut a text into overlapping windows that start and end at sentence or word borders.

    Args:
        text: The document.
        offsets: Where its tokens lie, ``[tokens, 2]``, see ``PairTokenizer.offsets``.
        window: Most tokens a window may have.
        stride: Tokens from the start of a window to the start of the next, at most; half a
            window by default.

    Returns:
        Character spans; together they cover every token.

    Example:
        >>> import numpy as np
        >>> words = "One two. Three four. Five six."
        >>> offsets = np.array([m.span() for m in re.finditer(r"\\w+|\\.", words)])
        >>> [words[a:b] for a, b in split(words, offsets, window=6, stride=3)]
        ['One two. Three four. ', 'Three four. Five six.']
    """
    tokens = len(offsets)
    if tokens <= window:
        return [(0, len(text))]
    step = min(stride if stride is not None else max(1, window // 2), window)
    borders = [_token_borders(pattern, text, offsets) for pattern in (SENTENCE_END, _WORD_END)]
    spans = []
    start = 0
    while tokens - start > window:
        end = _last_border(borders, after=start + window // 2, until=start + window)
        spans.append((int(offsets[start, 0]), int(offsets[end, 0])))
        start = _last_border(borders, after=start + step // 2, until=min(start + step, end))
    return [*spans, (int(offsets[start, 0]), len(text))]


def combine(logits: Floats, how: LongDocuments) -> tuple[float, int]:
    """Make one logit of the logits of a document's windows.

    Args:
        logits: One a window, ``[windows]``.
        how: ``"max"``, ``"first"`` or ``"mean_top3"``.

    Returns:
        The document's logit, and which window is the best.

    Example:
        >>> combine(np.float32([1, 5, 3, 0]), "mean_top3")
        (3.0, 1)
    """
    if how == "first":
        return float(logits[0]), 0
    best = int(np.argmax(logits))
    if how == "max":
        return float(logits[best]), best
    return float(np.sort(logits)[-3:].mean()), best


def _token_borders(
    pattern: re.Pattern[str], text: str, offsets: NDArray[np.int64]
) -> NDArray[np.intp]:
    """Find the tokens that begin a sentence or a word, in order."""
    starts = np.array(ends_of(pattern, text), dtype=np.int64)
    return np.unique(np.searchsorted(offsets[:, 1], starts, side="right"))


def _last_border(borders: list[NDArray[np.intp]], *, after: int, until: int) -> int:
    """Find the last border in ``(after, until]``: of a sentence, else of a word, else anywhere."""
    for tokens in borders:
        position = int(np.searchsorted(tokens, until, side="right")) - 1
        if position >= 0 and tokens[position] > after:
            return int(tokens[position])
    return until
