"""Batches of lists: what lies where, and documents of other queries."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs torch")

from tests.parity.tiny_models import wordpiece  # noqa: E402

from crossrank.tokenization import PairTemplate, PairTokenizer  # noqa: E402
from crossrank.training.collation import Collator, with_in_batch_negatives  # noqa: E402
from crossrank.training.examples import Example  # noqa: E402

EXAMPLES = [
    Example("q", ("a", "b b b"), (2.0, 1.0), (5.0, -5.0)),
    Example("r", ("c",), (1.0,), (3.0,)),
]


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> PairTokenizer:
    file = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    wordpiece().save(str(file))
    return PairTokenizer(file, PairTemplate(), max_length=64)


def test_lists_are_laid_out_query_by_query(tokenizer: PairTokenizer) -> None:
    batch = Collator(tokenizer)(EXAMPLES)
    assert len(batch) == 2
    assert batch.rows.tolist() == [0, 0, 1]
    assert batch.columns.tolist() == [0, 1, 0]
    assert batch.labels.tolist() == [[2, 1], [1, 0]]
    assert batch.mask.tolist() == [[True, True], [True, False]]
    assert batch.teacher_scores is not None
    assert batch.teacher_scores.tolist() == [[5, -5], [3, 0]]
    alone = tokenizer.encode([("q", "b b b")])[0]
    assert batch.encoded[1].ids.tolist() == alone.ids.tolist()


def test_without_a_teacher_for_every_query_there_is_none(tokenizer: PairTokenizer) -> None:
    batch = Collator(tokenizer)([EXAMPLES[0], Example("r", ("c",), (1.0,))])
    assert batch.teacher_scores is None


def test_selected_queries_keep_their_pairs(tokenizer: PairTokenizer) -> None:
    batch = Collator(tokenizer)(
        [*EXAMPLES, Example("s", ("d", "e", "f"), (0.0, 1.0, 0.0), (0,) * 3)]
    )
    part = batch.select(np.array([1, 2]))
    assert part.rows.tolist() == [0, 1, 1, 1]
    assert part.columns.tolist() == [0, 0, 1, 2]
    assert part.labels.tolist() == [[1, 0, 0], [0, 1, 0]]
    assert part.encoded == batch.encoded[2:]
    assert part.teacher_scores is not None
    assert part.teacher_scores.tolist() == [[3, 0, 0], [0, 0, 0]]


def test_in_batch_negatives_go_round_the_first_documents_first() -> None:
    batch = [
        Example("q", ("a", "b"), (1.0, 0.0)),
        Example("r", ("c", "d"), (1.0, 0.0)),
        Example("s", ("e",), (1.0,)),
    ]
    added = list(with_in_batch_negatives(batch, 3))
    assert [example.documents for example in added] == [
        ("a", "b", "c", "e", "d"),
        ("c", "d", "e", "a", "b"),
        ("e", "a", "c", "b"),  # there is no more than 4 others, and 3 are wanted
    ]
    assert added[0].labels == (1, 0, 0, 0, 0)


def test_no_document_of_the_same_query_becomes_its_negative() -> None:
    batch = [
        Example("q", ("a",), (1.0,)),
        Example("q", ("b",), (1.0,)),
        Example("r", ("a",), (1.0,)),
    ]
    added = [example.documents for example in with_in_batch_negatives(batch, 5)]
    assert added == [("a",), ("b",), ("a", "b")]
