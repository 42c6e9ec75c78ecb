"""Logits of transformers' sequence classifiers, through every backend."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.parity.tiny_models import CLASSIFIERS, MAX_LENGTH, PAIRS, classify, make_classifier
from tokenizers import Tokenizer

from crossrank import CrossEncoder
from crossrank.types import Floats

Once = Callable[[str, Callable[[Path], Path]], Path]


@pytest.fixture(scope="module", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Converted models go to a folder of this session."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CROSSRANK_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


def expected(folder: Path) -> Floats:
    """Logits as transformers computes them."""
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    logits: Floats = classify(model, AutoTokenizer.from_pretrained(folder), PAIRS).numpy()
    assert logits.std(axis=0).min() >= 1, "the weights were not rescaled"
    return logits


def logits_of(folder: Path, backend: Any, **options: Any) -> Floats:
    """Logits as crossrank computes them, ``[pairs, labels]``."""
    if backend == "onnx":
        pytest.importorskip("onnxruntime", reason="the onnx backend runs on it")
    with CrossEncoder(folder, backend=backend, activation_fn="identity", **options) as model:
        scores: Floats = model.predict(PAIRS)
    return scores.reshape(len(PAIRS), -1)


@pytest.mark.parametrize("backend", ["openvino", "onnx", "torch"])
@pytest.mark.parametrize("family", list(CLASSIFIERS))
def test_logits_equal_transformers(family: str, backend: str, once: Once) -> None:
    folder = once(family, lambda path: make_classifier(path, family))
    np.testing.assert_allclose(logits_of(folder, backend), expected(folder), atol=1e-4)


@pytest.mark.parametrize("family", list(CLASSIFIERS))
def test_three_labels(family: str, once: Once) -> None:
    folder = once(f"{family}-3", lambda path: make_classifier(path, family, labels=3))
    logits = logits_of(folder, "torch")
    assert logits.shape == (len(PAIRS), 3)
    np.testing.assert_allclose(logits, expected(folder), atol=1e-4)


@pytest.mark.parametrize("backend", ["openvino", "onnx"])
def test_three_labels_converted(backend: str, once: Once) -> None:
    folder = once("bert-3", lambda path: make_classifier(path, "bert", labels=3))
    np.testing.assert_allclose(logits_of(folder, backend), expected(folder), atol=1e-4)


@pytest.mark.parametrize("family", ["bert", "roberta", "modernbert"])
@pytest.mark.parametrize("max_length", [None, 24])
def test_scores_equal_sentence_transformers(
    family: str, max_length: int | None, once: Once
) -> None:
    library = pytest.importorskip("sentence_transformers", reason="the library compared with")
    folder = once(family, lambda path: make_classifier(path, family))
    theirs = library.CrossEncoder(str(folder), device="cpu", max_length=max_length)
    ours = CrossEncoder(folder, backend="torch", max_length=max_length)
    assert ours.max_seq_length == theirs.max_seq_length == (max_length or MAX_LENGTH)
    np.testing.assert_allclose(ours.predict(PAIRS), theirs.predict(PAIRS), atol=1e-5)
    assert [
        entry["corpus_id"] for entry in ours.rank(PAIRS[0][0], [text for _, text in PAIRS])
    ] == [entry["corpus_id"] for entry in theirs.rank(PAIRS[0][0], [text for _, text in PAIRS])]


@pytest.mark.parametrize("said_by", ["tokenizer_config.json", "tokenizer.json", "the caller"])
def test_the_beginning_is_cut_where_the_tokenizer_says_so(
    said_by: str, once: Once, tmp_path: Path
) -> None:
    library = pytest.importorskip("sentence_transformers", reason="the library compared with")
    plain = once("bert", lambda path: make_classifier(path, "bert"))
    folder = shutil.copytree(plain, tmp_path / "model")
    options: dict[str, Any] = {}
    if said_by == "the caller":
        options = {"processor_kwargs": {"truncation_side": "left"}}
    elif said_by == "tokenizer.json":
        tokenizer = Tokenizer.from_file(str(folder / said_by))
        tokenizer.enable_truncation(MAX_LENGTH, direction="left")
        tokenizer.save(str(folder / said_by))
    else:
        settings = json.loads((folder / said_by).read_text())
        (folder / said_by).write_text(json.dumps(settings | {"truncation_side": "left"}))
    theirs = library.CrossEncoder(str(folder), device="cpu", **options).predict(PAIRS)
    ours = CrossEncoder(folder, backend="torch", **options).predict(PAIRS)
    np.testing.assert_allclose(ours, theirs, atol=1e-5)
    assert np.abs(ours - CrossEncoder(plain, backend="torch").predict(PAIRS)).max() > 0.01


def test_three_pairs_are_truncated(once: Once) -> None:
    """The comparisons above are only worth something when some pairs are too long."""
    folder = once("bert", lambda path: make_classifier(path, "bert"))
    encoded = CrossEncoder(folder, backend="torch")._tokenizer.encode(PAIRS)
    cut = [item.truncated_query + item.truncated_document > 0 for item in encoded]
    assert sum(cut) == 3
    assert len({len(item.ids) for item in encoded}) > 4
