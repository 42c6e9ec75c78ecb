"""A batch job on this machine as a Ray cluster, beside ``crossrank score`` on the same pairs.

::

    python benchmarks/batch.py [--rounds 3] [--copies 3]

Pairs are BM25's best 100 of TREC DL 2021. Whole processes, alternating; also the rate from the
first part that is written to the last one: then Ray runs, and the model is loaded.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pyarrow
import pyarrow.parquet as parquet
from data import data_folder

from crossrank.evaluation.evaluation_set import EvaluationSet

ROWS = 500
COMMANDS = {
    "crossrank score": ("score", "{pairs}/all.parquet", "-o", "{out}.parquet"),
    "batch, as many as there is room for": ("batch", "{pairs}", "{out}"),
    "batch, one worker of two cores": (
        *("batch", "{pairs}", "{out}", "--workers", "1", "--cpus-per-worker", "2"),
    ),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--copies", type=int, default=3, help="of the pairs, to take longer")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        pairs = Path(folder) / "pairs"
        rows = write(data_folder() / "trec-dl/dl21", chosen.copies, pairs)
        seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in COMMANDS}
        for number in range(chosen.rounds):
            for name, command in COMMANDS.items():
                out = Path(folder) / f"{name.replace(' ', '-')}-{number}"
                seconds[name].append(run(command, pairs, out))
    print(f"{rows} pairs, medians of {chosen.rounds}\n")
    print("| | s, the whole process | pairs/s between first and last part |\n|---|---|---|")
    for name, found in seconds.items():
        whole, rate = (statistics.median(values) for values in zip(*found, strict=True))
        print(f"| {name} | {whole:.1f} | {rate:.0f} |" if rate else f"| {name} | {whole:.1f} | |")


def write(data: Path, copies: int, pairs: Path) -> int:
    """Write the pairs; every copy has queries of its own, since equal pairs are scored once."""
    found = EvaluationSet.read(data, depth=100).pairs()
    rows = [(f"{query} {copy}", document) for copy in range(copies) for query, document in found]
    pairs.mkdir()
    queries, documents = zip(*rows, strict=True)
    table = pyarrow.table({"query": queries, "document": documents})
    parquet.write_table(table, pairs / "all.parquet", row_group_size=10_000)
    return len(rows)


def run(command: tuple[str, ...], pairs: Path, out: Path) -> tuple[float, float]:
    """Run a command; gives its seconds, and the rate at which parts were written."""
    words = [word.format(pairs=pairs, out=out) for word in command]
    if command[0] == "batch":
        words += ["--rows-per-part", str(ROWS)]
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "crossrank", *words], capture_output=True, text=True, check=False
    )
    whole = time.perf_counter() - began
    assert done.returncode == 0, done.stderr
    times = sorted(part.stat().st_mtime for part in out.rglob("*.parquet"))
    return whole, ROWS * (len(times) - 1) / (times[-1] - times[0]) if times else 0.0


if __name__ == "__main__":
    main()
