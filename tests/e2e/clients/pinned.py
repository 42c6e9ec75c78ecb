"""Clients that insist on older packages: see ``requirements-pinned.txt``."""

import asyncio
from typing import Any

from tests.e2e.clients.harness import TOP, Asked, Results, case, main, ranking, refused


@case("cohere", "Cohere v2")
def cohere_v2(asked: Asked) -> Results:
    import cohere

    client = cohere.ClientV2(api_key=asked.key, base_url=asked.base)
    question: dict[str, Any] = {"query": asked.query, "documents": asked.documents}
    return {
        "sync": ranking(client.rerank(model=asked.model, **question).results),
        "top": ranking(client.rerank(model=asked.model, top_n=TOP, **question).results),
        "unknown model": refused(lambda: client.rerank(model="nobody", **question)),
    }


@case("langchain-cohere", "Cohere v2")
def langchain_cohere(asked: Asked) -> Results:
    from langchain_cohere import CohereRerank
    from langchain_core.documents import Document

    def client(top: int | None) -> Any:
        return CohereRerank(
            model=asked.model, cohere_api_key=asked.key, base_url=asked.base, top_n=top
        )

    documents = [Document(text, metadata={"index": n}) for n, text in enumerate(asked.documents)]
    return {
        "rerank": ranking(client(None).rerank(asked.documents, asked.query, top_n=None)),
        "sync": ranking(d.metadata for d in client(99).compress_documents(documents, asked.query)),
        "async": ranking(
            d.metadata for d in asyncio.run(client(99).acompress_documents(documents, asked.query))
        ),
        "top": ranking(d.metadata for d in client(TOP).compress_documents(documents, asked.query)),
    }


@case("llama-index-postprocessor-cohere-rerank", "Cohere v2")
def llama_index_cohere(asked: Asked) -> Results:
    from llama_index.core.schema import NodeWithScore, TextNode
    from llama_index.postprocessor.cohere_rerank import CohereRerank

    def rank(top: int) -> list[tuple[int, float]]:
        nodes = [
            NodeWithScore(node=TextNode(text=text, id_=str(n)))
            for n, text in enumerate(asked.documents)
        ]
        client = CohereRerank(top_n=top, model=asked.model, api_key=asked.key, base_url=asked.base)
        found = client.postprocess_nodes(nodes, query_str=asked.query)
        return [(int(node.node.node_id), node.score) for node in found]

    return {"sync": rank(len(asked.documents)), "top": rank(TOP)}


def _infinity(asked: Asked, path: str) -> Results:
    from infinity_client import AuthenticatedClient
    from infinity_client.api.default import models, rerank
    from infinity_client.models import RerankInput

    client = AuthenticatedClient(base_url=asked.base + path, token=asked.key)
    body = RerankInput(query=asked.query, documents=asked.documents, return_documents=True)
    best = RerankInput(query=asked.query, documents=asked.documents, model=asked.model, top_n=TOP)
    answer = rerank.sync(client=client, body=body)
    assert answer.results[0].document == asked.documents[answer.results[0].index]
    assert asked.model in [model.id for model in models.sync(client=client).data]
    unknown = RerankInput(query=asked.query, documents=asked.documents, model="nobody")
    invalid = RerankInput(query=asked.query, documents=[])
    return {
        "sync": ranking(answer.results),
        "async": ranking(asyncio.run(rerank.asyncio(client=client, body=body)).results),
        "top": ranking(rerank.sync(client=client, body=best).results),
        "unknown model": rerank.sync_detailed(client=client, body=unknown).content.decode(),
        "no documents": rerank.sync(client=client, body=invalid).detail[0].msg,
    }


@case("infinity-client", "infinity")
def infinity(asked: Asked) -> Results:
    return _infinity(asked, "/infinity")


@case("infinity-client", "infinity, without prefix")
def infinity_without_prefix(asked: Asked) -> Results:
    return _infinity(asked, "")


if __name__ == "__main__":
    main()
