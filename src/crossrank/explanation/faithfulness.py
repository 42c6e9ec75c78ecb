"""Whether an explanation is true of the model: deletion and insertion, against random orders.

Petsiuk, Das & Saenko, "RISE: Randomized Input Sampling for Explanation of Black-box Models",
BMVC 2018. Parts are deleted from the document, most important first, and the score should fall at
once; they are put into an empty document in the same order, and it should rise at once. How fast is
the area under the curve of scores.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from crossrank.explanation.occlusion import Score
from crossrank.explanation.parts import Parts

STEPS = 10
"""Steps from the whole document to none; fewer when it has fewer parts."""

RANDOM_ORDERS = 10


@dataclass(frozen=True)
class Faithfulness:
    """How well an order of parts, most important first, foretells what the model does.

    Areas are of logits, scaled so that the lowest that was seen is 0 and the highest 1, over the
    share of parts.

    Attributes:
        deletion: Area under the curve when parts are deleted; lower is better.
        insertion: Area under the curve when parts are inserted; higher is better.
        random_deletion: The mean of ``deletion`` over random orders.
        random_insertion: The mean of ``insertion`` over random orders.
        beaten: The share of the random orders that did worse, equal ones counted half.
    """

    deletion: float
    insertion: float
    random_deletion: float
    random_insertion: float
    beaten: float

    @property
    def gain(self) -> float:
        """How much better than chance, mean of both areas; 0 or less says nothing was explained."""
        return (self.random_deletion - self.deletion + self.insertion - self.random_insertion) / 2


def measure_faithfulness(
    score: Score, query: str, parts: Parts, attributions: NDArray[np.floating]
) -> Faithfulness | None:
    """Compare the order of attributions with random orders, always the same ones.

    Args:
        score: What scores pairs; called once, for at most 242 of them.
        query: The query.
        parts: The document.
        attributions: One for each part, ``[parts]``.

    Returns:
        The areas; ``None`` for fewer than two parts, which have one order only.

    Example:
        >>> def count(pairs):
        ...     return np.float32([document.count(query) for query, document in pairs])
        >>> found = measure_faithfulness(count, "a", Parts.words("aaa a", 2), np.array([3, 1]))
        >>> found.deletion, found.insertion
        (0.375, 0.625)
    """
    count = len(parts)
    if count < 2:
        return None
    random = np.random.default_rng(0)
    orders = [np.argsort(-attributions, kind="stable")]
    orders += [random.permutation(count) for _ in range(RANDOM_ORDERS)]
    ranks = np.argsort(orders, axis=1)[:, None, :]
    steps = np.linspace(0, count, min(count, STEPS) + 1).round()
    kept = np.stack([ranks >= steps[:, None], ranks < steps[:, None]])
    texts = [parts.keep(row) for row in kept.reshape(-1, count)]
    logits = score([(query, text) for text in texts]).reshape(kept.shape[:-1])
    (deletion, *deletions), (insertion, *insertions) = _areas(logits, steps / count).tolist()
    margins = np.array(insertions) - np.array(deletions)
    margin = insertion - deletion
    return Faithfulness(
        deletion=deletion,
        insertion=insertion,
        random_deletion=float(np.mean(deletions)),
        random_insertion=float(np.mean(insertions)),
        beaten=float(np.mean((margins < margin) + (margins == margin) / 2)),
    )


def _areas(logits: NDArray[np.floating], shares: NDArray[np.floating]) -> NDArray[np.float64]:
    """Scale logits ``[..., steps]`` to 0 to 1, and take the area under each curve."""
    values = logits.astype(np.float64) - logits.min()
    values /= values.max() or 1.0
    areas: NDArray[np.float64] = np.sum(
        (values[..., 1:] + values[..., :-1]) / 2 * np.diff(shares), axis=-1
    )
    return areas
