"""How many times faster one contender is than another, and how sure that is."""

from collections.abc import Sequence
from typing import Any

import numpy as np

SAMPLES = 10_000


def compare(slower: Sequence[float], faster: Sequence[float]) -> dict[str, Any]:
    """Divide the medians of seconds that were measured in the same rounds.

    Args:
        slower: Seconds of each round.
        faster: Seconds of the same rounds.

    Returns:
        ``ratio``, and ``ratio_95``: its percentile interval when rounds are drawn anew, for both
        the same ones. Few rounds, of one run on one machine: what another machine does it does not
        say.
    """
    rounds = np.array([slower, faster])
    drawn = np.random.default_rng(0).integers(rounds.shape[1], size=(SAMPLES, rounds.shape[1]))
    above, below = np.median(rounds[:, drawn], axis=-1)
    slow, fast = np.median(rounds, axis=1)
    return {
        "ratio": float(slow / fast),
        "ratio_95": np.quantile(above / below, [0.025, 0.975]).tolist(),
    }
