"""Data and loss that do not fit are refused before anything is computed."""

from typing import Any

import pytest

pytest.importorskip("torch", reason="training needs torch")
datasets = pytest.importorskip("datasets", reason="training needs datasets")

from crossrank.errors import InputError  # noqa: E402
from crossrank.losses import WeightedSum, make_loss  # noqa: E402
from crossrank.training.training_data import TrainingData  # noqa: E402

PAIRS = {"query": ["q", "r"], "document": ["a", "bb"], "label": [1.0, 0.0]}
LISTS = {"query": ["q", "r"], "docs": [["a", "b"], ["c"]], "labels": [[2, 0], [1]]}
TRIPLES = {"query": ["q", "r"], "positive": ["a", "b"], "negative": ["c", "d"]}


def data(columns: dict[str, list[Any]]) -> TrainingData:
    return TrainingData(datasets.Dataset.from_dict(columns))


def check(columns: dict[str, list[Any]], loss: str, num_labels: int = 1, **options: Any) -> None:
    data(columns).check("train", make_loss(loss, **options), num_labels=num_labels)


def test_rows_are_numbered_through_all_datasets() -> None:
    both = TrainingData(
        {"pairs": datasets.Dataset.from_dict(PAIRS), "lists": datasets.Dataset.from_dict(LISTS)}
    )
    assert len(both) == 4
    assert [both[row].dataset for row in range(4)] == [0, 0, 1, 1]
    assert [both[row].documents for row in range(4)] == [("a",), ("bb",), ("a", "b"), ("c",)]
    assert both.summaries["pairs"].lengths.tolist() == [2, 3]
    assert both.summaries["lists"].lengths.tolist() == [2, 2]


def test_a_summary_knows_extremes_and_their_rows() -> None:
    columns = {"query": ["q"] * 4, "document": ["a"] * 4, "label": [0.0, 2.0, 0.5, 2.0]}
    summary = data(columns).summaries["train"]
    assert (summary.lowest, summary.highest) == ((0.0, 0), (2.0, 1))
    assert summary.fraction == (0.5, 2)
    assert (summary.most_documents, summary.comparable) == (1, 0)
    assert data(LISTS).summaries["train"].comparable == 1


def test_what_fits_is_accepted() -> None:
    check(PAIRS, "binary_cross_entropy")
    check(PAIRS, "cross_entropy", num_labels=2)
    check(LISTS, "ranknet")
    check(TRIPLES, "multiple_negatives_ranking")
    check({**TRIPLES, "teacher_scores": [[3.0, 1.0]] * 2}, "margin_mse")
    teacher = {"query": ["q"], "docs": [["a", "b"]], "teacher_scores": [[1.5, -2.0]]}
    check(teacher, "kl_divergence")


REFUSED = [
    (LISTS, "binary_cross_entropy", 1, r"train, row 1: the label 2: .*labels from 0 to 1"),
    ({**PAIRS, "label": [0.0, -0.5]}, "binary_cross_entropy", 1, "row 2: the label -0.5"),
    ({**PAIRS, "label": [0.0, 3.0]}, "cross_entropy", 3, "row 2: the label 3: .* from 0 to 2"),
    ({**PAIRS, "label": [0.0, 0.5]}, "cross_entropy", 3, "row 2: the label 0.5: .*whole numbers"),
    (PAIRS, "cross_entropy", 1, "needs a model with one logit a class, this one has 1. .*=2"),
    (PAIRS, "ranknet", 3, "needs a model with one logit a pair, this one has 3"),
    (LISTS, "cross_entropy", 3, "takes one document a row, with its class, received 2"),
    (PAIRS, "ranknet", 1, "no row has two documents with different labels"),
    ({**LISTS, "labels": [[1, 1], [0]]}, "listnet", 1, "no row has two documents with different"),
    ({**PAIRS, "label": [1.0, 1.0]}, "binary_cross_entropy", 1, "two values are required, and all"),
    ({**PAIRS, "label": [1, 1]}, "cross_entropy", 2, "two values are required, and all are 1"),
    (TRIPLES, "margin_mse", 1, "the dataset has no column 'teacher_scores'"),
]


@pytest.mark.parametrize(("columns", "loss", "num_labels", "message"), REFUSED)
def test_what_does_not_fit_is_refused(
    columns: dict[str, list[Any]], loss: str, num_labels: int, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        check(columns, loss, num_labels)


def test_every_term_of_a_sum_is_checked() -> None:
    both = WeightedSum([(make_loss("ranknet"), 1.0), (make_loss("margin_mse"), 1.0)])
    with pytest.raises(InputError, match="no column 'teacher_scores'"):
        data(TRIPLES).check("train", both)


def test_in_batch_negatives_make_lists_of_pairs_but_have_no_teacher() -> None:
    loss = make_loss("multiple_negatives_ranking")
    positives = {"query": ["q", "r"], "positive": ["a", "b"]}
    data(positives).check("train", loss, in_batch_negatives=1)
    with pytest.raises(InputError, match="no row has two documents"):
        data(positives).check("train", loss)
    with pytest.raises(InputError, match="the teacher has not scored"):
        data({**TRIPLES, "teacher_scores": [[3.0, 1.0]] * 2}).check(
            "train", loss, in_batch_negatives=1
        )


def test_in_batch_negatives_are_no_class() -> None:
    with pytest.raises(InputError, match=r"train: in_batch_negatives adds .*'cross_entropy'"):
        data(PAIRS).check("train", make_loss("cross_entropy"), num_labels=2, in_batch_negatives=1)


def test_the_pool_is_as_large_as_the_negatives_of_every_row() -> None:
    rows = {"query": ["q"] * 3, "docs": [["a"], ["b", "c", "d"], ["e", "f", "g"]]}
    rows |= {"labels": [[0.0], [1.0, 0.0, 0.5], [0.0, 0.0, 1.0]]}
    loss = make_loss("gbce", pool=2)
    data(rows).check("train", loss)
    with pytest.raises(InputError, match=r"train, row 3: pool must be .* 2 for 3 negatives"):
        data(rows).check("train", loss, in_batch_negatives=1)
    rows["labels"][1] = [0.0, 0.0, 0.0]
    with pytest.raises(InputError, match=r"train, row 2: pool must be .* 2 for 3 negatives"):
        data(rows).check("train", loss)


def test_a_broken_row_is_found_before_training_starts() -> None:
    columns = {**PAIRS, "label": [1.0, float("nan")]}
    with pytest.raises(InputError, match="train, row 2, column 'label': a finite number"):
        data(columns)


def test_no_dataset_is_refused() -> None:
    with pytest.raises(InputError, match="At least one dataset"):
        TrainingData({})
