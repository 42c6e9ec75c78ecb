"""Measures ``predict`` of every contender on the same pairs, in turns."""

import statistics
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from contenders import BASELINE, CONTENDERS
from data import first_stage_pairs
from ratios import compare
from scipy.stats import kendalltau
from turns import score_in_turn, start

NAME = "pairs"


def measure(
    pairs: int, rounds: int, only: Sequence[str] = (), *, missing: Mapping[Path, str]
) -> dict[str, Any]:
    """Measure the contenders whose title contains one of ``only``; the baseline is always in.

    Returns:
        ``rows``, one a title: what was measured in each round, and how the logits compare; and
        ``failed``: why a contender is missing.
    """
    chosen = [
        each
        for each in CONTENDERS
        if not only or each.title == BASELINE or any(word in each.title for word in only)
    ]
    texts = first_stage_pairs("dl19", pairs)
    with ExitStack() as stack:
        workers, failed = start(stack, chosen, {NAME: texts}, missing=missing, warm_up=[NAME])
        rows: dict[str, Any] = {
            worker.title: {"load_s": worker.load_s, "seconds": []} for worker in workers
        }
        for _ in range(rounds):
            for title, answer in score_in_turn(workers, NAME).items():
                rows[title]["seconds"].append(answer.pop("seconds"))
                rows[title] |= answer
    return {
        "rows": {title: _summary(row, rows[BASELINE]) for title, row in rows.items()},
        "failed": failed,
    }


def _summary(row: dict[str, Any], baseline: dict[str, Any]) -> dict[str, Any]:
    """Make a row of the table."""
    logits, expected = np.array(row["logits"]), np.array(baseline["logits"])
    return {
        "pairs_per_s": len(logits) / statistics.median(row["seconds"]),
        "pairs_per_s_min_max": [
            len(logits) / max(row["seconds"]),
            len(logits) / min(row["seconds"]),
        ],
        **compare(baseline["seconds"], row["seconds"]),
        "kendall_tau": float(kendalltau(logits, expected).statistic),
        "max_difference": float(np.abs(logits - expected).max()),
        "load_s": row["load_s"],
        "peak_mb": row["peak_mb"],
        "seconds": row["seconds"],
    }
