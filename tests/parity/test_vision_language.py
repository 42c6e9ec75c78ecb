"""Rerankers that read images score here as in sentence-transformers."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from crossrank import CrossEncoder

torch = pytest.importorskip("torch", reason="vision-language models are computed by torch")
transformers = pytest.importorskip("transformers", reason="it makes the models")
reference = pytest.importorskip("sentence_transformers", reason="it is the reference")
Image = pytest.importorskip("PIL.Image", reason="images are read with Pillow")

from tests.multimodal.tiny_vision import (  # noqa: E402
    FAMILIES,
    make_pooled,
    make_reranker,
    pixels,
)
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import (  # noqa: E402
    Qwen2VLImageProcessorPil,
)

pytestmark = pytest.mark.usefixtures("one_thread")

IDENTITY = torch.nn.Identity()
PROCESSORS = {
    "qwen2_vl": "Qwen2VLProcessor",
    "qwen2_5_vl": "Qwen2_5_VLProcessor",
    "qwen3_vl": "Qwen3VLProcessor",
}
QUERY = "How many people live in Berlin?"
DOCUMENTS: list[Any] = [
    pixels(16, 16),
    pixels(24, 40, 1),
    "Berlin has about 3.5 million people.",
    {"text": "Museums and people.", "image": pixels(30, 20, 2)},
    {"image": pixels(70, 50, 3), "text": "It weighs 2 kg."},
    {"image": pixels(8, 9, 4), "text": ""},
    {"text": "One score."},
]


class WithoutVideos:
    """Stands in for ``AutoProcessor``, which asks for torchvision to process videos with."""

    @staticmethod
    def from_pretrained(folder: str, **_: object) -> Any:
        kind = transformers.AutoConfig.from_pretrained(folder).model_type
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
        images = Qwen2VLImageProcessorPil.from_pretrained(folder)
        base = getattr(transformers, PROCESSORS[kind])
        members = {
            "check_argument_for_proper_class": lambda *_: None,
            "get_attributes": classmethod(lambda _: ["image_processor", "tokenizer"]),
        }
        processor = type(base.__name__, (base,), members)
        return processor(images, tokenizer, None, chat_template=tokenizer.chat_template)


@pytest.fixture
def theirs(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], Any]:
    """Loads a folder with sentence-transformers."""
    from sentence_transformers.base.modules import transformer

    monkeypatch.setattr(transformer, "AutoProcessor", WithoutVideos)
    return lambda folder: reference.CrossEncoder(str(folder), device="cpu")


def score(model: Any, documents: list[Any], **options: Any) -> np.ndarray:
    """Their scores, for documents of our forms."""
    pairs = [(QUERY, _as_theirs(document)) for document in documents]
    return model.predict(pairs, activation_fn=IDENTITY, show_progress_bar=False, **options)


def _as_theirs(document: Any) -> Any:
    if isinstance(document, dict):
        return {kind: _as_theirs(part) for kind, part in document.items()}
    return document if isinstance(document, str) else Image.fromarray(document)


@pytest.mark.parametrize("family", FAMILIES)
def test_answers_with_yes_or_no(family: str, tmp_path: Path, theirs: Callable[[Path], Any]) -> None:
    """The layout of Qwen3-VL-Reranker: a language model, and ``LogitScore`` behind it."""
    folder = make_reranker(tmp_path / family, family)
    model = theirs(folder)
    ours = CrossEncoder(folder, device="cpu", activation_fn="identity")
    assert ours.backend == "torch"
    for options in ({}, {"prompt": "Find the stove."}):
        expected = score(model, DOCUMENTS, **options)
        assert expected.std() >= 1
        found = ours.predict([(QUERY, document) for document in DOCUMENTS], **options)
        np.testing.assert_allclose(found, expected, atol=1e-4)


def test_a_head_of_its_own(tmp_path: Path, theirs: Callable[[Path], Any]) -> None:
    """Two layers on the state of the last token, the head that jina-reranker-m0 has.

    Its own files hold program code instead of this layout.
    """
    folder = make_pooled(tmp_path / "pooled")
    expected = score(theirs(folder), DOCUMENTS)
    assert expected.std() >= 1
    ours = CrossEncoder(folder, device="cpu", activation_fn="identity")
    found = ours.predict([(QUERY, document) for document in DOCUMENTS])
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_what_they_save_is_read(tmp_path: Path, theirs: Callable[[Path], Any]) -> None:
    model = theirs(make_reranker(tmp_path / "made"))
    model.save_pretrained(str(tmp_path / "saved"))
    assert not (tmp_path / "saved" / "preprocessor_config.json").exists()
    ours = CrossEncoder(tmp_path / "saved", device="cpu", activation_fn="identity")
    assert ours.modalities == ("text", "image")
    found = ours.predict([(QUERY, document) for document in DOCUMENTS])
    np.testing.assert_allclose(found, score(model, DOCUMENTS), atol=1e-4)
