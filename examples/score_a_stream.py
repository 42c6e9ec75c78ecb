"""Score any number of pairs in constant memory, and remember the scores between runs."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

from crossrank import CrossEncoder


def pairs() -> Iterator[tuple[str, str]]:
    """Stands for a file or a database too large for memory."""
    for number in range(2000):
        yield "a fruit that grows on trees", f"Item {number % 500}: a box of apples."


with tempfile.TemporaryDirectory() as folder:
    model = CrossEncoder(cache=Path(folder) / "scores.sqlite")
    best = max(model.stream(pairs()))
    print(f"best score {best:.3f}")
    model.close()
