"""Teachers' scores: from models and from files, remembered and checked."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="training needs torch")
datasets = pytest.importorskip("datasets", reason="training needs datasets")
pytest.importorskip("sentence_transformers", reason="random bi-encoders are saved by it")

from tests.parity.tiny_models import make_classifier  # noqa: E402
from tests.retrieval.tiny_bi_encoder import make_bi_encoder  # noqa: E402

from crossrank import CrossEncoder  # noqa: E402
from crossrank.cache import ScoreCache  # noqa: E402
from crossrank.errors import InputError  # noqa: E402
from crossrank.retrieval.dense import BiEncoder  # noqa: E402
from crossrank.training import soft_labels as module  # noqa: E402
from crossrank.training.columns import Examples  # noqa: E402
from crossrank.training.data_files import load_data  # noqa: E402
from crossrank.training.soft_labels import (  # noqa: E402
    BiEncoderTeacher,
    CrossEncoderTeacher,
    given_scores,
    soft_labels,
)
from crossrank.types import Floats, Pair  # noqa: E402

ROWS = {
    "query": ["stove", "gas", "wood"],
    "documents": [["It burns gas.", "Berlin."], ["A museum."], ["Wood burns.", "2 kg", "yes"]],
    "labels": [[1, 0], [1], [0, 1, 0]],
}
PAIRS = [
    (query, text)
    for query, texts in zip(ROWS["query"], ROWS["documents"], strict=True)
    for text in texts
]


def examples(rows: dict[str, list[Any]] = ROWS) -> Examples:
    return Examples(datasets.Dataset.from_dict(rows), "data")


class Teacher:
    """Answers with what it is given, or with the length of the document."""

    def __init__(self, answer: Any = None) -> None:
        self.answer = answer
        self.calls: list[int] = []

    def score(self, pairs: Sequence[Pair]) -> Floats:
        self.calls.append(len(pairs))
        if self.answer is not None:
            return np.asarray(self.answer, dtype=np.float32)
        return np.float32([len(document) for _, document in pairs])


def test_each_document_gets_its_score(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_ROWS_AT_ONCE", 2)
    teacher, steps = Teacher(), []
    found = soft_labels(examples(), teacher, tmp_path / "taught.arrow", progress=steps.append)
    assert found.to_dict() == {
        "query": ROWS["query"],
        "documents": ROWS["documents"],
        "teacher_scores": [[13.0, 7.0], [9.0], [11.0, 4.0, 3.0]],
    }
    assert teacher.calls == steps == [3, 3]
    assert [example.teacher_scores for example in Examples(found, "taught")][1] == (9.0,)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ([1, 2, 3], r"one score a pair, 6 here; received an array of the shape \[3\]"),
        ([[1]] * 6, r"shape \[6, 1\]"),
        ([1, 2, np.nan, 4, 5, 6], "for the query 'gas' and the document 'A museum.'"),
        ([1, 2, 3, 4, 5, -np.inf], "for the query 'wood' and the document 'yes'"),
    ],
)
def test_a_wrong_answer_is_refused(tmp_path: Path, answer: list[Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        soft_labels(examples(), Teacher(answer), tmp_path / "taught.arrow")


def test_a_query_without_documents_is_refused(tmp_path: Path) -> None:
    rows = ROWS | {"documents": [["a"], [], ["b"]], "labels": [[1], [], [1]]}
    with pytest.raises(InputError, match="row 2, column 'documents': a list of documents"):
        soft_labels(examples(rows), Teacher(), tmp_path / "taught.arrow")


def test_a_cross_encoder_gives_logits_and_scores_no_pair_twice(tiny: Path, tmp_path: Path) -> None:
    model = CrossEncoder(tiny, backend="torch", device="cpu", cache=tmp_path / "scores.sqlite")
    taught = soft_labels(examples(), CrossEncoderTeacher(model), tmp_path / "taught.arrow")
    plain = CrossEncoder(tiny, backend="torch", device="cpu")
    expected = plain.predict(PAIRS, activation_fn="identity")
    found = [score for scores in taught["teacher_scores"] for score in scores]
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    model.runtime.forward = None  # type: ignore[assignment, method-assign]  # needed no more
    again = soft_labels(examples(), CrossEncoderTeacher(model), tmp_path / "again.arrow")
    assert again.to_dict() == taught.to_dict()
    model.close()


def test_a_bi_encoder_gives_scaled_cosines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = BiEncoder.load(make_bi_encoder(tmp_path / "model"), device="cpu")
    cache = ScoreCache(tmp_path / "scores.sqlite")
    teacher = BiEncoderTeacher(encoder, cache, scale=5)
    queries, documents = zip(*PAIRS, strict=True)
    vectors = encoder.encode(queries, role="query"), encoder.encode(documents, role="document")
    expected = 5 * (vectors[0] * vectors[1]).sum(axis=1)
    np.testing.assert_allclose(teacher.score(PAIRS[:4]), expected[:4], rtol=1e-5)
    asked: list[Pair] = []
    score = encoder.score
    monkeypatch.setattr(encoder, "score", lambda pairs: [asked.extend(pairs), score(pairs)][1])
    np.testing.assert_allclose(teacher.score(PAIRS), expected, rtol=1e-5)
    assert asked == PAIRS[4:]
    cache.close()


def test_a_teacher_of_several_labels_is_refused(tmp_path: Path) -> None:
    folder = make_classifier(tmp_path / "model", "bert", labels=3)
    model = CrossEncoder(folder, backend="torch", device="cpu")
    with pytest.raises(InputError, match="one label is required, and this model has 3"):
        CrossEncoderTeacher(model)


def test_scores_in_a_file(tmp_path: Path) -> None:
    """A line a pair, as services write them; the lines of a query need not be neighbours."""
    file = tmp_path / "scores.csv"
    file.write_text("query,content,score\na,x,0.5\nb,y,1\na,z,0.880797\n")
    rows = Examples(load_data(file, store=tmp_path / "rows.arrow"), "scores.csv")
    taught = given_scores(rows, tmp_path / "taught.arrow", "probabilities")
    assert taught["query"][:] == ["a", "b"]
    assert taught["documents"][:] == [["x", "z"], ["y"]]
    (half, two), (one,) = taught["teacher_scores"][:]
    assert (half, two) == pytest.approx((0, 2), abs=1e-4)
    assert one == pytest.approx(np.log(999_999), abs=1e-4)  # a probability of 1 has no logit
    plain = given_scores(rows, tmp_path / "taught.arrow")
    assert plain["teacher_scores"][:] == [[0.5, 0.880797], [1.0]]


def test_teacher_scores_go_before_labels(tmp_path: Path) -> None:
    rows = ROWS | {"teacher_scores": [[3, -2], [0.5], [1, 2, 3]]}
    taught = given_scores(examples(rows), tmp_path / "taught.arrow")
    assert taught["teacher_scores"][:] == [[3, -2], [0.5], [1, 2, 3]]
    assert "labels" not in taught.column_names


@pytest.mark.parametrize(
    ("scores", "scale", "said"),
    [
        ([[3, -2], [0.5], [1, 2]], "logits", "row 3, column 'teacher_scores': as many numbers"),
        ([[3, -2], [float("nan")], [1, 2, 3]], "logits", "row 2, .*finite number"),
        ([[0.1, 0.2], [1.5], [0, 0, 0]], "probabilities", "row 2: a probability must be between"),
    ],
)
def test_scores_that_cannot_be_are_refused(
    tmp_path: Path, scores: list[list[float]], scale: Any, said: str
) -> None:
    with pytest.raises(InputError, match=said):
        given_scores(examples(ROWS | {"teacher_scores": scores}), tmp_path / "t.arrow", scale)


def test_rows_without_scores_are_refused(tmp_path: Path) -> None:
    rows = {"query": ["a"], "positive": ["b"], "negative": ["c"]}
    with pytest.raises(InputError, match="a column 'teacher_scores' is required"):
        given_scores(examples(rows), tmp_path / "taught.arrow")


def test_the_scores_of_t2ranking(crossrank_data: Path, tmp_path: Path) -> None:
    file = crossrank_data / "t2ranking-100/t2rank_100.distill.jsonl"
    rows = Examples(load_data(file, store=tmp_path / "rows.arrow"), file.name)
    taught = given_scores(rows, tmp_path / "taught.arrow", "probabilities")
    assert len(taught) == 100
    assert sum(map(len, taught["documents"])) > 1900  # of 2,005 rows; a few texts are there twice
    assert taught["teacher_scores"][0][0] == pytest.approx(np.log(0.7772193 / (1 - 0.7772193)))
