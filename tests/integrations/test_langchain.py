"""LangChain, with its own retriever interface and a chain."""

import asyncio

import pytest
from tests.integrations.conftest import QUERY, TEXTS

from crossrank import CrossEncoder
from crossrank.errors import ModelNotFoundError

pytest.importorskip("langchain_core", reason="needs langchain-core")

from langchain_core.documents import Document
from langchain_core.runnables import RunnableLambda
from pydantic import ValidationError

from crossrank.integrations.langchain import CrossRankReranker

DOCUMENTS = [Document(text, metadata={"source": number}) for number, text in enumerate(TEXTS)]


def test_the_best_come_first_with_their_scores(
    model: CrossEncoder, ranking: list[tuple[int, float]]
) -> None:
    found = CrossRankReranker(model=model, top_n=3).compress_documents(DOCUMENTS, QUERY)
    assert [(d.metadata["source"], d.metadata["relevance_score"]) for d in found] == ranking[:3]
    assert [d.page_content for d in found] == [TEXTS[index] for index, _ in ranking[:3]]
    assert all("relevance_score" not in document.metadata for document in DOCUMENTS)


def test_in_a_chain_and_awaited(model: CrossEncoder, ranking: list[tuple[int, float]]) -> None:
    reranker = CrossRankReranker(model=model, top_n=1)
    chain = RunnableLambda(lambda query: (DOCUMENTS, query)) | RunnableLambda(
        lambda found: reranker.compress_documents(*found)
    )
    assert chain.invoke(QUERY)[0].metadata["source"] == ranking[0][0]
    awaited = asyncio.run(reranker.acompress_documents(DOCUMENTS, QUERY))
    assert awaited == chain.invoke(QUERY)


def test_a_least_score_and_options(model: CrossEncoder, ranking: list[tuple[int, float]]) -> None:
    least = ranking[1][1]
    reranker = CrossRankReranker(model=model, top_n=None, min_score=least)
    assert len(reranker.compress_documents(DOCUMENTS, QUERY)) == 2
    assert CrossRankReranker(model=model).compress_documents([], QUERY) == []
    windows = CrossRankReranker(model=model, options={"long_documents": "max"})
    assert windows.compress_documents(DOCUMENTS, QUERY)[0].page_content == TEXTS[ranking[0][0]]


def test_a_model_may_be_named(ranking: list[tuple[int, float]]) -> None:
    found = CrossRankReranker(model="default", top_n=1).compress_documents(DOCUMENTS, QUERY)
    assert [(d.metadata["source"], d.metadata["relevance_score"]) for d in found] == ranking[:1]
    with pytest.raises(ModelNotFoundError):
        CrossRankReranker(model="./no-such-folder")


def test_a_field_it_does_not_know_is_refused() -> None:
    with pytest.raises(ValidationError, match="top_k"):
        CrossRankReranker(top_k=3)
