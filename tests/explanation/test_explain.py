"""Explaining pairs with models: without weights, and with the embedded one."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.cli.conftest import make_model

from crossrank import CrossEncoder, InputError
from crossrank.demo import load
from crossrank.explanation.explanation import Explanation, Piece


@pytest.fixture(scope="module")
def constant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CrossEncoder]:
    """Scores are the share of the document's tokens, ``[SEP]`` included, that the query has."""
    folder = make_model(tmp_path_factory.mktemp("model") / "constant")
    with CrossEncoder(folder, backend="constant") as model:  # type: ignore[arg-type]
        yield model


@pytest.fixture(scope="module")
def embedded() -> Iterator[CrossEncoder]:
    with CrossEncoder() as model:
        yield model


def attributions(explanation: Explanation) -> list[float]:
    return [piece.attribution for piece in explanation.pieces]


def test_words_by_hand(constant: CrossEncoder) -> None:
    found = constant.explain("w1", "w1 w2  w3", "tokens")
    # Of w1 w2 w3 [SEP] the query has two in four; one in three without w1, two in three otherwise.
    assert attributions(found) == pytest.approx([1 / 2 - 1 / 3, 1 / 2 - 2 / 3, 1 / 2 - 2 / 3])
    assert [(piece.start, piece.end, piece.text) for piece in found.pieces] == [
        (0, 2, "w1"),
        (3, 5, "w2"),
        (7, 9, "w3"),
    ]
    assert (found.logit, found.score, found.baseline) == (0.5, 0.5, 1.0)
    assert (found.read, found.faithfulness) == (9, None)


def test_sentences_by_hand(constant: CrossEncoder) -> None:
    found = constant.explain("w1", "w1 w2\nw3 w4")
    assert attributions(found) == pytest.approx([2 / 5 - 1 / 3, 2 / 5 - 2 / 3])
    assert [piece.text for piece in found.pieces] == ["w1 w2", "w3 w4"]


def test_a_prompt_is_before_the_query(constant: CrossEncoder) -> None:
    assert constant.explain("w2", "w1 w3", prompt="w1 ").logit == pytest.approx(2 / 3)
    assert constant.explain("w2", "w1 w3").logit == pytest.approx(1 / 3)


def test_only_what_the_model_reads_is_explained(constant: CrossEncoder) -> None:
    # 16 tokens: [CLS] w1 [SEP] ... [SEP] leave room for 12. Were the rest left there, w1 would move
    # up when a word before it is taken out.
    document = "w2 " * 12 + "w1 w1"
    found = constant.explain("w1", document, "tokens")
    assert document[: found.read] == ("w2 " * 12).strip()
    assert attributions(found) == pytest.approx([1 / 13 - 1 / 12] * 12)
    assert found.logit == pytest.approx(float(constant.predict(("w1", document))))


def test_what_is_cut_at_its_beginning_is_refused(tmp_path: Path) -> None:
    folder = make_model(tmp_path / "constant")
    side = {"truncation_side": "left"}
    with CrossEncoder(folder, backend="constant", processor_kwargs=side) as model:  # type: ignore[arg-type]
        assert model.explain("w1", "w1 w2").logit == pytest.approx(2 / 3)
        with pytest.raises(InputError, match=r"cuts the beginning of texts.* 2 tokens do not fit"):
            model.explain("w1", "w2 " * 12 + "w1 w1")


def test_a_query_that_is_cut_stays_cut(constant: CrossEncoder) -> None:
    # Ten and nine tokens: seven of the query are read, with more room it would be eight.
    pair = ("w1 " * 7 + "w2 w2 w2", "w2 " * 9)
    found = constant.explain(*pair, "tokens")
    assert found.logit == pytest.approx(float(constant.predict(pair)))
    assert attributions(found) == pytest.approx([1 / 7 - 1 / 6] * 6)


def test_the_number_of_pieces_is_bounded(constant: CrossEncoder) -> None:
    found = constant.explain("w1", "w1 w2 w3 w4 w5", "tokens", max_pieces=2)
    assert [piece.text for piece in found.pieces] == ["w1 w2", "w3 w4 w5"]


@pytest.mark.filterwarnings("ignore:A text in")
@settings(deadline=None, max_examples=30)
@given(text=st.text(max_size=60) | st.text(alphabet="a w1.\n。東\ud83d", max_size=60))
def test_offsets_slice_the_document(constant: CrossEncoder, text: str) -> None:
    for method in ("sentences", "tokens"):
        found = constant.explain("w1", text, method, faithfulness=True)  # type: ignore[arg-type]
        for piece in (*found.pieces, *found.relevant_spans()):
            assert text[piece.start : piece.end] == piece.text == piece.text.strip() != ""
        assert found.read <= len(text)


