"""Where things are, and what is measured: shared by the scripts of this folder."""

import os
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
MAIN = Path(sys.prefix) / "bin" / "python"
"""crossrank, and sentence-transformers on torch."""
PEERS = ROOT / ".venv-peers" / "bin" / "python"
"""The other libraries; ``peers.txt`` says which."""
INFINITY = ROOT / ".venv-infinity" / "bin" / "python"
"""infinity, whose pins clash with those of all others; ``server/infinity.txt`` has them."""
BUILD = ROOT / "build" / "benchmarks"
"""What ``model.py`` makes, once: one model in the formats that the contenders read."""
MODEL = BUILD / "model"
"""As transformers saves it."""
INT8 = BUILD / "crossrank-int8"
"""As crossrank exports it."""
ONNX = BUILD / "onnx"
"""As ONNX Runtime's own tools make it."""
OPENVINO = BUILD / "openvino"
"""As sentence-transformers exports it."""
RESULTS = HERE / "results"

CORES = 2
PAIRS = 1000
MAX_LENGTH = 512


def pin(cores: int = CORES) -> None:
    """Keep this process, and those it starts, on the first cores that it may use."""
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cores])


def memory_mb(field: str, process: int | str = "self") -> float:
    """Read ``VmRSS`` (memory now) or ``VmHWM`` (its peak) of a process, in MB; 0 when it ended."""
    try:
        status = Path(f"/proc/{process}/status").read_text(encoding="ascii")
    except OSError:
        return 0.0
    found = [line for line in status.splitlines() if line.startswith(field)]
    return int(found[0].split()[1]) * 1024 / 1e6 if found else 0.0
