"""Clients that install beside each other: see ``requirements-current.txt``."""

import asyncio
import os
from typing import Any

from tests.e2e.clients.harness import TOP, Asked, Results, case, main, ranking, refused


@case("cohere", "Cohere v2")
def cohere_v2(asked: Asked) -> Results:
    import cohere

    question: dict[str, Any] = {"query": asked.query, "documents": asked.documents}
    client = cohere.ClientV2(api_key=asked.key, base_url=asked.base)

    async def ask() -> Any:
        client = cohere.AsyncClientV2(api_key=asked.key, base_url=asked.base)
        return await client.rerank(model=asked.model, **question)

    answer = client.rerank(model=asked.model, **question)
    assert answer.meta.billed_units.search_units == 1
    stranger = cohere.ClientV2(api_key="wrong", base_url=asked.base)
    return {
        "sync": ranking(answer.results),
        "async": ranking(asyncio.run(ask()).results),
        "top": ranking(client.rerank(model=asked.model, top_n=TOP, **question).results),
        "max_tokens_per_doc": ranking(
            client.rerank(model=asked.model, max_tokens_per_doc=4096, **question).results
        ),
        "unknown model": refused(lambda: client.rerank(model="nobody", **question)),
        "wrong key": refused(lambda: stranger.rerank(model=asked.model, **question)),
    }


@case("cohere", "Cohere v1")
def cohere_v1(asked: Asked) -> Results:
    import cohere

    question: dict[str, Any] = {"query": asked.query, "documents": asked.documents}
    client = cohere.Client(api_key=asked.key, base_url=asked.base)

    async def ask() -> Any:
        client = cohere.AsyncClient(api_key=asked.key, base_url=asked.base)
        return await client.rerank(model=asked.model, **question)

    with_documents = client.rerank(model=asked.model, return_documents=True, **question).results
    assert with_documents[0].document.text == asked.documents[with_documents[0].index]
    objects = [{"title": "", "text": text} for text in asked.documents]
    fields = client.rerank(
        model=asked.model, query=asked.query, documents=objects, rank_fields=["text"]
    )
    return {
        "sync": ranking(client.rerank(**question).results),
        "async": ranking(asyncio.run(ask()).results),
        "top": ranking(client.rerank(model=asked.model, top_n=TOP, **question).results),
        "return_documents": ranking(with_documents),
        "rank_fields": ranking(fields.results),
        "max_chunks_per_doc": ranking(client.rerank(max_chunks_per_doc=10, **question).results),
        "unknown model": refused(lambda: client.rerank(model="nobody", **question)),
    }


@case("voyageai", "Voyage")
def voyage(asked: Asked) -> Results:
    import voyageai

    at = {"api_key": asked.key, "base_url": f"{asked.base}/v1"}
    client = voyageai.Client(**at)

    async def ask() -> Any:
        client = voyageai.AsyncClient(**at)
        return await client.rerank(asked.query, asked.documents, asked.model)

    answer = client.rerank(asked.query, asked.documents, asked.model)
    assert answer.total_tokens > 0
    whole = client.rerank(asked.query, asked.documents, asked.model, truncation=False)
    long = ["too long " * 1000]
    return {
        "sync": ranking(answer.results),
        "async": ranking(asyncio.run(ask()).results),
        "top": ranking(client.rerank(asked.query, asked.documents, asked.model, TOP).results),
        "truncation=False": ranking(whole.results),
        "too long": refused(lambda: client.rerank(asked.query, long, asked.model, None, False)),
        "unknown model": refused(lambda: client.rerank(asked.query, asked.documents, "nobody")),
    }


