"""LangChain: a document compressor that reranks.

pip install "crossrank" langchain-core
"""

from collections.abc import Sequence
from typing import Any

from langchain_core.callbacks import Callbacks
from langchain_core.documents import BaseDocumentCompressor, Document
from pydantic import ConfigDict, Field, field_validator

from crossrank.cross_encoder import CrossEncoder


class CrossRankReranker(BaseDocumentCompressor):
    """Keeps the documents that a cross-encoder finds most relevant.

    Each comes back as a copy whose metadata has its score as ``relevance_score``.

    Attributes:
        model: A ``CrossEncoder``, or the name of one; the embedded model by default.
        top_n: How many documents to keep; all where it is ``None``.
        min_score: Leave out documents that score less.
        options: Further arguments of ``CrossEncoder.rank``, e.g. ``long_documents="max"``.

    Example:
        >>> reranker = CrossRankReranker(top_n=1)
        >>> found = [Document("Bread is baked."), Document("Paris is the capital.")]
        >>> reranker.compress_documents(found, "capital of France")[0].page_content
        'Paris is the capital.'
    """

    model_config = ConfigDict(arbitrary_types_allowed=True, extra="forbid")

    model: Any = Field(default=None, validate_default=True)
    top_n: int | None = Field(default=3, ge=1)
    min_score: float | None = None
    options: dict[str, Any] = Field(default_factory=dict)

    @field_validator("model")
    @classmethod
    def _load(cls, model: Any) -> CrossEncoder:
        return model if isinstance(model, CrossEncoder) else CrossEncoder(model)

    def compress_documents(
        self, documents: Sequence[Document], query: str, callbacks: Callbacks | None = None
    ) -> Sequence[Document]:
        """Rerank documents.

        Args:
            documents: What was retrieved.
            query: The query.
            callbacks: Not used: nothing here calls a language model.
        """
        texts = [document.page_content for document in documents]
        ranking = self.model.rank(query, texts, self.top_n, **self.options)
        kept = [e for e in ranking if self.min_score is None or e["score"] >= self.min_score]
        return [_scored(documents[entry["corpus_id"]], entry["score"]) for entry in kept]


def _scored(document: Document, score: float) -> Document:
    metadata = document.metadata | {"relevance_score": score}
    return document.model_copy(update={"metadata": metadata})
