"""Recognising columns: every convention that sentence-transformers documents, and every mistake."""

from typing import Any

import pytest

datasets = pytest.importorskip("datasets", reason="columns are those of datasets")

from crossrank.errors import InputError  # noqa: E402
from crossrank.training.columns import Examples  # noqa: E402
from crossrank.training.examples import Example  # noqa: E402


def first(**columns: Any) -> Example:
    dataset = datasets.Dataset.from_dict({name: [value] for name, value in columns.items()})
    example: Example = Examples(dataset)[0]
    return example


@pytest.mark.parametrize("name", ["label", "labels", "score", "scores"])
def test_two_texts_and_a_number_are_a_pair(name: str) -> None:
    expected = Example("a", ("b",), (0.25,))
    assert first(sentence1="a", sentence2="b", **{name: 0.25}) == expected
    assert first(**{name: 0.25}, sentence1="a", sentence2="b") == expected


def test_whole_numbers_classes_and_truth_values_are_labels() -> None:
    assert first(query="a", answer="b", label=2).labels == (2.0,)
    assert first(query="a", answer="b", label=True).labels == (1.0,)
    features = datasets.Features(
        premise=datasets.Value("large_string"),
        hypothesis=datasets.Value("string"),
        label=datasets.ClassLabel(names=["entailment", "neutral", "contradiction"]),
    )
    rows = {"premise": ["a"], "hypothesis": ["b"], "label": ["neutral"]}
    assert Examples(datasets.Dataset.from_dict(rows, features))[0].labels == (1.0,)


def test_the_first_document_is_the_positive_one() -> None:
    assert first(query="q", answer="p") == Example("q", ("p",), (1.0,))
    assert first(anchor="q", positive="p", negative="n") == Example("q", ("p", "n"), (1.0, 0.0))
    expected = Example("q", ("p", "n", "m"), (1.0, 0.0, 0.0))
    assert first(query="q", positive="p", negative_1="n", negative_2="m") == expected
    assert first(query="q", positive="p", negatives=["n", "m"]) == expected


def test_a_column_called_query_is_the_query_wherever_it_stands() -> None:
    assert first(positive="p", query="q", negative="n").query == "q"
    assert first(text="q", other="p").query == "q"  # no such name: the first text


@pytest.mark.parametrize("labels", ["labels", "scores"])
def test_a_list_of_documents_has_a_list_of_labels(labels: str) -> None:
    example = first(query="q", docs=["a", "b"], **{labels: [3, 0]})
    assert example == Example("q", ("a", "b"), (3.0, 0.0))


@pytest.mark.parametrize("name", ["label", "scores", "teacher_scores"])
def test_numbers_beside_positive_and_negatives_are_a_teachers(name: str) -> None:
    texts = {"query": "q", "positive": "p", "negative_1": "n", "negative_2": "m"}
    example = first(**texts, **{name: [9.0, 4.0, -1.0]})
    assert example == Example("q", ("p", "n", "m"), (1.0, 0.0, 0.0), (9.0, 4.0, -1.0))


def test_margins_become_scores_with_these_differences() -> None:
    assert first(query="q", positive="p", negative="n", score=2.5).teacher_scores == (2.5, 0.0)
    rows = {
        "query": ["q"] * 2,
        "positive": ["p"] * 2,
        "negatives": [["n"], []],
        "label": [[2.5], []],
    }
    alone = Examples(datasets.Dataset.from_dict(rows))[1]
    assert alone == Example("q", ("p",), (1.0,), (0.0,))
    scores = first(query="q", positive="p", negatives=["n", "m"], label=[5.0, 7.0]).teacher_scores
    assert scores is not None
    assert [scores[0] - score for score in scores[1:]] == [5.0, 7.0]


