"""Haystack, in a pipeline that is saved and loaded."""

import pytest
from tests.integrations.conftest import QUERY, TEXTS

pytest.importorskip("haystack", reason="needs haystack-ai")

from haystack import Document, Pipeline
from haystack.components.retrievers.in_memory import InMemoryBM25Retriever
from haystack.document_stores.in_memory import InMemoryDocumentStore

from crossrank.integrations.haystack import CrossRankRanker

DOCUMENTS = [Document(content=text, meta={"number": n}) for n, text in enumerate(TEXTS)]


def test_the_best_come_first_with_their_scores(ranking: list[tuple[int, float]]) -> None:
    found = CrossRankRanker(top_k=3).run(QUERY, DOCUMENTS)["documents"]
    assert [(d.meta["number"], d.score) for d in found] == ranking[:3]
    assert len(CrossRankRanker().run(QUERY, DOCUMENTS, top_k=1)["documents"]) == 1
    assert CrossRankRanker().run(QUERY, [])["documents"] == []
    assert all(document.score is None for document in DOCUMENTS)


def test_a_least_score(ranking: list[tuple[int, float]]) -> None:
    ranker = CrossRankRanker(score_threshold=ranking[1][1])
    assert len(ranker.run(QUERY, DOCUMENTS)["documents"]) == 2


def test_in_a_pipeline_that_was_saved(ranking: list[tuple[int, float]]) -> None:
    store = InMemoryDocumentStore()
    store.write_documents(DOCUMENTS)
    ranker = CrossRankRanker(top_k=2, options={"max_length": 128})
    saved = ranker.to_dict()
    assert saved["init_parameters"] == {
        "model": None,
        "top_k": 2,
        "score_threshold": None,
        "options": {"max_length": 128},
    }
    pipeline = Pipeline()
    pipeline.add_component("retriever", InMemoryBM25Retriever(store, top_k=4))
    pipeline.add_component("ranker", CrossRankRanker.from_dict(saved))
    pipeline.connect("retriever.documents", "ranker.documents")
    answer = pipeline.run({"retriever": {"query": QUERY}, "ranker": {"query": QUERY}})
    found = answer["ranker"]["documents"]
    assert [d.meta["number"] for d in found] == [index for index, _ in ranking[:2]]
    again = Pipeline.loads(pipeline.dumps(), allowed_modules=["crossrank.integrations"])
    assert again.get_component("ranker").to_dict() == saved
