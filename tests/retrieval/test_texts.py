"""Texts on disk come back as they were, and are told from others."""

import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crossrank.errors import InputError
from crossrank.retrieval.texts import StoredTexts

ANY_TEXT = st.text(st.characters(), max_size=8)  # lone surrogates too


@given(st.lists(ANY_TEXT, max_size=6))
def test_texts_come_back(texts: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "documents"
        with StoredTexts.write(path, iter(texts)) as written:
            assert list(written) == texts
            digest = written.digest
        with StoredTexts(path) as opened:
            assert [opened[place] for place in range(len(opened))] == texts
            assert opened.digest == digest


def test_order_and_borders_count(tmp_path: Path) -> None:
    digests = set()
    for texts in (["ab", "c"], ["a", "bc"], ["c", "ab"], ["abc"], ["abc", ""], []):
        with StoredTexts.write(tmp_path / "texts", texts) as stored:
            digests.add(stored.digest)
    assert len(digests) == 6


def test_no_text_is_refused_by_its_index(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="Text 1 must be a string, received None"):
        StoredTexts.write(tmp_path / "texts", ["text", None])  # type: ignore[list-item]