def test_teacher_scores_stand_beside_labels_or_in_their_place() -> None:
    documents = {"query": "q", "documents": ["a", "b"]}
    both = first(**documents, labels=[1, 0], teacher_scores=[2.0, 1.0])
    assert both == Example("q", ("a", "b"), (1.0, 0.0), (2.0, 1.0))
    assert first(**documents, teacher_scores=[2.0, 1.0]).labels == (2.0, 1.0)
    pair = first(query="q", document="a", label=1, teacher_scores=3.5)
    assert pair == Example("q", ("a",), (1.0,), (3.5,))
    assert first(query="q", document="a", teacher_scores=3.5).labels == (3.5,)


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"label": 1}, "A column of queries is required"),
    ({"query": "q", "label": 1}, "A column of documents is required"),
    ({"query": "q", "answer": "a", "label": 1, "id": 7}, "'id' is a column too many"),
    ({"query": "q", "answer": "a", "label": 1, "id": "7"}, "'id' is a column too many"),
    ({"query": "q", "positive": "a", "source": "web"}, "'source' is a column too many"),
    ({"query": "q", "positive": "a", "others": ["b"]}, "'others' is a column too many"),
    ({"query": "q", "answer": "a", "label": 1, "score": 0.5}, "'score' is a column too many"),
    ({"query": "q", "docs": ["a"], "more": ["b"], "labels": [1]}, "'more' is a column too many"),
    (
        {
            "query": "q",
            "positive": "a",
            "negative": "b",
            "label": 1.0,
            "teacher_scores": [1.0, 0.0],
        },
        "'teacher_scores' is a column too many beside 'label'",
    ),
    ({"query": "q", "docs": ["a"]}, "a list of labels is required beside it"),
    ({"query": "q", "docs": ["a"], "labels": 1}, "'labels' must hold a list of numbers"),
    ({"query": "q", "answer": "a", "labels": [1]}, "'labels' must hold one number"),
    ({"query": "q", "answer": "a", "label": "neutral"}, "'label' must hold numbers. Encode"),
    ({"query": "q", "answer": "a", "label": None}, "'label' holds neither texts nor numbers"),
    ({"query": "q", "answer": {"text": "a"}, "label": 1}, "'answer' holds neither texts"),
    (
        {"query": "q", "positive": "a", "negative_1": "b", "negative_2": "c", "label": 1.0},
        "'label' must hold a list of numbers",
    ),
]


@pytest.mark.parametrize(("columns", "message"), REFUSED)
def test_other_columns_are_refused_with_what_is_known(
    columns: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError) as caught:
        first(**columns)
    assert message in str(caught.value)
    for name in columns:
        assert f"'{name}' (" in str(caught.value)
    assert "query, positive, negative" in str(caught.value)


BROKEN: list[tuple[dict[str, list[Any]], str]] = [
    ({"query": ["q", None], "answer": ["a", "b"]}, "'query': a text is required, received None"),
    (
        {"query": ["q", "r"], "answer": ["a", "b"], "label": [1.0, None]},
        "'label': a finite number is required, received None",
    ),
    (
        {"query": ["q", "r"], "answer": ["a", "b"], "label": [1.0, float("nan")]},
        "'label': a finite number is required, received nan",
    ),
    (
        {"query": ["q", "r"], "docs": [["a"], []], "labels": [[1], []]},
        "'docs': a list of documents is required, received []",
    ),
    (
        {"query": ["q", "r"], "docs": [["a"], None], "labels": [[1], [1]]},
        "'docs': a list of documents is required, received None",
    ),
    (
        {"query": ["q", "r"], "docs": [["a"], ["b", None]], "labels": [[1], [1, 0]]},
        "'docs': each document must be a text, received None",
    ),
    (
        {"query": ["q", "r"], "docs": [["a"], ["b", "c"]], "labels": [[1], [1]]},
        "'labels': as many numbers as documents, 2, are required, received [1]",
    ),
    (
        {"query": ["q", "r"], "docs": [["a"], ["b", "c"]], "labels": [[1], None]},
        "'labels': as many numbers as documents, 2, are required, received [None]",
    ),
    (
        {"query": ["q", "r"], "positive": ["a"] * 2, "negative": ["b"] * 2,
         "teacher_scores": [[1.0], [1.0, 2.0, 3.0]]},
        "'teacher_scores': as many numbers as documents, 2 or 1, are required",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("columns", "message"), BROKEN)
def test_a_broken_row_is_named_by_dataset_row_and_column(
    columns: dict[str, list[Any]], message: str
) -> None:
    examples = Examples(datasets.Dataset.from_dict(columns), "pairs.jsonl")
    assert examples[0].query == "q"
    for read in (lambda: examples[1], lambda: list(examples)):
        with pytest.raises(InputError) as caught:
            read()
        assert f"pairs.jsonl, row 2, column {message}" in str(caught.value)


def test_examples_are_a_sequence() -> None:
    rows = {"query": [f"q{n}" for n in range(2500)], "positive": ["p"] * 2500}
    examples = Examples(datasets.Dataset.from_dict(rows).with_format("numpy"), number=3)
    assert list(examples) == examples[:] == [examples[n] for n in range(2500)]
    assert examples[-1] == Example("q2499", ("p",), (1.0,), dataset=3)
    assert [example.query for example in examples[2:4]] == ["q2", "q3"]
    with pytest.raises(IndexError):
        examples[2500]


def test_an_empty_dataset_is_refused() -> None:
    rows = datasets.Dataset.from_dict({"query": ["q"], "positive": ["p"]}).select([])
    with pytest.raises(InputError, match=r"rows.csv: at least one row is required"):
        Examples(rows, "rows.csv")
