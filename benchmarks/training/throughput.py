"""Training speed beside sentence-transformers, and what both models are worth.

    python benchmarks/training/throughput.py             three seeds of both, in turn
    python benchmarks/training/throughput.py --memory    10,000 steps of crossrank: is memory flat?

Each library computes in the precision that is faster for it, found with a few steps of each. Prints
a table and writes ``results/throughput.json``.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from crossrank.evaluation.significance import bootstrap, compare

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
from model import make_classifier  # noqa: E402
from settings import BUILD, MODEL  # noqa: E402

LIBRARIES = ("sentence-transformers", "crossrank")
TRIAL_STEPS = 6


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--seeds", type=int, default=3)
    options.add_argument("--memory", action="store_true")
    chosen = options.parse_args()
    if not (MODEL / "config.json").exists():
        MODEL.mkdir(parents=True, exist_ok=True)
        make_classifier(MODEL)
    if chosen.memory:
        subprocess.run([sys.executable, HERE / "steady_memory.py"], check=True)
        return
    precisions = {library: fastest(library) for library in LIBRARIES}
    runs = [
        run(library, precisions[library], seed)
        for seed in range(chosen.seeds)
        for library in LIBRARIES
    ]
    report = summary(runs)
    results = HERE / "results"
    results.mkdir(exist_ok=True)
    (results / "throughput.json").write_text(json.dumps(report, indent=1) + "\n")
    print(json.dumps({name: value for name, value in report.items() if name != "runs"}, indent=1))


def fastest(library: str) -> str:
    """Find the precision in which a library trains faster here."""
    speeds = {
        precision: run(library, precision, 0, steps=TRIAL_STEPS)["pairs_per_s"]
        for precision in ("fp32", "bf16")
    }
    return max(speeds, key=speeds.__getitem__)


def run(library: str, precision: str, seed: int, steps: int = 0) -> dict[str, Any]:
    """Train in a process of its own."""
    command = [sys.executable, HERE / "throughput_worker.py"]
    arguments = [library, precision, str(seed), str(steps), str(MODEL)]
    log = BUILD / "logs" / "throughput.txt"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("a") as errors:
        done = subprocess.run(
            [*command, *arguments], check=True, text=True, stdout=subprocess.PIPE, stderr=errors
        )
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    print(f"{library} {precision} seed {seed}: {result['pairs_per_s']:.1f} pairs/s")
    return result


def summary(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Put speed and quality of both side by side; a query's value is its mean over the seeds."""
    speed, values, precision = {}, {}, {}
    for library in LIBRARIES:
        own = [entry for entry in runs if entry["library"] == library]
        speed[library] = median(entry["pairs_per_s"] for entry in own)
        precision[library] = own[0]["precision"]
        queries = list(own[0]["ndcg"])
        values[library] = [
            float(np.mean([entry["ndcg"][query] for entry in own])) for query in queries
        ]
    difference = compare(values["sentence-transformers"], values["crossrank"])
    return {
        "precision": precision,
        "pairs_per_s": speed,
        "ratio": speed["crossrank"] / speed["sentence-transformers"],
        "nDCG@10": {library: str(bootstrap(values[library])) for library in LIBRARIES},
        "difference": str(difference.difference),
        "p": difference.p_value,
        "queries": len(values["crossrank"]),
        "runs": [{k: v for k, v in entry.items() if k != "ndcg"} for entry in runs],
    }


if __name__ == "__main__":
    main()
