"""Nearest neighbours are exact, however they are computed."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crossrank.errors import InputError
from crossrank.retrieval import vectors
from crossrank.retrieval.base import Hits
from crossrank.retrieval.vectors import nearest


def brute_force(queries: np.ndarray, documents: np.ndarray, k: int) -> list[Hits]:
    scores = queries @ documents.astype(np.float32).T
    best = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    return [
        [(int(place), float(row[place])) for place in places]
        for row, places in zip(scores, best, strict=True)
    ]


@given(
    seed=st.integers(0, 2**32 - 1),
    queries=st.integers(1, 7),
    count=st.integers(1, 40),
    k=st.integers(1, 50),
)
@settings(deadline=None)
@pytest.mark.parametrize("library", ["numpy", "torch"])
def test_the_same_as_comparing_all(
    library: str, seed: int, queries: int, count: int, k: int
) -> None:
    """Small integers: sums are exact, and there are many ties, also between blocks."""
    random = np.random.default_rng(seed)
    asked = random.integers(-2, 3, size=(queries, 3)).astype(np.float32)
    documents = random.integers(-2, 3, size=(count, 3)).astype(np.float16)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(vectors, "BLOCK_QUERIES", 3)
        patch.setattr(vectors, "BLOCK_VECTORS", 8)
        if library == "torch":
            pytest.importorskip("torch", reason="computes on other devices than the CPU")
            patch.setattr(vectors, "_above_on_cpu", partial(vectors._above_on, "cpu"))
        assert nearest(asked, documents, k) == brute_force(asked, documents, k)


def test_vectors_on_disk(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    asked = random.standard_normal((4, 16), dtype=np.float32)
    np.save(tmp_path / "vectors.npy", random.standard_normal((20_000, 16)).astype(np.float16))
    mapped = np.load(tmp_path / "vectors.npy", mmap_mode="r")
    found = nearest(asked, mapped, 10)
    expected = brute_force(asked, mapped, 10)
    assert [[place for place, _ in hits] for hits in found] == [
        [place for place, _ in hits] for hits in expected
    ]
    assert np.allclose(
        [[score for _, score in hits] for hits in found],
        [[score for _, score in hits] for hits in expected],
        rtol=1e-5,
    )


def test_what_cannot_be_searched_is_refused() -> None:
    documents = np.zeros((2, 3), dtype=np.float16)
    with pytest.raises(InputError, match="k must be at least 1, received 0"):
        nearest(np.zeros((1, 3), dtype=np.float32), documents, 0)
    with pytest.raises(InputError, match=r"\[queries, 3\] are required.*received \[1, 4\]"):
        nearest(np.zeros((1, 4), dtype=np.float32), documents, 1)
