"""Which of the documents found for a query become its negatives."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from crossrank.errors import InputError

Sampling = Literal["top", "random"]


@dataclass(frozen=True)
class Selection:
    """Rules for taking negatives from ranked candidates.

    Names and limits are those of sentence-transformers' ``mine_hard_negatives``. Unlike there, the
    ranks are those of the search, before any limit takes candidates out, and a margin is measured
    from the positive of the pair at hand.

    Attributes:
        num_negatives: How many to take.
        range_min: Leave out so many of the best candidates: the likeliest to be relevant.
        range_max: Consider no candidate beyond this rank; ``range_min + 10 · num_negatives`` by
            default.
        absolute_margin: Take only candidates that score so much less than the positive.
        relative_margin: The same as a share of the positive's score: 0.05 takes candidates up to
            95 % of it (NV-Retriever; Moreira et al., 2024).
        min_score: Take no candidate that scores less: it would be too easy.
        max_score: Take no candidate that scores more: it may be relevant.
        sampling: ``"top"`` takes the best that are left, ``"random"`` any of them.
        seed: What ``"random"`` draws; every pair draws on its own.

    Raises:
        InputError: A value cannot be used.

    Example:
        >>> Selection(num_negatives=2, absolute_margin=0.25).choose([0.9, 0.7, 0.5, 0.3], 0.95, 0)
        [1, 2]
    """

    num_negatives: int = 3
    range_min: int = 0
    range_max: int | None = None
    absolute_margin: float | None = None
    relative_margin: float | None = None
    min_score: float | None = None
    max_score: float | None = None
    sampling: Sampling = "top"
    seed: int = 0

    def __post_init__(self) -> None:
        if self.num_negatives < 1:
            raise InputError(f"num_negatives must be at least 1, received {self.num_negatives}.")
        if self.range_min < 0:
            raise InputError(f"range_min must be at least 0, received {self.range_min}.")
        if self.depth - self.range_min < self.num_negatives:
            raise InputError(
                f"{self.num_negatives} negatives cannot come from the ranks after "
                f"{self.range_min} up to {self.depth}: raise range_max."
            )
        for name in ("absolute_margin", "relative_margin"):
            value = getattr(self, name)
            if value is not None and not 0 <= value < float("inf"):
                raise InputError(f"{name} must be at least 0, received {value}.")
        low, high = self._bounds(None)
        if not low <= high:
            raise InputError(
                "min_score must be at most max_score, and both must be numbers; received "
                f"{self.min_score} and {self.max_score}."
            )
        if self.sampling not in ("top", "random"):
            raise InputError(f"sampling must be 'top' or 'random', received {self.sampling!r}.")
        if self.seed < 0:
            raise InputError(f"seed must be at least 0, received {self.seed}.")

    @property
    def depth(self) -> int:
        """The last rank that is considered."""
        return (
            self.range_min + 10 * self.num_negatives if self.range_max is None else self.range_max
        )

    @property
    def has_margin(self) -> bool:
        """Whether the positive's score matters."""
        return self.absolute_margin is not None or self.relative_margin is not None

    @property
    def has_limit(self) -> bool:
        """Whether any score matters."""
        return self.has_margin or self.min_score is not None or self.max_score is not None

    def choose(self, scores: Sequence[float], positive: float | None, row: int) -> list[int]:
        """Choose among the candidates of one pair.

        Args:
            scores: Those of the candidates between the two ranks, best rank first.
            positive: The positive's score; without a margin it may be ``None``.
            row: The pair's number, which decides what it draws.

        Returns:
            Places in ``scores``, ascending; at most ``num_negatives``.
        """
        low, high = self._bounds(positive)
        left = [place for place, score in enumerate(scores) if low <= score <= high]
        if self.sampling == "random" and len(left) > self.num_negatives:
            generator = np.random.default_rng((self.seed, row))
            drawn = generator.choice(len(left), self.num_negatives, replace=False)
            return [left[place] for place in sorted(drawn.tolist())]
        return left[: self.num_negatives]

    def _bounds(self, positive: float | None) -> tuple[float, float]:
        low = -np.inf if self.min_score is None else self.min_score
        highs = [np.inf if self.max_score is None else self.max_score]
        if positive is not None:
            if self.absolute_margin is not None:
                highs.append(positive - self.absolute_margin)
            if self.relative_margin is not None:
                # Of the magnitude: a share of a negative score must lower it too.
                highs.append(positive - abs(positive) * self.relative_margin)
        return low, min(highs)
