"""Vectors survive an interruption, and are computed only once."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="vectors are computed with torch")
pytest.importorskip("sentence_transformers", reason="random bi-encoders are saved by it")

from tests.parity.tiny_models import LONG_TEXT, TEXTS

from crossrank.errors import InputError
from crossrank.retrieval import vector_files
from crossrank.retrieval.dense import BiEncoder
from crossrank.retrieval.index import SearchIndex, update
from crossrank.retrieval.index_files import IndexSettings
from crossrank.retrieval.texts import StoredTexts
from crossrank.retrieval.vector_files import KnownVectors, embed, read_vectors
from crossrank.types import Floats

ALL = [*TEXTS, LONG_TEXT, "", TEXTS[0]]


@pytest.fixture(scope="module")
def encoder(bi_encoder: Path) -> BiEncoder:
    return BiEncoder.load(bi_encoder, device="cpu")


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The documents of every call of a bi-encoder."""
    compute, calls = BiEncoder.encode, []

    def counting(self: BiEncoder, texts: list[str], *, role: Any) -> Floats:
        calls.append(list(texts))
        return compute(self, texts, role=role)

    monkeypatch.setattr(BiEncoder, "encode", counting)
    return calls


def test_embedding_goes_on_where_it_stopped(
    encoder: BiEncoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vector_files, "BLOCK_TEXTS", 4)
    file = tmp_path / "vectors.npy"
    compute, computed = encoder.encode, []

    def breaking(texts: list[str], **options: Any) -> Floats:
        computed.append(list(texts))
        if len(computed) == 3:
            raise KeyboardInterrupt
        return compute(texts, **options)

    with StoredTexts.write(tmp_path / "texts", ALL) as texts, monkeypatch.context() as patch:
        patch.setattr(encoder, "encode", breaking)
        with pytest.raises(KeyboardInterrupt):
            embed(encoder, texts, file)
        assert json.loads((tmp_path / "vectors.npy.progress").read_text())["rows"] == 8
        with pytest.raises(InputError, match=r"vectors of 10 documents .* received 8 of them"):
            read_vectors(encoder, texts, file)
        steps: list[int] = []
        vectors = embed(encoder, texts, file, progress=steps.append)
    assert steps == [8, 2]
    assert computed == [ALL[:4], ALL[4:8], ALL[8:], ALL[8:]]
    assert vectors.dtype == np.float16
    expected = compute(ALL, role="document")
    assert np.allclose(vectors, expected, atol=1e-3)
    with StoredTexts.write(tmp_path / "texts", ALL[::-1]) as other:
        again = embed(encoder, other, file)
    assert np.allclose(again, expected[::-1], atol=1e-3)
    assert np.allclose(vectors, expected, atol=1e-3)  # whoever has it open keeps it


def test_known_vectors_are_not_computed(
    encoder: BiEncoder, tmp_path: Path, computed: list[list[str]]
) -> None:
    texts = ["new", *ALL[::-1], "newer"]
    with (
        StoredTexts.write(tmp_path / "before", ALL) as before,
        StoredTexts.write(tmp_path / "now", texts) as now,
    ):
        vectors = embed(encoder, before, tmp_path / "before.npy")
        known = KnownVectors(before, vectors)
        found = embed(encoder, now, tmp_path / "now.npy", known=known)
    assert computed == [ALL, ["new", "newer"]]
    assert np.array_equal(found[1:-1], vectors[::-1])
    assert np.allclose(found, encoder.encode(texts, role="document"), atol=1e-3)


def test_an_update_computes_the_vectors_of_what_is_new(
    bi_encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, computed: list[list[str]]
) -> None:
    documents, index = tmp_path / "documents", tmp_path / "index"
    documents.mkdir()
    for number, text in enumerate(TEXTS):
        (documents / f"{number}.txt").write_text(text)
    monkeypatch.chdir(bi_encoder.parent)
    update(documents, index, IndexSettings("dense", bi_encoder.name))
    (documents / "3.txt").write_text("Something else.")
    (documents / "0.txt").unlink()
    update(documents, index, IndexSettings("dense", bi_encoder.name))
    assert computed == [TEXTS, ["Something else."]]
    monkeypatch.chdir(tmp_path)  # the model was named from elsewhere
    opened = SearchIndex(index)
    (hits,) = opened.retriever.search_many(["Something else."], 1)
    assert [opened[place].path for place, _ in hits] == ["3.txt"]
    opened.close()
    update(documents, index)
    assert len(computed) == 3  # the query


@pytest.mark.parametrize("name", ["vectors.npy", "vectors.npy.progress"])
@pytest.mark.parametrize("end", [0, 90, -1])
def test_damaged_vectors_are_computed_again(
    bi_encoder: Path, tmp_path: Path, name: str, end: int
) -> None:
    (tmp_path / "documents.txt").write_text(TEXTS[0])
    index = tmp_path / "index"
    settings = IndexSettings("dense", str(bi_encoder))
    update(tmp_path / "documents.txt", index, settings)
    (file,) = index.glob(f"state-*/{name}")
    file.write_bytes(file.read_bytes()[:end])
    with pytest.raises(InputError, match="run `crossrank index` again"):
        SearchIndex(index)
    update(tmp_path / "documents.txt", index, settings)
    opened = SearchIndex(index)
    ((_, score),) = opened.retriever.search_many([TEXTS[0]], 1)[0]
    assert score == pytest.approx(1, abs=1e-3)
    opened.close()
