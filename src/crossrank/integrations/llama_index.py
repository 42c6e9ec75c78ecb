"""LlamaIndex: a node postprocessor that reranks.

pip install "crossrank" llama-index-core
"""

from typing import Any

from llama_index.core.bridge.pydantic import Field, PrivateAttr
from llama_index.core.postprocessor.types import BaseNodePostprocessor
from llama_index.core.schema import MetadataMode, NodeWithScore, QueryBundle

from crossrank.cross_encoder import CrossEncoder
from crossrank.errors import InputError


class CrossRankPostprocessor(BaseNodePostprocessor):
    """Keeps the nodes that a cross-encoder finds most relevant, with its scores.

    Args:
        model: A ``CrossEncoder``, or the name of one; the embedded model by default. Only with a
            name can the postprocessor be written down by ``to_dict`` and ``to_json``.
        top_n: How many nodes to keep.
        metadata_mode: Which metadata the model reads before a node's text; those meant for
            embeddings by default.

    Example:
        >>> from llama_index.core.schema import TextNode
        >>> texts = ["Bread is baked.", "Paris is the capital."]
        >>> nodes = [NodeWithScore(node=TextNode(text=text)) for text in texts]
        >>> reranker = CrossRankPostprocessor(top_n=1)
        >>> reranker.postprocess_nodes(nodes, query_str="capital of France")[0].node.text
        'Paris is the capital.'
    """

    model: str | None = None
    top_n: int = Field(default=3, ge=1)
    metadata_mode: MetadataMode = MetadataMode.EMBED
    _model: CrossEncoder = PrivateAttr()
    _named: bool = PrivateAttr()

    def __init__(self, model: CrossEncoder | str | None = None, **fields: Any) -> None:
        if isinstance(model, CrossEncoder):
            super().__init__(**fields)
            self._model, self._named = model, False
        else:
            fields["model"] = model
            super().__init__(**fields)
            self._model, self._named = CrossEncoder(model), True

    @classmethod
    def class_name(cls) -> str:
        """Name the class, as LlamaIndex stores it."""
        return "CrossRankPostprocessor"

    def to_dict(self, **kwargs: Any) -> dict[str, Any]:
        """Write the postprocessor down, as LlamaIndex stores it.

        Raises:
            InputError: It was given a loaded model, which has no name to write down.
        """
        if not self._named:
            raise InputError(
                "A CrossEncoder cannot be written down: pass the name of its model instead."
            )
        written: dict[str, Any] = super().to_dict(**kwargs)
        return written

    def _postprocess_nodes(
        self, nodes: list[NodeWithScore], query_bundle: QueryBundle | None = None
    ) -> list[NodeWithScore]:
        if query_bundle is None:
            raise InputError("Reranking needs a query: pass query_str or query_bundle.")
        texts = [node.node.get_content(metadata_mode=self.metadata_mode) for node in nodes]
        ranking = self._model.rank(query_bundle.query_str, texts, self.top_n)
        return [
            NodeWithScore(node=nodes[entry["corpus_id"]].node, score=entry["score"])
            for entry in ranking
        ]
