"""Compares int8 models with the first of them, which they were distilled from.

    python benchmarks/students.py src/crossrank/models/default src/crossrank/models/small

Quality is nDCG@10 over BM25's best 100 of ``trec-dl`` (dl21 to choose by, dl19 to report). Speed is
that of the first 1,000 pairs of dl19: each model in a process of its own, all of them in turn.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from data import data_folder
from settings import pin

from crossrank.evaluation.evaluation_set import EvaluationSet
from crossrank.evaluation.evaluators import RankingEvaluator
from crossrank.evaluation.significance import bootstrap, compare
from crossrank.quantization.export import FILES
from crossrank.quantization.measure import measure

MEASURE = "nDCG@10"
TIMED_PAIRS = 1000
ROUNDS = 3
"""How often speed is measured."""


def main() -> None:
    """Print the table as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", type=Path, nargs="+", help="model folders in int8")
    chosen = parser.parse_args()
    pin()
    print(json.dumps(table(chosen.models), indent=1))


def table(folders: Sequence[Path]) -> list[dict[str, Any]]:
    """Measure every model, and compare it with the first, a row each."""
    data = data_folder() / "trec-dl"
    tasks = {name: EvaluationSet.read(data / name, depth=100) for name in ("dl21", "dl19")}
    timed = tasks["dl19"].pairs()[:TIMED_PAIRS]
    rounds = [
        [measure(folder, "int8", timed)[0].pairs_per_second for folder in folders]
        for _ in range(ROUNDS)
    ]
    values = {name: [ndcg(folder, task) for folder in folders] for name, task in tasks.items()}
    rows = []
    for place, (folder, *speeds) in enumerate(zip(folders, *rounds, strict=True)):
        ratios = [speed / first[0] for speed, first in zip(speeds, rounds, strict=True)]
        row: dict[str, Any] = {
            "model": folder.name,
            "layers": json.loads((folder / "config.json").read_text())["num_hidden_layers"],
            "mb": round((folder / FILES["int8"]).stat().st_size / 1e6, 1),
            "pairs_per_s": round(median(speeds)),
            "speedup": round(median(ratios), 2),
        }
        for name, (teacher, *_) in values.items():
            own = values[name][place]
            row[name] = str(bootstrap(own))
            row[f"{name}_kept"] = f"{np.mean(own) / np.mean(teacher):.1%}"
            row[f"{name}_less_teacher"] = str(compare(teacher, own).difference)
        rows.append(row)
    return rows


def ndcg(folder: Path, task: EvaluationSet) -> list[float]:
    """Measure nDCG@10 of each query."""
    _, logits = measure(folder, "int8", task.pairs())
    return RankingEvaluator(task, [MEASURE]).judge(logits).each[MEASURE]


if __name__ == "__main__":
    main()
