"""Give a backend a batch for which its process has no memory, then one for which it has.

A program of its own: the limit holds for a whole process and cannot be lifted again.
"""

import resource
import sys
from pathlib import Path

import numpy as np

from crossrank.backends import load_backend
from crossrank.batching import Batch
from crossrank.errors import OutOfMemoryError
from crossrank.models import read_spec

ROOM = 300_000_000


def main(name: str, folder: str) -> None:
    """Exit with 0 when the backend tells of the lack and goes on working."""
    backend = load_backend(read_spec(Path(folder), "tiny"), name, device="cpu")
    ids = np.ones((20_000, 64), dtype=np.int64)
    small = Batch(ids[:4], ids[:4], ids[:4])
    before = backend.forward(small)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + ROOM, -1))
    try:
        backend.forward(Batch(ids, ids, ids))
    except OutOfMemoryError as error:
        told = "20000 pairs" in str(error)
        sys.exit(0 if told and np.array_equal(backend.forward(small), before) else 1)
    sys.exit(2)


if __name__ == "__main__":
    main(*sys.argv[1:])
