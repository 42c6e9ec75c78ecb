"""LanceDB: a reranker of search results.

pip install "crossrank" lancedb
"""

from typing import Any

import numpy as np
import pyarrow as pa
from lancedb.rerankers import Reranker

from crossrank.cross_encoder import CrossEncoder


class CrossRankReranker(Reranker):
    """Ranks what vector, full-text or hybrid search found, by a cross-encoder.

    The score is in the column ``_relevance_score``.

    Args:
        model: A ``CrossEncoder``, or the name of one; the embedded model by default.
        column: Where a row has its text.
        return_score: ``"relevance"``, or ``"all"`` to keep the scores of the searches, too.
    """

    def __init__(
        self,
        model: CrossEncoder | str | None = None,
        *,
        column: str = "text",
        return_score: str = "relevance",
    ) -> None:
        super().__init__(return_score)
        self.model = model if isinstance(model, CrossEncoder) else CrossEncoder(model)
        self.column = column

    def rerank_vector(self, query: str, vector_results: pa.Table) -> pa.Table:
        """Rank what vector search found."""
        return self._ranked(query, vector_results, "_distance")

    def rerank_fts(self, query: str, fts_results: pa.Table) -> pa.Table:
        """Rank what full-text search found."""
        return self._ranked(query, fts_results, "_score")

    def rerank_hybrid(
        self, query: str, vector_results: pa.Table, fts_results: pa.Table
    ) -> pa.Table:
        """Rank what either search found."""
        keep = self.score == "all"
        merge = self._merge_and_keep_scores if keep else self.merge_results
        return self._ranked(query, merge(vector_results, fts_results), "_distance", "_score")

    def _ranked(self, query: str, table: pa.Table, *scores: str) -> pa.Table:
        """Sort rows by the model's logits, so that equal scores of a sigmoid are no ties."""
        texts = table[self.column].to_pylist()
        ranking: list[Any] = list(self.model.rank(query, [text or "" for text in texts]))
        order = np.array([entry["corpus_id"] for entry in ranking], dtype=np.int64)
        relevance = pa.array([entry["score"] for entry in ranking], type=pa.float32())
        found = table.take(order).append_column("_relevance_score", relevance)
        if self.score == "all":
            return found
        return found.drop_columns([name for name in scores if name in found.column_names])
