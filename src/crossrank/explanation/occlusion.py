"""Occlusion: what a score loses when a part of the document is not there.

Zeiler & Fergus, "Visualizing and Understanding Convolutional Networks", ECCV 2014, for pictures;
Li, Monroe & Jurafsky, "Understanding Neural Networks through Representation Erasure", 2016, for
texts.

A part is taken out of the text, not masked: what is left is a document as the model reads many,
shorter by a sentence or a word, while rows of mask tokens are nothing that a cross-encoder was
trained on; and a text can be scored by every backend.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crossrank.explanation.parts import Parts
from crossrank.types import Floats, Pair

Score = Callable[[Sequence[Pair]], Floats]
"""Gives the logits ``[pairs]`` of any pairs."""


@dataclass(frozen=True)
class Attribution:
    """What each part of a document does to its logit.

    Attributes:
        values: One for each part, ``[parts]``, in logits; above 0 where the part helps.
        logit: Of the document.
        baseline: Of a document with nothing in it.
    """

    values: NDArray[Any]
    logit: float
    baseline: float


def occlude(score: Score, query: str, parts: Parts) -> Attribution:
    """Score a document without each of its parts; all variants in one call.

    Args:
        score: What scores pairs.
        query: The query.
        parts: The document.

    Returns:
        What the logit loses without each part. The logit of a bag of words is the baseline and the
        sum of these.

    Example:
        >>> def count(pairs):
        ...     return np.float32([document.count(query) for query, document in pairs])
        >>> occlude(count, "a", Parts.words("a b aa", most=10)).values.tolist()
        [1.0, 0.0, 2.0]
    """
    without = [parts.keep(kept) for kept in ~np.eye(len(parts), dtype=bool)]
    logits = score([(query, text) for text in (parts.text, "", *without)])
    return Attribution(logits[0] - logits[2:], float(logits[0]), float(logits[1]))
