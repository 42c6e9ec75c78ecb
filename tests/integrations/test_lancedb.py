"""LanceDB: vector, full-text and hybrid search in a real table."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.integrations.conftest import QUERY, TEXTS

from crossrank import CrossEncoder

pytest.importorskip("lancedb", reason="needs lancedb")

import lancedb
from lancedb.index import FTS

from crossrank.integrations.lancedb import CrossRankReranker


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder: Path = tmp_path_factory.mktemp("lancedb")
    rows = [
        {"number": number, "text": text, "vector": np.eye(4, dtype=np.float32)[number].tolist()}
        for number, text in enumerate(TEXTS)
    ]
    table = lancedb.connect(folder).create_table("texts", rows)
    table.create_index("text", config=FTS())
    return table


def test_vector_search(table: Any, model: CrossEncoder, ranking: list[tuple[int, float]]) -> None:
    reranker = CrossRankReranker(model)
    found = table.search([1.0, 0, 0, 0]).limit(4).rerank(reranker, QUERY).to_arrow()
    assert found["number"].to_pylist() == [index for index, _ in ranking]
    np.testing.assert_allclose(found["_relevance_score"].to_pylist(), [s for _, s in ranking])
    assert "_distance" not in found.column_names
    everything = CrossRankReranker(model, return_score="all")
    found = table.search([1.0, 0, 0, 0]).limit(4).rerank(everything, QUERY).to_arrow()
    assert "_distance" in found.column_names


def test_full_text_and_hybrid_search(table: Any, model: CrossEncoder) -> None:
    reranker = CrossRankReranker(model)
    found = table.search("capital", query_type="fts").limit(4).rerank(reranker).to_arrow()
    order = [entry["corpus_id"] for entry in model.rank("capital", TEXTS)]
    assert found["number"].to_pylist() == [number for number in order if number in (2, 3)]
    search = table.search(query_type="hybrid").vector([1.0, 0, 0, 0]).text("capital").limit(4)
    assert search.rerank(reranker).to_arrow()["number"].to_pylist() == order
    scores = CrossRankReranker(model, return_score="all")
    search = table.search(query_type="hybrid").vector([1.0, 0, 0, 0]).text("capital").limit(4)
    assert set(search.rerank(scores).to_arrow().column_names) >= {"_distance", "_score"}


def test_nothing_found(table: Any, model: CrossEncoder) -> None:
    search = table.search("zebra", query_type="fts").limit(4).rerank(CrossRankReranker(model))
    found = search.to_arrow()
    assert len(found) == 0
    assert "_relevance_score" in found.column_names