@case("langchain-voyageai", "Voyage")
def langchain_voyage(asked: Asked) -> Results:
    from langchain_core.documents import Document
    from langchain_voyageai import VoyageAIRerank

    documents = [Document(text, metadata={"index": n}) for n, text in enumerate(asked.documents)]
    at = {"api_key": asked.key, "base_url": f"{asked.base}/v1", "model": asked.model}
    every = VoyageAIRerank(**at)
    best = VoyageAIRerank(**at, top_k=TOP)
    return {
        "sync": ranking(d.metadata for d in every.compress_documents(documents, asked.query)),
        "async": ranking(
            d.metadata for d in asyncio.run(every.acompress_documents(documents, asked.query))
        ),
        "top": ranking(d.metadata for d in best.compress_documents(documents, asked.query)),
    }


def _nodes(asked: Asked) -> list[Any]:
    from llama_index.core.schema import NodeWithScore, TextNode

    return [
        NodeWithScore(node=TextNode(text=text, id_=str(n)))
        for n, text in enumerate(asked.documents)
    ]


def _of_nodes(nodes: list[Any]) -> list[tuple[int, float]]:
    return [(int(node.node.node_id), node.score) for node in nodes]


@case("llama-index-postprocessor-tei-rerank", "TEI")
def llama_index_tei(asked: Asked) -> Results:
    from llama_index.postprocessor.tei_rerank import TextEmbeddingInference

    at = {"base_url": asked.base, "auth_token": f"Bearer {asked.key}"}
    every = TextEmbeddingInference(top_n=len(asked.documents), **at)
    best = TextEmbeddingInference(top_n=TOP, **at)
    return {
        "sync": _of_nodes(every.postprocess_nodes(_nodes(asked), query_str=asked.query)),
        "top": _of_nodes(best.postprocess_nodes(_nodes(asked), query_str=asked.query)),
    }


@case("llama-index-postprocessor-jinaai-rerank", "Jina")
def llama_index_jina(asked: Asked) -> Results:
    from llama_index.postprocessor.jinaai_rerank import JinaRerank

    def rank(top: int, model: str = asked.model) -> list[tuple[int, float]]:
        client = JinaRerank(top_n=top, model=model, base_url=f"{asked.base}/v1", api_key=asked.key)
        return _of_nodes(client.postprocess_nodes(_nodes(asked), query_str=asked.query))

    return {
        "sync": rank(len(asked.documents)),
        "top": rank(TOP),
        "unknown model": refused(lambda: rank(TOP, "nobody")),
    }


def _haystack_documents(asked: Asked) -> list[Any]:
    from haystack import Document

    return [Document(id=str(n), content=text) for n, text in enumerate(asked.documents)]


def _of_haystack(answer: dict[str, Any]) -> list[tuple[int, float]]:
    return [(int(document.id), document.score) for document in answer["documents"]]


@case("huggingface-api-haystack", "TEI")
def haystack_tei(asked: Asked) -> Results:
    from haystack.utils import Secret
    from haystack_integrations.components.rankers.huggingface_api import HuggingFaceTEIRanker
    from haystack_integrations.components.rankers.huggingface_api.ranker import TruncationDirection

    client = HuggingFaceTEIRanker(url=asked.base, token=Secret.from_token(asked.key))
    documents = _haystack_documents(asked)
    return {
        "sync": _of_haystack(client.run(asked.query, documents)),
        "async": _of_haystack(asyncio.run(client.run_async(asked.query, documents))),
        "top": _of_haystack(client.run(asked.query, documents, top_k=TOP)),
        "truncation_direction=right": _of_haystack(
            client.run(asked.query, documents, truncation_direction=TruncationDirection.RIGHT)
        ),
        "truncation_direction=left": _of_haystack(
            client.run(asked.query, documents, truncation_direction=TruncationDirection.LEFT)
        ),
    }


@case("jina-haystack", "Jina")
def haystack_jina(asked: Asked) -> Results:
    from haystack.utils import Secret
    from haystack_integrations.components.rankers.jina import JinaRanker

    def client(model: str) -> Any:
        key = Secret.from_token(asked.key)
        return JinaRanker(model=model, api_key=key, base_url=f"{asked.base}/v1/rerank")

    documents = _haystack_documents(asked)
    answer = client(asked.model).run(asked.query, documents)
    assert answer["meta"]["model"] == asked.model
    assert answer["meta"]["usage"]["total_tokens"] > 0
    return {
        "sync": _of_haystack(answer),
        "async": _of_haystack(asyncio.run(client(asked.model).run_async(asked.query, documents))),
        "top": _of_haystack(client(asked.model).run(asked.query, documents, top_k=TOP)),
        "unknown model": refused(lambda: client("nobody").run(asked.query, documents)),
    }


