"""Integrated gradients: they sum to what the document does, and are computed as by hand."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from crossrank import CrossEncoder, UnsupportedModelError
from crossrank.explanation.explanation import Explanation

torch = pytest.importorskip("torch", reason="gradients are computed by torch")
pytest.importorskip("transformers", reason="random models are made with it")
from tests.parity.tiny_models import (  # noqa: E402
    LONG_TEXT,
    PAIRS,
    TEXTS,
    make_causal_lm,
    make_classifier,
)


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CrossEncoder]:
    folder = make_classifier(tmp_path_factory.mktemp("bert") / "model", "bert", labels=2)
    with CrossEncoder(folder, backend="torch") as model:
        yield model


def attributions(explanation: Explanation) -> np.ndarray:
    return np.array([piece.attribution for piece in explanation.pieces])


@pytest.mark.parametrize(
    ("pair", "label"), [(PAIRS[0], 0), (PAIRS[3], 1), (PAIRS[4], 1), (PAIRS[5], 0)]
)
def test_attributions_sum_to_what_the_document_changes(
    bert: CrossEncoder, pair: tuple[str, str], label: int
) -> None:
    found = bert.explain(*pair, "gradients", label=label, steps=25)
    difference = found.logit - found.baseline
    assert attributions(found).sum() == pytest.approx(difference, abs=2e-3)
    assert abs(difference) > 0.01
    assert found.logit == pytest.approx(float(bert.predict(pair)[label]), abs=1e-4)
    for piece in found.pieces:
        assert pair[1][piece.start : piece.end] == piece.text


@pytest.mark.parametrize("family", ["roberta", "modernbert"])
def test_other_families(family: str, tmp_path: Path) -> None:
    model = CrossEncoder(make_classifier(tmp_path / "model", family), backend="torch")
    found = model.explain(*PAIRS[4], "gradients", steps=25)  # it is cut
    assert attributions(found).sum() == pytest.approx(found.logit - found.baseline, abs=5e-3)


def test_beside_the_integral_by_hand(bert: CrossEncoder) -> None:
    """The midpoint rule over the embeddings of the one token of the document."""
    found = bert.explain("stove", "a", "gradients")
    network = bert.runtime.module.model  # type: ignore[attr-defined]
    tokens = bert.tokenizer.encode("stove", "a")
    ids, types = torch.tensor([tokens.ids]), torch.tensor([tokens.type_ids])
    place = len(tokens.ids) - 2
    assert tokens.tokens[place:] == ["a", "[SEP]"]
    with torch.no_grad():
        embeddings = network.get_input_embeddings()
        end, pad = embeddings(ids), embeddings(torch.tensor(0))
    shares = ((torch.arange(200) + 0.5) / 200)[:, None, None]
    start = end.clone()
    start[0, place] = pad
    points = (start + shares * (end - start)).requires_grad_()
    logits = network(inputs_embeds=points, token_type_ids=types.expand(200, -1)).logits[:, 0]
    (gradients,) = torch.autograd.grad(logits.sum(), points)
    expected = float(gradients[:, place].mean(dim=0) @ (end - start)[0, place])
    assert attributions(found) == pytest.approx([expected], rel=1e-3)


def test_query_and_special_tokens_are_no_part_of_it(bert: CrossEncoder) -> None:
    found = bert.explain(TEXTS[1], TEXTS[0], "gradients", max_pieces=3)
    assert len(found.pieces) == 3
    whole = bert.explain(TEXTS[1], TEXTS[0], "gradients", max_pieces=1)
    assert attributions(whole) == pytest.approx([attributions(found).sum()], abs=1e-5)


def test_weights_and_scores_are_as_before(bert: CrossEncoder) -> None:
    before = bert.predict(PAIRS)
    bert.explain(*PAIRS[3], "gradients", faithfulness=True)
    np.testing.assert_array_equal(bert.predict(PAIRS), before)
    assert all(weight.grad is None for weight in bert.runtime.module.model.parameters())  # type: ignore[attr-defined]


@pytest.mark.parametrize("document", ["", " "])
def test_an_empty_document(bert: CrossEncoder, document: str) -> None:
    found = bert.explain("stove", document, "gradients")
    assert (found.pieces, found.logit) == ((), pytest.approx(found.baseline, abs=1e-5))


def test_too_few_steps_are_named(bert: CrossEncoder) -> None:
    with pytest.warns(UserWarning, match="attributions sum to .*: 1 steps are too few"):
        bert.explain(TEXTS[1], LONG_TEXT, "gradients", steps=1)


def test_other_models_are_refused(tmp_path: Path) -> None:
    model = CrossEncoder(make_causal_lm(tmp_path / "model"), backend="torch")
    with pytest.raises(UnsupportedModelError, match="works for sequence classifiers"):
        model.explain("stove", "gas", "gradients")
    assert len(model.explain("stove", "gas wood", "tokens").pieces) == 2


def test_a_model_that_computes_otherwise_from_embeddings_is_refused(
    bert: CrossEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = bert.runtime.module.model  # type: ignore[attr-defined]
    forward = network.forward

    def other(*, inputs_embeds: object = None, **arguments: object) -> object:
        if inputs_embeds is None:
            return forward(**arguments)
        output = forward(inputs_embeds=inputs_embeds, **arguments)
        output.logits = output.logits + 1
        return output

    def none(*, input_ids: object, **arguments: object) -> object:
        return forward(input_ids=input_ids, **arguments)

    for changed, message in ((other, "the logits of this one are"), (none, "takes embeddings")):
        monkeypatch.setattr(network, "forward", changed)
        with pytest.raises(UnsupportedModelError, match=message):
            bert.explain("stove", "gas", "gradients")
