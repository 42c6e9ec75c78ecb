"""Measuring one model in a process of its own, so that models do not warm or crowd each other.

``python -m crossrank.quantization.measure FOLDER PRECISION PAIRS LOGITS`` reads pairs as JSON,
writes the logits as ``.npy`` and prints what it measured as JSON.
"""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import cast

import numpy as np

from crossrank.cross_encoder import CrossEncoder
from crossrank.errors import ExportError
from crossrank.types import Floats, Pair, Precision


@dataclass(frozen=True)
class Measurement:
    """One run of one model.

    Attributes:
        load_seconds: From the files to the first score.
        pairs_per_second: Over all pairs, after that.
        peak_bytes: The process's largest resident memory.
    """

    load_seconds: float
    pairs_per_second: float
    peak_bytes: int


def measure(
    folder: Path, precision: Precision, pairs: Sequence[Pair]
) -> tuple[Measurement, Floats]:
    """Load and run a model in a new process.

    Args:
        folder: The model.
        precision: What to compute in.
        pairs: What to score.

    Returns:
        What was measured, and the logits ``[pairs, labels]``.

    Raises:
        ExportError: The model cannot be run.
    """
    with tempfile.TemporaryDirectory() as scratch:
        questions, answers = Path(scratch) / "pairs.json", Path(scratch) / "logits.npy"
        questions.write_text(json.dumps(pairs), encoding="utf-8")
        told = Path(scratch) / "measured.json"
        arguments = [str(folder), precision, str(questions), str(answers), str(told)]
        command = [sys.executable, "-m", __name__, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
        if done.returncode != 0:
            last = (done.stderr.strip().splitlines() or ["it gave no reason"])[-1]
            raise ExportError(f"The exported model cannot be run: {last}")
        return Measurement(**json.loads(told.read_text(encoding="utf-8"))), np.load(answers)


def _main(folder: str, precision: str, questions: str, answers: str, told: str) -> None:
    pairs = [tuple(pair) for pair in json.loads(Path(questions).read_text(encoding="utf-8"))]
    begin = time.perf_counter()
    model = CrossEncoder(
        folder, backend="openvino", precision=cast(Precision, precision), activation_fn="identity"
    )
    model.predict(pairs[:1])
    loaded = time.perf_counter()
    model.predict(pairs[:32])  # engines prepare shapes when they first see them
    warm = time.perf_counter()
    logits = model.predict(pairs)
    speed = len(pairs) / (time.perf_counter() - warm)
    np.save(answers, np.asarray(logits).reshape(len(pairs), -1))
    measured = Measurement(loaded - begin, speed, _peak_memory())
    Path(told).write_text(json.dumps(asdict(measured)), encoding="utf-8")


def _peak_memory() -> int:
    """The largest resident memory of this process so far, in bytes.

    Linux counts what the parent had before it started this program into ``ru_maxrss``, but not
    into ``VmHWM``.
    """
    status = Path("/proc/self/status")
    if status.exists():
        lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
        return int(lines["VmHWM"].split()[0]) * 1024
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


if __name__ == "__main__":
    _main(*sys.argv[1:])
