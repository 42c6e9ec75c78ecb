"""An index on disk finds what one in memory finds."""

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crossrank.errors import InputError
from crossrank.retrieval import bm25_files
from crossrank.retrieval.bm25 import BM25

pytest.importorskip("bm25s", reason="needs the extra demo")

WORD = st.sampled_from(["red", "Red", "blue", "fox", "the", "a", "größe", "\ud800x"])
TEXT = st.lists(WORD, max_size=6).map(" ".join)


@given(st.lists(TEXT, min_size=1, max_size=9), TEXT)
@settings(max_examples=60, deadline=None)
def test_the_same_scores_as_in_memory(documents: list[str], query: str) -> None:
    """Also when texts and postings are read in blocks of two and three."""
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as folder:
        patch.setattr(bm25_files, "BLOCK_TEXTS", 2)
        patch.setattr(bm25_files, "BLOCK_POSTINGS", 3)
        memory = BM25(documents)
        expected = memory.search(query, 9)
        if not any(memory.search(text, 1) for text in documents):
            with pytest.raises(InputError, match="needs documents with words"):
                BM25.build(Path(folder), documents)
            return
        disk = BM25.build(Path(folder), iter(documents))
        found = BM25.open(Path(folder)).search(query, 9)
        assert [place for place, _ in found] == [place for place, _ in expected]
        scores = [score for _, score in expected]
        assert [score for _, score in found] == pytest.approx(scores, rel=1e-5)
        pairs = [(query, documents[place]) for place, _ in expected]
        assert disk.score(pairs).tolist() == pytest.approx(scores, rel=1e-5)
        assert memory.score(pairs).tolist() == pytest.approx(scores, rel=1e-5)


def test_no_index_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="must hold a BM25 index"):
        BM25.open(tmp_path)
