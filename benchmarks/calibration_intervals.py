"""How often the 95 % intervals of calibration measures hold the truth, on made-up data.

Logits of documents are normal, and the log-odds of relevance a line of them plus the query's own
lot, so that documents of one query are alike. 100,000 queries give the truth.

    python benchmarks/calibration_intervals.py
"""

import numpy as np

from crossrank.evaluation.calibration_maps import CalibrationMap, Platt, Temperature
from crossrank.evaluation.calibration_measures import (
    brier_losses,
    calibration_error,
    log_losses,
    measure_change,
)
from crossrank.evaluation.judged_pairs import JudgedPairs

QUERIES, DOCUMENTS, REPETITIONS = 50, 20, 200
BEFORE = Temperature(1.0)
MAPS = (Platt(0.55, -1.4), Platt(0.8, -1.4), Platt(0.55, -0.9))
"""Right but for a little, too sure, and too high."""


def draw(queries: int, random: np.random.Generator) -> JudgedPairs:
    numbers = np.repeat(np.arange(queries), DOCUMENTS)
    logits = random.normal(0, 2, len(numbers))
    odds = 0.6 * logits - 1.5 + random.normal(0, 0.7, queries)[numbers]
    relevant = random.random(len(numbers)) < 1 / (1 + np.exp(-odds))
    return JudgedPairs(logits, relevant, numbers)


def true_values(pairs: JudgedPairs, made: CalibrationMap) -> dict[str, float]:
    probabilities = made(pairs.logits)
    return {
        "NLL": float(log_losses(probabilities, pairs.relevant).mean()),
        "Brier": float(brier_losses(probabilities, pairs.relevant).mean()),
        "ECE": calibration_error(probabilities, pairs.relevant),
    }


def main() -> None:
    random = np.random.default_rng(0)
    many = draw(100_000, random)
    before = true_values(many, BEFORE)
    print("true ECE  measure  before  after  change")
    for made in MAPS:
        after = true_values(many, made)
        held = dict.fromkeys(after, np.zeros(3))
        for _ in range(REPETITIONS):
            for name, change in measure_change(draw(QUERIES, random), BEFORE, made).items():
                truth = (before[name], after[name], after[name] - before[name])
                intervals = (change.before, change.after, change.change)
                hits = [i.low <= value <= i.high for i, value in zip(intervals, truth, strict=True)]
                held[name] = held[name] + np.array(hits)
        for name, hits in held.items():
            shares = "  ".join(f"{share:6.3f}" for share in hits / REPETITIONS)
            print(f"{after['ECE']:8.3f}  {name:7}  {shares}")


if __name__ == "__main__":
    main()
