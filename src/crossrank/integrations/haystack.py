"""Haystack: a ranker.

pip install "crossrank" haystack-ai
"""

from dataclasses import replace
from typing import Any

from haystack import Document, component, default_from_dict, default_to_dict

from crossrank.cross_encoder import CrossEncoder


@component
class CrossRankRanker:
    """Ranks documents by relevance to a query; each comes back with its score.

    A saved pipeline is loaded with ``allowed_modules=["crossrank.integrations"]``.

    Args:
        model: A folder or hub id; the embedded model by default.
        top_k: How many documents to return.
        score_threshold: Leave out documents that score less.
        options: Further arguments of ``CrossEncoder``, e.g. ``{"precision": "int8"}``.

    Example:
        >>> ranker = CrossRankRanker(top_k=1)
        >>> ranker.warm_up()
        >>> documents = [Document(content="Bread."), Document(content="Paris is the capital.")]
        >>> ranker.run("capital of France", documents)["documents"][0].content
        'Paris is the capital.'
    """

    def __init__(
        self,
        model: str | None = None,
        *,
        top_k: int = 10,
        score_threshold: float | None = None,
        options: dict[str, Any] | None = None,
    ) -> None:
        self.model = model
        self.top_k = top_k
        self.score_threshold = score_threshold
        self.options = options or {}
        self._encoder: CrossEncoder | None = None

    def warm_up(self) -> None:
        """Load the model."""
        if self._encoder is None:
            self._encoder = CrossEncoder(self.model, **self.options)

    @component.output_types(documents=list[Document])
    def run(
        self, query: str, documents: list[Document], top_k: int | None = None
    ) -> dict[str, list[Document]]:
        """Rank documents; those without text count as empty.

        Args:
            query: The query.
            documents: What to rank.
            top_k: Used instead of the component's for this call.
        """
        self.warm_up()
        assert self._encoder is not None
        texts = [document.content or "" for document in documents]
        ranking = self._encoder.rank(query, texts, top_k or self.top_k)
        least = self.score_threshold
        return {
            "documents": [
                replace(documents[entry["corpus_id"]], score=entry["score"])
                for entry in ranking
                if least is None or entry["score"] >= least
            ]
        }

    def to_dict(self) -> dict[str, Any]:
        """Write the component down, as pipelines are saved."""
        written: dict[str, Any] = default_to_dict(
            self,
            model=self.model,
            top_k=self.top_k,
            score_threshold=self.score_threshold,
            options=self.options,
        )
        return written

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "CrossRankRanker":
        """Make the component that ``to_dict`` wrote down."""
        made: CrossRankRanker = default_from_dict(cls, data)
        return made
