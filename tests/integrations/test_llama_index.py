"""LlamaIndex, behind one of its own retrievers."""

import asyncio

import pytest
from tests.integrations.conftest import QUERY, TEXTS

from crossrank import CrossEncoder
from crossrank.errors import InputError

pytest.importorskip("llama_index.core", reason="needs llama-index-core")

from llama_index.core.schema import NodeWithScore, QueryBundle, TextNode

from crossrank.integrations.llama_index import CrossRankPostprocessor


def nodes() -> list[NodeWithScore]:
    return [
        NodeWithScore(node=TextNode(text=text, id_=str(number)), score=0.5)
        for number, text in enumerate(TEXTS)
    ]


def test_the_best_come_first_with_their_scores(
    model: CrossEncoder, ranking: list[tuple[int, float]]
) -> None:
    found = CrossRankPostprocessor(model, top_n=3).postprocess_nodes(nodes(), query_str=QUERY)
    assert [(int(node.node.id_), node.score) for node in found] == ranking[:3]


def test_awaited_it_gives_the_same(model: CrossEncoder, ranking: list[tuple[int, float]]) -> None:
    reranker = CrossRankPostprocessor(model, top_n=1)
    found = asyncio.run(reranker.apostprocess_nodes(nodes(), QueryBundle(QUERY)))
    assert [(int(node.node.id_), node.score) for node in found] == ranking[:1]


def test_metadata_is_read_as_for_embeddings(model: CrossEncoder) -> None:
    node = TextNode(text="It is the capital.", metadata={"city": "Paris"})
    hidden = TextNode(
        text="It is the capital.",
        metadata={"city": "Paris"},
        excluded_embed_metadata_keys=["city"],
    )
    both = [NodeWithScore(node=node), NodeWithScore(node=hidden)]
    found = CrossRankPostprocessor(model).postprocess_nodes(both, query_str="Paris")
    assert [entry.node.id_ for entry in found] == [node.id_, hidden.id_]
    scores = model.predict([("Paris", "city: Paris\n\nIt is the capital."), ("Paris", node.text)])
    assert [entry.score for entry in found] == scores.tolist()


def test_without_a_query_or_nodes(model: CrossEncoder) -> None:
    reranker = CrossRankPostprocessor(model)
    assert reranker.postprocess_nodes([], query_str=QUERY) == []
    with pytest.raises(InputError, match="needs a query"):
        reranker.postprocess_nodes(nodes())


def test_written_down_and_read_it_has_the_same_model(model: CrossEncoder) -> None:
    reranker = CrossRankPostprocessor("default", top_n=2)
    read = CrossRankPostprocessor.from_json(reranker.to_json())
    assert (read.model, read.top_n) == ("default", 2)
    found = [each.postprocess_nodes(nodes(), query_str=QUERY) for each in (reranker, read)]
    assert found[0] == found[1]
    assert CrossRankPostprocessor.from_dict(CrossRankPostprocessor().to_dict()).model is None
    loaded = CrossRankPostprocessor(model)
    for write in (loaded.to_dict, loaded.to_json):
        with pytest.raises(InputError, match="pass the name of its model"):
            write()
