"""PyTerrier: a transformer that reranks.

pip install "crossrank" python-terrier
"""

from typing import Any

import pyterrier as pt

from crossrank.cross_encoder import CrossEncoder


class CrossRankReranker(pt.Transformer):
    """Scores the documents of a result list anew: ``retriever >> text_loader >> reranker``.

    Args:
        model: A ``CrossEncoder``, or the name of one; the embedded model by default.
        text_field: Column of the documents' text.

    Example:
        >>> import pandas as pd
        >>> found = pd.DataFrame({
        ...     "qid": ["1", "1"],
        ...     "query": ["capital of France", "capital of France"],
        ...     "docno": ["a", "b"],
        ...     "text": ["Bread is baked.", "Paris is the capital."],
        ... })
        >>> CrossRankReranker().transform(found)[["docno", "rank"]].values.tolist()
        [['b', 0], ['a', 1]]
    """

    def __init__(
        self, model: CrossEncoder | str | None = None, *, text_field: str = "text"
    ) -> None:
        super().__init__()
        self.model = model if isinstance(model, CrossEncoder) else CrossEncoder(model)
        self.text_field = text_field

    def transform(self, inp: Any) -> Any:
        """Rerank.

        Args:
            inp: A frame of ``qid``, ``query``, ``docno`` and the text, one row a pair.

        Returns:
            The same rows with new ``score`` and ``rank``, best first. Scores are logits, so that
            equal scores of a sigmoid are no ties.
        """
        pt.validate.result_frame(inp, extra_columns=["query", self.text_field])
        pairs = list(zip(inp["query"], inp[self.text_field], strict=True))
        scores = self.model.predict(pairs, activation_fn="identity")
        found = inp.assign(score=scores)
        by_query = found.groupby("qid", sort=False)["score"]
        ranks = by_query.rank(method="first", ascending=False).astype(int) - 1
        return found.assign(rank=ranks).sort_values(["qid", "rank"], ignore_index=True)