@case("cohere-haystack", "Cohere v2")
def haystack_cohere(asked: Asked) -> Results:
    from haystack.utils import Secret
    from haystack_integrations.components.rankers.cohere import CohereRanker

    key = Secret.from_token(asked.key)
    client = CohereRanker(model=asked.model, api_key=key, api_base_url=asked.base)
    documents = _haystack_documents(asked)
    return {
        "sync": _of_haystack(client.run(asked.query, documents)),
        "async": _of_haystack(asyncio.run(client.run_async(asked.query, documents))),
        "top": _of_haystack(client.run(asked.query, documents, top_k=TOP)),
    }


def _litellm(asked: Asked, provider: str, **at: Any) -> Results:
    import litellm

    def rank(**more: Any) -> Any:
        question: dict[str, Any] = {"query": asked.query, "documents": asked.documents}
        model = f"{provider}/{more.pop('model', asked.model)}"
        return litellm.rerank(model=model, api_key=asked.key, **question, **at, **more)

    async def ask() -> Any:
        return await litellm.arerank(
            model=f"{provider}/{asked.model}",
            api_key=asked.key,
            query=asked.query,
            documents=asked.documents,
            **at,
        )

    with_documents = rank(return_documents=True).results
    assert with_documents[0]["document"]["text"] == asked.documents[with_documents[0]["index"]]
    return {
        "sync": ranking(rank().results),
        "async": ranking(asyncio.run(ask()).results),
        "top": ranking(rank(top_n=TOP).results),
        "return_documents": ranking(with_documents),
        "unknown model": refused(lambda: rank(model="nobody")),
    }


@case("litellm", "infinity")
def litellm_infinity(asked: Asked) -> Results:
    os.environ["INFINITY_API_BASE"] = f"{asked.base}/infinity"
    return _litellm(asked, "infinity")


@case("litellm", "vLLM")
def litellm_vllm(asked: Asked) -> Results:
    return _litellm(asked, "hosted_vllm", api_base=asked.base)


@case("litellm", "Cohere v1")
def litellm_cohere(asked: Asked) -> Results:
    return _litellm(asked, "cohere", api_base=asked.base)


@case("litellm", "Jina")
def litellm_jina(asked: Asked) -> Results:
    return _litellm(asked, "jina_ai", api_base=asked.base)


@case("litellm", "Voyage")
def litellm_voyage(asked: Asked) -> Results:
    return _litellm(asked, "voyage", api_base=f"{asked.base}/voyage")


def _rerankers(asked: Asked, provider: str, path: str) -> Results:
    from rerankers.models.api_rankers import APIRanker

    client = APIRanker(asked.model, asked.key, provider, verbose=0, url=asked.base + path)
    answer = client.rank(asked.query, asked.documents)
    score = client.rank(asked.query, asked.documents[1:2]).results[0].score
    return {
        "rank": [(result.doc_id, result.score) for result in answer.results],
        "one document": [(1, score)],
    }


@case("rerankers", "TEI")
def rerankers_tei(asked: Asked) -> Results:
    return _rerankers(asked, "text-embeddings-inference", "/rerank")


@case("rerankers", "Cohere v1")
def rerankers_cohere(asked: Asked) -> Results:
    return _rerankers(asked, "cohere", "/v1/rerank")


@case("rerankers", "Jina")
def rerankers_jina(asked: Asked) -> Results:
    return _rerankers(asked, "jina", "/v1/rerank")


@case("rerankers", "Voyage")
def rerankers_voyage(asked: Asked) -> Results:
    return _rerankers(asked, "voyage", "/v1/rerank")


if __name__ == "__main__":
    main()
