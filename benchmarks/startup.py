"""Measures what a user waits for: the import, and ``crossrank rank`` from start to end.

python benchmarks/startup.py
"""

import json
import os
import statistics
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

from data import documents_of_length, first_stage_pairs
from settings import MAIN, pin

REPEATS = 9
DOCUMENTS, TOKENS = 100, 80

IMPORT = """
import time
start = time.perf_counter()
{statement}
print(time.perf_counter() - start)
"""
MODULES = """
import sys
from crossrank import CrossEncoder
CrossEncoder().rank("a query", ["a document"])
print(sorted({"torch", "transformers", "onnxruntime"} & sys.modules.keys()))
"""


def measure() -> dict[str, Any]:
    """Measure all of it, in seconds; the medians of several processes each."""
    pin()
    with tempfile.TemporaryDirectory() as scratch:
        environment = os.environ | {"CROSSRANK_CACHE": f"{scratch}/cache"}
        documents = Path(scratch) / "documents.txt"
        documents.write_text("\n".join(_documents()) + "\n", encoding="utf-8")
        query = first_stage_pairs("dl19", 1)[0][0]
        command = [MAIN.with_name("crossrank"), "rank", query, documents, "--format", "json"]
        times = []
        for _ in range(REPEATS + 1):
            start = time.perf_counter()
            subprocess.run(command, env=environment, check=True, capture_output=True)
            times.append(time.perf_counter() - start)
        modules = _python(MODULES, environment).strip()
    return {
        "import_crossrank_s": _import_time("import crossrank"),
        "import_cross_encoder_s": _import_time("from crossrank import CrossEncoder"),
        "heavy_modules_after_rank": modules,
        "rank_first_s": times[0],
        "rank_s": statistics.median(times[1:]),
        "rank_min_max_s": [min(times[1:]), max(times[1:])],
    }


def _import_time(statement: str) -> float:
    script = IMPORT.format(statement=statement)
    return statistics.median(float(_python(script, dict(os.environ))) for _ in range(REPEATS))


def _python(script: str, environment: dict[str, str]) -> str:
    return subprocess.run(
        [MAIN, "-c", script], env=environment, check=True, capture_output=True, text=True
    ).stdout


def _documents() -> list[str]:
    from crossrank import CrossEncoder

    with CrossEncoder() as model:
        texts = documents_of_length(model.tokenizer, TOKENS, DOCUMENTS)
    return [text.replace("\n", " ") for text in texts]


if __name__ == "__main__":
    print(json.dumps(measure(), indent=2))
