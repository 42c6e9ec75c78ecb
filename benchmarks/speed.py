"""Measures ``predict`` of every contender on the same pairs, in turns.

Each contender is a process of its own, pinned to the same cores. They take turns (A B C A B C ...),
so that a machine that slows down for a while slows all of them; the others sleep meanwhile.
"""

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

import numpy as np
from contenders import BASELINE, CONTENDERS, Contender
from data import Pair, first_stage_pairs
from scipy.stats import kendalltau
from settings import BUILD, HERE, MAIN, PEERS, pin

SETTLE_S = 0.3
"""Engines spin a while after their work before their threads sleep."""


class WorkerFailedError(Exception):
    """A contender could not load the model or score the pairs."""


class Worker:
    """A contender's process."""

    def __init__(self, contender: Contender, pairs: Path) -> None:
        self.contender = contender
        log = BUILD / "logs" / f"{contender.title.replace(' ', '-')}.txt"
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("w") as errors:
            self._process = subprocess.Popen(
                [
                    MAIN if contender.environment == "main" else PEERS,
                    HERE / "worker.py",
                    contender.title,
                    pairs,
                ],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                preexec_fn=pin,  # this process has no other threads
                env=os.environ | {"CROSSRANK_CACHE": str(BUILD / "cache"), "HF_HUB_OFFLINE": "1"},
            )
        self.failure = f"{contender.title} failed: see {log}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._process.kill()
        self._process.wait()

    def read(self) -> dict[str, Any]:
        """Wait for an answer."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise WorkerFailedError(self.failure)
        answer: dict[str, Any] = json.loads(line)
        return answer

    def score(self) -> dict[str, Any]:
        """Score the pairs once more, and time it."""
        assert self._process.stdin is not None
        self._process.stdin.write("score\n")
        self._process.stdin.flush()
        return self.read()


def measure(pairs: int, rounds: int, only: Sequence[str] = ()) -> dict[str, Any]:
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
    file = BUILD / "pairs.json"
    file.write_text(json.dumps(texts), encoding="utf-8")
    with ExitStack() as stack:
        workers, rows, failed = [], {}, {}
        for contender in chosen:
            say(f"loading {contender.title}")
            worker = stack.enter_context(Worker(contender, file))
            try:
                rows[contender.title] = worker.read() | {"seconds": []}
            except WorkerFailedError as error:
                say(str(error))
                failed[contender.title] = str(error)
            else:
                workers.append(worker)
        for number in range(rounds):
            for worker in workers:
                time.sleep(SETTLE_S)
                answer = worker.score()
                row = rows[worker.contender.title]
                row["seconds"].append(answer["seconds"])
                row["peak_mb"] = answer["peak_mb"]
                speed = pairs / answer["seconds"]
                say(f"round {number + 1}: {worker.contender.title}: {speed:.0f} pairs/s")
    summaries = {title: _summary(row, rows[BASELINE], texts) for title, row in rows.items()}
    return {"rows": summaries, "failed": failed}


def _summary(row: dict[str, Any], baseline: dict[str, Any], pairs: list[Pair]) -> dict[str, Any]:
    """Make a row of the table."""
    logits, expected = np.array(row["logits"]), np.array(baseline["logits"])
    median = statistics.median(row["seconds"])
    ratios = [base / own for base, own in zip(baseline["seconds"], row["seconds"], strict=True)]
    return {
        "pairs_per_s": len(pairs) / median,
        "pairs_per_s_min_max": [
            len(pairs) / max(row["seconds"]),
            len(pairs) / min(row["seconds"]),
        ],
        "ratio": statistics.median(baseline["seconds"]) / median,
        "ratio_min_max": [min(ratios), max(ratios)],
        "kendall_tau": float(kendalltau(logits, expected).statistic),
        "max_difference": float(np.abs(logits - expected).max()),
        "load_s": row["load_s"],
        "peak_mb": row["peak_mb"],
        "seconds": row["seconds"],
    }


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
