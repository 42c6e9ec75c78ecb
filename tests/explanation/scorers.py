"""Scoring functions whose attributions are known by hand."""

from collections.abc import Sequence

import numpy as np

from crossrank.types import Floats, Pair

WEIGHTS = {"good": 2.0, "fine": 0.5, "bad": -1.5, "worst": -4.0}


def linear(pairs: Sequence[Pair]) -> Floats:
    """A bag of words: 1, and the weights of the document's words."""
    sums = [1 + sum(WEIGHTS.get(word.strip(".,"), 0) for word in text.split()) for _, text in pairs]
    return np.array(sums, dtype=np.float32)


def both(pairs: Sequence[Pair]) -> Floats:
    """1 for documents with ``left`` and ``right``, else 0: neither word does it alone."""
    return np.array([float("left" in text and "right" in text) for _, text in pairs], np.float32)
