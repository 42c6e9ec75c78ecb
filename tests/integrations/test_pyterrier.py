"""PyTerrier: in a pipeline with its own operators; no Java is needed for that."""

import numpy as np
import pytest
from tests.integrations.conftest import QUERY, TEXTS

from crossrank import CrossEncoder

pt = pytest.importorskip("pyterrier", reason="needs python-terrier")

import pandas as pd  # noqa: E402

from crossrank.integrations.pyterrier import CrossRankReranker  # noqa: E402


def results(*queries: str) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {"qid": str(n), "query": query, "docno": str(d), "text": text, "score": 0.0, "rank": d}
            for n, query in enumerate(queries)
            for d, text in enumerate(TEXTS)
        ]
    )


def test_each_query_is_ranked_by_itself(model: CrossEncoder) -> None:
    found = CrossRankReranker(model).transform(results(QUERY, "baking"))
    for number, query in enumerate([QUERY, "baking"]):
        rows = found[found.qid == str(number)]
        ranking = model.rank(query, TEXTS, activation_fn="identity")
        assert rows["docno"].tolist() == [str(entry["corpus_id"]) for entry in ranking]
        np.testing.assert_allclose(rows["score"], [entry["score"] for entry in ranking], atol=1e-5)
        assert rows["rank"].tolist() == [0, 1, 2, 3]


def test_in_a_pipeline(model: CrossEncoder, ranking: list[tuple[int, float]]) -> None:
    source = pt.Transformer.from_df(results(QUERY))
    best = (source >> CrossRankReranker(model)) % 2
    topics = pd.DataFrame({"qid": ["0"], "query": [QUERY]})
    assert best.transform(topics)["docno"].tolist() == [str(index) for index, _ in ranking[:2]]


def test_a_column_that_is_missing_is_named(model: CrossEncoder) -> None:
    with pytest.raises(Exception, match="text"):
        CrossRankReranker(model).transform(results(QUERY).drop(columns="text"))
