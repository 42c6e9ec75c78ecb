"""How speed changes with the number of candidates, their length, and the cores.

Candidates are passages as a collection has them, long and short ones. The other curves have
documents that all have the same number of tokens, so that each shows one thing. The best peers, in
int8 and in fp32, beside crossrank; all take turns as in ``speed.py``.
"""

import statistics
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from contenders import BASELINE, BEST_PEER, CONTENDERS
from data import Pair, documents_of, documents_of_length, first_stage_pairs
from ratios import compare
from settings import CORES, MODEL
from tokenizers import Tokenizer
from turns import score_in_turn, start

OURS, OURS_FP32 = "crossrank int8", "crossrank fp32"
RIVALS = {OURS: BEST_PEER, OURS_FP32: BASELINE}
"""What each of ours is compared with."""
CURVES = (OURS, OURS_FP32, BEST_PEER, BASELINE)

LONG = 1000
"""Longer lists are scored once: their shapes have been seen in shorter ones, and they take
minutes."""


@dataclass(frozen=True)
class Sizes:
    """What is measured.

    Attributes:
        candidates: How many passages the query has.
        tokens: Of a document, with ``few`` documents.
        cores: With ``some`` documents of ``typical`` tokens.
        least: Pairs that are scored a round: short lists are scored more often.
    """

    candidates: Sequence[int] = (10, 30, 100, 300, 1000, 10_000)
    tokens: Sequence[int] = (16, 32, 64, 128, 256, 512)
    cores: Sequence[int] = (1, CORES)
    typical: int = 48
    few: int = 50
    some: int = 300
    least: int = 100


SMOKE = Sizes(candidates=(2, 4), tokens=(16, 32), few=2, some=4, least=1)


@dataclass(frozen=True)
class Point:
    """One point of all curves."""

    panel: str
    value: int
    pairs: list[Pair]
    cores: int = CORES

    @property
    def name(self) -> str:
        return f"{self.panel} {self.value}"


def measure(rounds: int, sizes: Sizes, *, missing: Mapping[Path, str]) -> dict[str, Any]:
    """Measure all curves.

    Returns:
        ``panels``: for ``candidates``, ``tokens`` and ``cores``, and for each value there, a row a
        title, with the ratios of ours to their rivals; and ``failed``: why a contender is missing.
    """
    points = list(_points(sizes))
    chosen = [each for each in CONTENDERS if each.title in CURVES]
    seconds: dict[str, dict[str, list[float]]] = {point.name: {} for point in points}
    with ExitStack() as stack:
        groups, failed = [], {}
        for cores in sizes.cores:
            own = [point for point in points if point.cores == cores]
            workers, without = start(
                stack,
                chosen,
                {point.name: point.pairs for point in own},
                missing=missing,
                warm_up=[point.name for point in own if len(point.pairs) <= LONG],
                cores=cores,
            )
            groups.append((workers, own))
            failed |= without
        for turn in range(rounds):
            for workers, own in groups:
                for point in own:
                    if turn and len(point.pairs) > LONG:
                        continue
                    for _ in range(max(1, sizes.least // len(point.pairs))):
                        for title, answer in score_in_turn(workers, point.name).items():
                            seconds[point.name].setdefault(title, []).append(answer["seconds"])
    panels: dict[str, Any] = {}
    for point in points:
        panels.setdefault(point.panel, {})[point.value] = _rows(point, seconds[point.name])
    return {"panels": panels, "failed": failed}


def _points(sizes: Sizes) -> Iterator[Point]:
    query = first_stage_pairs("dl19", 1)[0][0]
    tokenizer = Tokenizer.from_file(str(MODEL / "tokenizer.json"))
    tokenizer.no_truncation()

    def pairs(tokens: int, count: int) -> list[Pair]:
        return [(query, text) for text in documents_of_length(tokenizer, tokens, count)]

    passages = documents_of("dl19")
    for count in sizes.candidates:
        yield Point("candidates", count, [(query, text) for text in passages[:count]])
    for tokens in sizes.tokens:
        yield Point("tokens", tokens, pairs(tokens, sizes.few))
    for cores in sizes.cores:
        yield Point("cores", cores, pairs(sizes.typical, sizes.some), cores)


def _rows(point: Point, seconds: dict[str, list[float]]) -> dict[str, Any]:
    count = len(point.pairs)
    rows: dict[str, Any] = {
        title: {
            "pairs_per_s": count / statistics.median(own),
            "pairs_per_s_min_max": [count / max(own), count / min(own)],
            "seconds": own,
        }
        for title, own in seconds.items()
    }
    for title, rival in RIVALS.items():
        if title in rows and rival in rows:
            rows[title] |= {"rival": rival, **compare(seconds[rival], seconds[title])}
    return rows