@pytest.mark.parametrize("document", ["", "  \n"])
def test_an_empty_document(constant: CrossEncoder, document: str) -> None:
    found = constant.explain("w1", document, faithfulness=True)
    assert (found.pieces, found.faithfulness) == ((), None)
    assert found.logit == found.baseline == 1.0
    assert found.relevant_spans() == []


def test_a_label_is_chosen(tmp_path: Path) -> None:
    folder = make_model(tmp_path / "constant", labels=2)
    model = CrossEncoder(folder, backend="constant", activation_fn=lambda logits: 10 * logits)  # type: ignore[arg-type]
    found = model.explain("w1", "w1 w2", "tokens", label=1)
    assert (found.label, found.logit, found.score) == (
        1,
        pytest.approx(5 / 3),
        pytest.approx(50 / 3),
    )
    assert attributions(found) == pytest.approx([2 / 3 - 1 / 2, 2 / 3 - 1], abs=1e-6)
    with pytest.raises(InputError, match=r"label must be from 0 to 1.*received 2"):
        model.explain("w1", "w2", label=2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "magic"}, "method must be one of 'sentences', 'tokens', 'gradients'.*'magic'"),
        ({"label": -1}, "label must be 0, as the model has 1; received -1"),
        ({"max_pieces": 0}, "max_pieces must be at least 1, received 0"),
        ({"steps": 0}, "steps must be at least 1, received 0"),
        ({"document": None}, "document.*must be a string, received None"),
        ({"method": "gradients"}, "backend='torch', received one on 'constant'"),
    ],
)
def test_what_cannot_be_explained(
    constant: CrossEncoder, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        constant.explain("w1", **{"document": "w2", **options})


def pieces(*values: float) -> tuple[Piece, ...]:
    return tuple(Piece(2 * n, 2 * n + 1, "x", value) for n, value in enumerate(values))


def test_relevant_spans_join_neighbours() -> None:
    found = Explanation("", "x x x x x", "tokens", 0, 0, 0, 0, pieces(1, 2, -3, 5, 0), read=9)
    assert found.relevant_spans(top=1) == [Piece(6, 7, "x", 5)]
    assert found.relevant_spans() == [Piece(6, 7, "x", 5), Piece(0, 3, "x x", 3)]
    assert found.relevant_spans(top=9) == found.relevant_spans()  # what lowers the logit is out
    assert found.relevant_spans(top=0) == []


def test_score_and_logit_are_those_of_predict(embedded: CrossEncoder) -> None:
    pair = ("capital of France", "Bread is baked. Paris is the capital of France.")
    found = embedded.explain(*pair)
    assert found.score == pytest.approx(float(embedded.predict(pair)), abs=1e-5)
    logit = float(embedded.predict(pair, activation_fn="identity"))
    assert found.logit == pytest.approx(logit, abs=1e-5)
    assert found.baseline == pytest.approx(
        float(embedded.predict((pair[0], ""), activation_fn="identity")), abs=1e-5
    )


def test_an_explanation_of_the_embedded_model_beats_chance(embedded: CrossEncoder) -> None:
    text = "Bread is baked. Paris is the capital of France. It has two million people. It rains."
    found = embedded.explain("capital of France", text, faithfulness=True)
    assert found.relevant_spans(top=1)[0].text == "Paris is the capital of France."
    assert found.faithfulness is not None
    assert found.faithfulness.gain > 0.1
    assert found.faithfulness.deletion < found.faithfulness.random_deletion
    assert found.faithfulness.insertion > found.faithfulness.random_insertion


def test_answers_are_found_among_neighbouring_sentences(embedded: CrossEncoder) -> None:
    """Over 240 paragraphs: ``benchmarks/explanations.py``. Here every hundredth question."""
    documents, queries, qrels = load()
    ids = list(documents)
    hits = []
    for query in list(queries)[::100]:
        (relevant, *_) = qrels[query]
        place = min(max(ids.index(relevant), 2), len(ids) - 3)
        near = ids[place - 2 : place + 3]
        found = embedded.explain(queries[query], "\n".join(documents[name] for name in near))
        (best, *_) = found.relevant_spans(top=1)
        hits.append(any(best.text in documents[name] for name in qrels[query]))
    assert len(hits) == 12
    assert np.mean(hits) >= 0.7  # chance: 0.2
