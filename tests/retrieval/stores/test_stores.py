"""Every store finds what a comparison with all vectors finds, and works below the reranker."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="random bi-encoders are made with torch")

from tests.retrieval.stores.conftest import DOCUMENTS, QUERIES

from crossrank import CrossEncoder
from crossrank.errors import InputError
from crossrank.retrieval.base import Document
from crossrank.retrieval.dense import BiEncoder
from crossrank.retrieval.pipeline import RetrieveAndRerank
from crossrank.retrieval.stores.base import StoreRetriever

Fill = Callable[..., Callable[..., StoreRetriever]]
"""Fills a store with ``DOCUMENTS``, and gives what opens it with settings."""


def fill_qdrant(encoder: BiEncoder, request: Any) -> Callable[..., StoreRetriever]:
    pytest.importorskip("qdrant_client", reason="needs qdrant-client")
    from qdrant_client import QdrantClient, models

    from crossrank.retrieval.stores.qdrant import QdrantRetriever

    distance = models.Distance.COSINE if encoder.normalized else models.Distance.DOT
    client = QdrantClient(":memory:")
    request.addfinalizer(client.close)
    shape = models.VectorParams(size=encoder.width, distance=distance)
    client.create_collection("docs", vectors_config={"meaning": shape})
    client.upsert(
        "docs",
        [
            models.PointStruct(
                id=number,
                vector={"meaning": vector.tolist()},
                payload={"text": DOCUMENTS[number], "number": number},
            )
            for number, vector in enumerate(encoder.encode(DOCUMENTS, role="document"))
        ],
    )
    first = models.FieldCondition(key="number", range=models.Range(lt=5))

    def opened(**settings: Any) -> StoreRetriever:
        if settings.pop("first_five", False):
            settings["where"] = models.Filter(must=[first])
        return QdrantRetriever(client, "docs", encoder, **{"vector": "meaning"} | settings)

    return opened


def fill_postgres(encoder: BiEncoder, request: Any) -> Callable[..., StoreRetriever]:
    connection = request.getfixturevalue("postgres")
    from crossrank.retrieval.stores.pgvector import PgvectorRetriever

    connection.execute("DROP TABLE IF EXISTS docs")
    connection.execute(
        f"CREATE TABLE docs (id int, text text, number int, meaning vector({encoder.width}))"
    )
    vectors = encoder.encode(DOCUMENTS, role="document")
    connection.cursor().executemany(
        "INSERT INTO docs VALUES (%s, %s, %s, %s)",
        [
            (number, DOCUMENTS[number], number, json.dumps(vector.tolist()))
            for number, vector in enumerate(vectors)
        ],
    )
    connection.execute("INSERT INTO docs VALUES (99, 'no vector yet', 99, NULL)")

    def opened(**settings: Any) -> StoreRetriever:
        if settings.pop("first_five", False):
            settings |= {"where": "number < %s", "values": [5]}
        return PgvectorRetriever(
            connection, "public.docs", encoder, **{"vector": "meaning"} | settings
        )

    return opened


def fill_lancedb(encoder: BiEncoder, request: Any) -> Callable[..., StoreRetriever]:
    lancedb = pytest.importorskip("lancedb", reason="needs lancedb")
    import pyarrow as pa

    from crossrank.retrieval.stores.lancedb import LanceDBRetriever

    folder: Path = request.getfixturevalue("tmp_path")
    vectors = encoder.encode(DOCUMENTS, role="document")
    columns = {
        "id": range(len(DOCUMENTS)),
        "text": DOCUMENTS,
        "number": range(len(DOCUMENTS)),
        "meaning": pa.FixedSizeListArray.from_arrays(vectors.ravel(), encoder.width),
    }
    table = lancedb.connect(folder).create_table("docs", pa.table(columns))

    def opened(**settings: Any) -> StoreRetriever:
        if settings.pop("first_five", False):
            settings["where"] = "number < 5"
        return LanceDBRetriever(table, encoder, **{"vector": "meaning"} | settings)

    return opened


@pytest.fixture(params=[fill_qdrant, fill_postgres, fill_lancedb], ids=["qdrant", "pg", "lancedb"])
def fill(request: pytest.FixtureRequest) -> Fill:
    return lambda encoder: request.param(encoder, request)


@pytest.mark.parametrize("name", ["encoder", "inner_products"])
def test_the_nearest_of_all(fill: Fill, name: str, request: pytest.FixtureRequest) -> None:
    encoder: BiEncoder = request.getfixturevalue(name)
    products = encoder.encode(QUERIES, role="query") @ encoder.encode(DOCUMENTS, role="document").T
    store = fill(encoder)()
    for query, row, hits in zip(QUERIES, products, store.search_many(QUERIES, 7), strict=True):
        best = np.argsort(-row)[:7]
        assert [hit for hit, _ in hits] == [Document(i, DOCUMENTS[i]) for i in best.tolist()]
        scores = [score for _, score in hits]
        assert scores == pytest.approx(row[best].tolist(), rel=1e-4, abs=1e-4)
        pairs = [(query, hit.text) for hit, _ in hits]
        assert store.score(pairs).tolist() == pytest.approx(scores, rel=1e-4, abs=1e-4)


def test_conditions(fill: Fill, encoder: BiEncoder) -> None:
    hits = fill(encoder)(first_five=True).search_many(QUERIES[:1], 20)[0]
    assert sorted(hit.id for hit, _ in hits) == [0, 1, 2, 3, 4]


def test_below_the_reranker(fill: Fill, encoder: BiEncoder) -> None:
    store, model = fill(encoder)(), CrossEncoder()
    search = RetrieveAndRerank(store, model, depth=8, top_k=10)
    found = [hit for hit, _ in store.search_many(QUERIES[:1], 10)[0]]
    for result in (search(QUERIES[0]), search.search_many(QUERIES)[0]):
        ranking = model.rank(QUERIES[0], [document.text for document in found[:8]])
        expected = [found[entry["corpus_id"]] for entry in ranking] + found[8:]
        assert [Document(hit.id, hit.text) for hit in result.hits] == expected
        assert result.depth == 8


def test_wrong_names_and_numbers(fill: Fill, encoder: BiEncoder) -> None:
    opened = fill(encoder)
    with pytest.raises(InputError, match="words"):
        opened(text="words").search_many(QUERIES, 1)
    with pytest.raises(InputError, match="vectors"):
        opened(vector="vectors")
    with pytest.raises(InputError, match="k must be at least 1"):
        opened().search_many(QUERIES, 0)


def test_vectors_of_another_model(
    fill: Fill, encoder: BiEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = fill(encoder)
    monkeypatch.setattr(encoder, "width", 16)
    monkeypatch.setattr(encoder, "encode", lambda texts, role: np.ones((len(texts), 16)))
    with pytest.raises(InputError, match=r"\b32\b.*\b16\b|\b16\b.*\b32\b"):
        opened().search_many(QUERIES, 1)


def test_a_failed_search_leaves_the_connection_usable(encoder: BiEncoder, postgres: Any) -> None:
    from crossrank.retrieval.stores.pgvector import PgvectorRetriever

    with postgres.transaction():
        postgres.execute("CREATE TEMPORARY TABLE kept (id int)")
        with pytest.raises(InputError, match=r"'nothing' cannot be searched.*does not exist"):
            PgvectorRetriever(postgres, "nothing", encoder)
    assert postgres.execute("SELECT count(*) FROM kept").fetchone() == (0,)


def test_distances_that_are_no_products(encoder: BiEncoder) -> None:
    pytest.importorskip("qdrant_client", reason="needs qdrant-client")
    from qdrant_client import QdrantClient, models

    from crossrank.retrieval.stores.qdrant import QdrantRetriever

    client = QdrantClient(":memory:")
    shape = models.VectorParams(size=encoder.width, distance=models.Distance.EUCLID)
    client.create_collection("far", vectors_config=shape)
    with pytest.raises(InputError, match="'far' has Euclid"):
        QdrantRetriever(client, "far", encoder)
    with pytest.raises(InputError, match="no collection 'near'"):
        QdrantRetriever(client, "near", encoder)
    client.close()


def test_positions_need_documents() -> None:
    from crossrank.retrieval.bm25 import BM25

    with pytest.raises(InputError, match="documents are required"):
        RetrieveAndRerank(BM25(DOCUMENTS), CrossEncoder())("Berlin")
