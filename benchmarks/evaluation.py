"""Reads and measures a run of a million lines, in each format that runs have.

python benchmarks/evaluation.py
"""

import argparse
import json
import random
import tempfile
import time
from pathlib import Path
from typing import Any

from settings import memory_mb, pin

QUERIES, JUDGED = 1000, 50
FORMATS = ("run.txt", "run.txt.gz", "run.jsonl", "run.parquet")
MEASURES = ("nDCG@10", "AP", "RR")


def measure(lines: int) -> dict[str, Any]:
    """Make a run of 1,000 queries with 50 judged documents each; read it and measure it.

    Returns:
        Seconds for reading each format, the judgements, and for the measures together; for a run
        whose scores are all different and for one with ties everywhere.
    """
    from crossrank.evaluation.measures import measure as measure_run
    from crossrank.evaluation.trec import read_qrels, read_run, write_qrels, write_run

    pin()
    run, qrels = _synthetic(lines // QUERIES)
    found: dict[str, Any] = {"lines": lines, "measures": MEASURES}
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        write_qrels(home / "qrels.txt", qrels)
        found["read_qrels_s"], qrels = _timed(read_qrels, home / "qrels.txt")
        for name in FORMATS:
            write_run(home / name, run)
            found[f"read_{name}_s"], back = _timed(read_run, home / name)
            assert back == run
    found["measure_s"], found["values"] = _timed(measure_run, run, qrels, MEASURES)
    tied = {query: dict.fromkeys(scores, 0.5) for query, scores in run.items()}
    found["measure_ties_s"], _ = _timed(measure_run, tied, qrels, MEASURES)
    found["read_and_measure_s"] = (
        found["read_qrels_s"] + found["read_run.txt_s"] + found["measure_s"]
    )
    found["peak_mb"] = memory_mb("VmHWM")
    return found


def _synthetic(depth: int) -> tuple[dict[str, dict[str, float]], dict[str, dict[str, int]]]:
    generator = random.Random(0)
    run: dict[str, dict[str, float]] = {}
    qrels: dict[str, dict[str, int]] = {}
    for query in map(str, range(QUERIES)):
        names = [f"msmarco_passage_{n:08}" for n in generator.sample(range(8_000_000), depth)]
        run[query] = {document: generator.gauss(0, 5) for document in names}
        qrels[query] = {document: generator.randrange(4) for document in names[:: depth // JUDGED]}
    return run, qrels


def _timed(function: Any, *arguments: Any) -> tuple[float, Any]:
    start = time.perf_counter()
    result = function(*arguments)
    return time.perf_counter() - start, result


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lines", type=int, default=1_000_000)
    print(json.dumps(measure(parser.parse_args().lines), indent=2))
