"""Mines hard negatives in a million synthetic documents, and watches memory and time.

python benchmarks/mining.py --documents 1000000 --queries 10000

Documents have 10 to 110 words of a vocabulary of 300,000 whose frequencies follow Zipf's law, as
words in texts do; a query is 2 to 8 words of its positive. ``--dense`` searches random vectors of
384 numbers besides: as many as there are documents are not encoded here, which takes hours on two
cores, but written as ``embed`` writes them and searched as it is done when mining.
"""

import argparse
import json
import random
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from settings import memory_mb, pin

VOCABULARY = 300_000
WIDTH = 384


def main() -> None:
    """Print what was measured as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--documents", type=int, default=1_000_000)
    parser.add_argument("--queries", type=int, default=10_000)
    parser.add_argument("--folder", type=Path, help="where files go; a temporary one by default")
    parser.add_argument("--dense", action="store_true", help="search random vectors too")
    chosen = parser.parse_args()
    pin()
    with tempfile.TemporaryDirectory(dir=chosen.folder) as folder:
        found = mine(Path(folder), chosen.documents, chosen.queries)
        if chosen.dense:
            found["dense"] = search_vectors(Path(folder), chosen.documents, chosen.queries)
    print(json.dumps(found, indent=2))


def mine(folder: Path, documents: int, queries: int) -> dict[str, Any]:
    """Mine with BM25: three negatives from ranks 6 to 35, at most 95 % of the positive's score."""
    from crossrank.training.negatives import mine_negatives
    from crossrank.training.selection import Selection

    steps: list[tuple[str, float, float]] = []

    def note(step: str) -> None:
        steps.append((step, time.perf_counter(), memory_mb("VmHWM")))

    before = memory_mb("VmRSS")
    mined = mine_negatives(
        pairs(documents, queries),
        texts(documents),
        folder=folder,
        selection=Selection(num_negatives=3, range_min=5, relative_margin=0.05),
        progress=note,
    )
    complete = sum(len(entry.negatives) == 3 for entry in mined)
    note("done")
    reading, indexing, mining, done = [when for _, when, _ in steps]
    peaks = [peak for _, _, peak in steps]
    return {
        "documents": documents,
        "queries": queries,
        "with_three_negatives": complete,
        "files_mb": sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) / 1e6,
        "store_seconds": indexing - reading,
        "index_seconds": mining - indexing,
        "queries_per_s": queries / (done - mining),
        "rss_before_mb": before,
        "peak_mb": {"stored": peaks[1], "indexed": peaks[2], "mined": peaks[3]},
        "anonymous_mb": memory_mb("RssAnon"),
    }


def texts(count: int) -> Iterator[str]:
    """Make documents, the same ones in every call."""
    generator = np.random.default_rng(0)
    for _ in range(0, count, 1000):
        lengths = generator.integers(10, 110, size=1000)
        words = iter(_words(generator, int(lengths.sum())).tolist())
        for length in lengths.tolist()[: min(1000, count)]:
            yield " ".join(f"w{next(words):x}" for _ in range(length))


def pairs(documents: int, count: int) -> Iterator[tuple[str, str]]:
    """Take documents at equal distances, each with some of its words as a query."""
    generator = random.Random(0)
    step = documents // count
    for number, text in enumerate(texts(documents)):
        if number % step == 0 and number // step < count:
            yield " ".join(generator.sample(text.split(), generator.randint(2, 8))), text


def _words(generator: np.random.Generator, count: int) -> NDArray[np.int64]:
    """Draw words by Zipf's law: the n-th has the probability 1 / n, scaled."""
    ranks: NDArray[np.int64] = (VOCABULARY ** generator.random(count)).astype(np.int64)
    return ranks


def search_vectors(folder: Path, documents: int, queries: int) -> dict[str, Any]:
    """Search random vectors that are mapped into memory."""
    from crossrank.retrieval.vectors import nearest

    generator = np.random.default_rng(0)
    file = folder / "vectors.npy"
    vectors = np.lib.format.open_memmap(file, "w+", np.float16, (documents, WIDTH))
    for start in range(0, documents, 10_000):
        shape = vectors[start : start + 10_000].shape
        vectors[start : start + 10_000] = generator.standard_normal(shape, dtype=np.float32)
    vectors.flush()
    mapped = np.load(file, mmap_mode="r")
    asked = generator.standard_normal((queries, WIDTH), dtype=np.float32)
    start = time.perf_counter()
    hits = nearest(asked, mapped, k=36)
    seconds = time.perf_counter() - start
    assert all(len(found) == 36 for found in hits)
    return {
        "vectors_mb": file.stat().st_size / 1e6,
        "queries_per_s": queries / seconds,
        "peak_anonymous_mb": memory_mb("RssAnon"),
    }


if __name__ == "__main__":
    main()
