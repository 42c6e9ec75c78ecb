"""Texts in parts that can be taken out: sentences, or words."""

import re
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
from numpy.typing import NDArray

from crossrank.long_documents import SENTENCE_END, Span, ends_of

_IDEOGRAPHS = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
# Chinese and Japanese have no spaces: each of their characters counts as a word, with the
# punctuation behind it.
_WORD_END = re.compile(rf"\s+(?=\S)|(?<=[{_IDEOGRAPHS}])(?=\w)|(?<=\S)(?=[{_IDEOGRAPHS}])")


@dataclass(frozen=True)
class Parts:
    """A text and where it is cut. No part is white space alone.

    Attributes:
        text: The text.
        borders: Where each part begins, the first at 0, and where the last one ends; ``(0,)`` when
            the text has no parts.
    """

    text: str
    borders: tuple[int, ...]

    @classmethod
    def sentences(cls, text: str, most: int) -> Self:
        """Cut a text into sentences, neighbours together where there are more than ``most``.

        Example:
            >>> parts = Parts.sentences("One. Two? Three.", most=10)
            >>> [parts.text[start:end] for start, end in parts.spans]
            ['One.', 'Two?', 'Three.']
        """
        return cls._cut(text, SENTENCE_END, most)

    @classmethod
    def words(cls, text: str, most: int) -> Self:
        """Cut a text into words, neighbours together where there are more than ``most``.

        Example:
            >>> parts = Parts.words("a bc, d 東京。", most=10)
            >>> [parts.text[start:end] for start, end in parts.spans]
            ['a', 'bc,', 'd', '東', '京。']
            >>> parts = Parts.words("a b c d e", most=2)
            >>> [parts.text[start:end] for start, end in parts.spans]
            ['a b', 'c d e']
        """
        return cls._cut(text, _WORD_END, most)

    @classmethod
    def _cut(cls, text: str, border: re.Pattern[str], most: int) -> Self:
        ends: list[int] = []
        for end in [*ends_of(border, text), len(text)]:
            if text[ends[-1] if ends else 0 : end].strip():
                ends.append(end)
        count = min(len(ends), most)
        last = ((part + 1) * len(ends) // count - 1 for part in range(count))
        return cls(text, (0, *(ends[piece] for piece in last)))

    def __len__(self) -> int:
        return len(self.borders) - 1

    @cached_property
    def spans(self) -> list[Span]:
        """Start and end character of each part, without the white space around it."""
        spans = []
        for start, end in zip(self.borders, self.borders[1:], strict=False):
            part = self.text[start:end]
            spans.append((end - len(part.lstrip()), start + len(part.rstrip())))
        return spans

    def keep(self, kept: NDArray[np.bool_]) -> str:
        """The text of some parts alone.

        Args:
            kept: Whether each part stays, ``[parts]``.

        Example:
            >>> Parts.words("a b c", most=3).keep(np.array([True, False, True]))
            'a c'
        """
        borders = zip(self.borders, self.borders[1:], kept, strict=False)
        return "".join(self.text[start:end] for start, end, stays in borders if stays)

    def part_of(self, ends: NDArray[np.int64]) -> NDArray[np.intp]:
        """Find the part that holds the character before each of some positions."""
        found = np.searchsorted(self.borders, ends, side="left") - 1
        return np.clip(found, 0, max(0, len(self) - 1))
