"""An index is made once, and again when it is not whole or of other documents."""

from pathlib import Path

import pytest
from tests.parity.tiny_models import TEXTS

from crossrank.retrieval.dense import Dense
from crossrank.retrieval.hybrid import Hybrid
from crossrank.retrieval.on_disk import open_retriever
from crossrank.retrieval.texts import StoredTexts

pytest.importorskip("bm25s", reason="needs the extra demo")


def first_hit(folder: Path, texts: list[str], steps: list[str]) -> str:
    with StoredTexts.write(folder / "documents", texts) as stored:
        index = open_retriever(folder, stored, "bm25", progress=steps.append)
        ((place, _), *_) = index.search_many(["people in Berlin"], 3)[0]
        return stored[place]


def test_bm25_is_indexed_once(tmp_path: Path) -> None:
    steps: list[str] = []
    for _ in range(2):
        assert first_hit(tmp_path, TEXTS, steps) == TEXTS[1]
    assert steps == ["Indexing 7 texts"]


@pytest.mark.parametrize("damage", ["interrupted", "changed"])
def test_bm25_is_indexed_again(tmp_path: Path, damage: str) -> None:
    steps: list[str] = []
    first_hit(tmp_path, TEXTS, steps)
    if damage == "interrupted":
        (tmp_path / "bm25/documents.digest").unlink()  # written when all else is
        (tmp_path / "bm25/data.csc.index.npy").write_bytes(b"half a fi")
    texts = TEXTS if damage == "interrupted" else TEXTS[::-1]
    assert first_hit(tmp_path, texts, steps) == TEXTS[1]
    assert len(steps) == 2


def test_the_named_retriever_is_opened(bi_encoder: Path, tmp_path: Path) -> None:
    with StoredTexts.write(tmp_path / "documents", TEXTS) as stored:
        assert type(open_retriever(tmp_path, stored, "dense", bi_encoder)) is Dense
        assert not (tmp_path / "bm25").exists()
        both = open_retriever(tmp_path, stored, "both", bi_encoder)
        assert type(both) is Hybrid
        hits = both.search_many(TEXTS[:2], 2)
        assert [found[0][0] for found in hits] == [0, 1]
