"""A column of scores beside queries and documents."""

from typing import Any

import numpy as np
import pytest

from crossrank import CrossEncoder, InputError
from crossrank.scale.scorer import PairScorer

pyarrow = pytest.importorskip("pyarrow", reason="the extra 'ray' is not installed")

ROWS = {
    "number": [7, 8, 9],
    "query": ["fruit", "fruit", "capital of France"],
    "document": ["An apple.", "A car.", "Paris is the capital."],
}


def test_scores_are_those_of_predict_and_other_columns_stay() -> None:
    found = PairScorer("small")(pyarrow.table(ROWS))
    pairs = list(zip(ROWS["query"], ROWS["document"], strict=True))
    assert found.column_names == ["number", "query", "document", "score"]
    assert found.select(list(ROWS)) == pyarrow.table(ROWS)
    expected = CrossEncoder("small").predict(pairs)
    np.testing.assert_array_equal(found["score"].to_numpy(), expected)
    assert found.schema.field("score").type == pyarrow.float32()


def test_columns_by_other_names_and_types() -> None:
    rows = pyarrow.table(
        {
            "q": pyarrow.array(ROWS["query"]).dictionary_encode(),
            "text": pyarrow.array(ROWS["document"], pyarrow.large_string()),
        }
    )
    scorer = PairScorer(
        "small", query="q", document="text", score="logit", activation_fn="identity"
    )
    found = scorer(rows)["logit"].to_numpy()
    pairs = list(zip(ROWS["query"], ROWS["document"], strict=True))
    np.testing.assert_array_equal(
        found, CrossEncoder("small").predict(pairs, activation_fn="identity")
    )


def test_several_labels_become_lists(tmp_path: Any) -> None:
    pytest.importorskip("torch", reason="it makes the model")
    from tests.parity.tiny_models import make_classifier

    folder = make_classifier(tmp_path / "nli", "bert", labels=3)
    found = PairScorer(folder)(pyarrow.table(ROWS))["score"]
    assert found.type == pyarrow.list_(pyarrow.float32())
    pairs = list(zip(ROWS["query"], ROWS["document"], strict=True))
    np.testing.assert_array_equal(found.to_pylist(), CrossEncoder(folder).predict(pairs))


def test_no_rows() -> None:
    empty = PairScorer("small")(pyarrow.table(ROWS).slice(0, 0))
    assert (len(empty), empty.column_names[-1]) == (0, "score")


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ({"query": ["a"]}, "the batch: one column 'document' is required; its columns are 'query'"),
        ({"query": ["a"], "document": [1]}, "'document' must hold texts, and holds int64"),
        ({"query": ["a"], "document": ["b"], "score": [1]}, "there is a column 'score' already"),
        ({"query": ["a"] * 2, "document": ["b", None]}, "row 2: 'document' must be a text, receiv"),
    ],
)
def test_rows_that_cannot_be_scored(rows: dict[str, list[Any]], message: str) -> None:
    with pytest.raises(InputError, match=message):
        PairScorer("small")(pyarrow.table(rows))
