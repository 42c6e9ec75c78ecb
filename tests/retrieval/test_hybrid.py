"""Fusion is of ranks, or weighted as asked for; scores are the bi-encoder's."""

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="vectors are computed with torch")
pytest.importorskip("sentence_transformers", reason="random bi-encoders are saved by it")

from tests.parity.tiny_models import TEXTS

from crossrank.errors import InputError
from crossrank.retrieval.bm25 import BM25
from crossrank.retrieval.dense import BiEncoder, Dense
from crossrank.retrieval.hybrid import Hybrid

pytest.importorskip("bm25s", reason="needs the extra demo")


def test_ranks_by_hand(bi_encoder: Path) -> None:
    encoder = BiEncoder.load(bi_encoder, device="cpu")
    words = BM25(TEXTS)
    dense = Dense(encoder, encoder.encode(TEXTS, role="document").astype(np.float16))
    queries = ["people of Berlin", "zebra", "query and document"]
    for query, hits in zip(queries, Hybrid(words, dense).search_many(queries, 5), strict=True):
        expected: dict[int, float] = {}
        for found in (words.search(query, 5), dense.search_many([query], 5)[0]):
            for rank, (place, _) in enumerate(found, 1):
                expected[place] = expected.get(place, 0) + 1 / (60 + rank)
        ranking = sorted(expected, key=lambda place: -expected[place])[:5]
        assert [place for place, _ in hits] == ranking
        scores = dense.score([(query, TEXTS[place]) for place in ranking])
        assert [score for _, score in hits] == pytest.approx(scores.tolist(), abs=1e-3)


def test_a_weighted_sum_by_hand(bi_encoder: Path) -> None:
    encoder = BiEncoder.load(bi_encoder, device="cpu")
    words = BM25(TEXTS)
    dense = Dense(encoder, encoder.encode(TEXTS, role="document").astype(np.float16))
    query = "people of Berlin"
    (hits,) = Hybrid(words, dense, weight=0.25).search_many([query], 5)
    expected: dict[int, float] = {}
    for share, found in (
        (0.75, words.search(query, 5)),
        (0.25, dense.search_many([query], 5)[0]),
    ):
        scores = [score for _, score in found]
        low, high = min(scores), max(scores)
        for place, score in found:
            normalised = (score - low) / (high - low) if high > low else 1.0
            expected[place] = expected.get(place, 0) + share * normalised
    assert [place for place, _ in hits] == sorted(expected, key=lambda p: -expected[p])[:5]
    with pytest.raises(InputError, match="between 0 and 1"):
        Hybrid(words, dense, weight=1.5)
