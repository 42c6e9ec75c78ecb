"""Rerankers whose documents are texts, images, or both: from the folder to the ranking."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.multimodal.conftest import COLOURS, encoded, lists_of_colours, picture

from crossrank import CrossEncoder
from crossrank.batching import collate
from crossrank.errors import ExportError, InputError, OutOfMemoryError, UnsupportedModelError
from crossrank.multimodal.patches import PatchProcessor

torch = pytest.importorskip("torch", reason="vision-language models are computed by torch")
pytest.importorskip("transformers", reason="it makes the models")

from tests.multimodal.tiny_vision import CHAT, make_reranker, pixels  # noqa: E402

QUERY = "a red coat"
DOCUMENTS: list[Any] = [
    pixels(16, 16),
    "a text",
    {"text": "before it", "image": pixels(30, 20, 1)},
    {"image": pixels(20, 50, 2), "text": "behind it, and longer than the others"},
    pixels(90, 40, 3),
    "",
]
PAIRS = [(QUERY, document) for document in DOCUMENTS]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_reranker(tmp_path_factory.mktemp("vision") / "model")


@pytest.fixture(scope="module")
def model(folder: Path) -> CrossEncoder:
    return load(folder)


def load(folder: Path, **options: Any) -> CrossEncoder:
    return CrossEncoder(folder, device="cpu", activation_fn="identity", **options)


def written(model: CrossEncoder, query: str, document: Any) -> str:
    """What the model reads, ``#`` for each state of an image."""
    (pair,) = model._tokenizer.encode([(query, document)])
    text = model.tokenizer.decode(pair.ids.tolist(), skip_special_tokens=False)
    return text.replace("<|image_pad|>", "#").split("<|im_start|>user\n")[-1]


def test_texts_and_images_are_ranked_together(model: CrossEncoder, tmp_path: Path) -> None:
    assert model.modalities == ("text", "image")
    assert model.supports("image")
    assert not model.supports("audio")
    file = tmp_path / "a.png"
    file.write_bytes(encoded(picture("red")))
    documents = [file, "a text", {"text": "a coat", "image": file}, {"text": "a text"}]
    ranking = model.rank(QUERY, documents, return_documents=True)
    scores = model.predict([(QUERY, document) for document in documents])
    assert scores[1] == scores[3]
    assert len(set(scores)) == 3
    assert [entry["corpus_id"] for entry in ranking] == np.argsort(-scores, kind="stable").tolist()
    assert ranking[0]["text"] is documents[ranking[0]["corpus_id"]]


def test_a_score_is_a_pairs_own(model: CrossEncoder) -> None:
    together = model.predict(PAIRS, batch_size=len(PAIRS))
    assert together.std() > 0.5
    alone = [model.predict([pair])[0] for pair in PAIRS]
    np.testing.assert_allclose(together, alone, atol=1e-5)
    np.testing.assert_allclose(model.predict(PAIRS[::-1])[::-1], together, atol=1e-5)
    np.testing.assert_allclose(list(model.stream(PAIRS, window=2)), together, atol=1e-5)


def test_a_batch_that_memory_has_no_room_for_is_halved(
    model: CrossEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = model.predict(PAIRS)
    backend = model.runtime
    compute = backend._compute

    def limited(module: Any, batch: Any) -> Any:
        if len(batch) > 1:
            raise torch.OutOfMemoryError("too large")
        return compute(module, batch)

    monkeypatch.setattr(backend, "_compute", limited)
    scorer = model.scorer()
    pairs = scorer.tokenizer.encode(PAIRS)
    with pytest.raises(OutOfMemoryError):
        backend.forward(collate(pairs[:2], pad_token_id=0, side="left"))
    np.testing.assert_allclose(scorer.forward(backend, pairs)[:, 0], expected, atol=1e-5)


def test_what_is_written(model: CrossEncoder) -> None:
    image = pixels(16, 16)  # 4 x 4 patches, merged by four
    start, end = "<|vision_start|>", "<|vision_end|>"
    head, tail = "<Instruct>: Find what fits.<Query>:a red coat\n<Document>:", "<|im_end|>\n"
    tail += "<|im_start|>assistant\n"
    expected = {
        f"{head}a text{tail}": "a text",
        f"{head}{start}####{end}{tail}": image,
        f"{head}{start}####{end}a text{tail}": {"image": image, "text": "a text"},
        f"{head}a text{start}####{end}{tail}": {"text": "a text", "image": image},
    }
    for text, document in expected.items():
        found = written(model, QUERY, document)
        assert found.rpartition(tail)[0] + tail == text.rpartition(tail)[0] + tail


@pytest.mark.parametrize("first", ["image", "text"])
def test_images_are_counted_and_stay_whole(folder: Path, first: str) -> None:
    model = load(folder, max_length=120)
    parts = {"image": pixels(32, 32), "text": "words and words " * 40}
    document = {kind: parts[kind] for kind in sorted(parts, key=lambda kind: kind != first)}
    (pair,) = model._tokenizer.encode([(QUERY, document)], count_all=True)
    (rest,) = model._tokenizer.encode([(QUERY, parts["image"])])
    assert len(pair.ids) == pair.length == 120
    assert (pair.ids == model.spec.config["image_token_id"]).sum() == 16
    words = model.count_tokens(parts["text"])
    assert pair.truncated_document == len(rest.ids) + words - 120
    text = written(model, QUERY, document)
    assert f"<Query>:{QUERY}\n<Document>:" in text
    assert f"<|vision_start|>{'#' * 16}<|vision_end|>" in text
    assert text.endswith("<|im_end|>\n<|im_start|>assistant\n")
    # A query that is too long makes room for the image, too.
    long = written(model, "question " * 200, document)
    assert f"\n<Document>:<|vision_start|>{'#' * 16}<|vision_end|>" in long or first == "text"
    assert long.count("#") == 16
    ranking = model.rank(QUERY, [document], return_truncation=True)
    assert ranking[0]["truncated_tokens"] == pair.truncated_document


def test_an_image_without_room_is_named(folder: Path) -> None:
    model = load(folder, max_length=40)
    with pytest.raises(InputError, match=r"index 1 becomes 16 tokens.*no room.*at most 40"):
        model.rank(QUERY, ["a text", pixels(32, 32)])


def test_a_text_cannot_pretend_to_hold_an_image(model: CrossEncoder) -> None:
    sly = f"{QUERY}<|image_pad|>"
    pairs = [(sly, "<|image_pad|>a text"), (sly, pixels(16, 16)), (QUERY, pixels(16, 16))]
    found = model.predict(pairs, batch_size=3)
    expected = model.predict([(QUERY, "a text"), (QUERY, pixels(16, 16))])
    np.testing.assert_allclose(found, expected[[0, 1, 1]], atol=1e-5)


def test_the_cache_knows_images_by_what_is_in_them(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "a.png"
    file.write_bytes(encoded(picture("red")))
    cached = load(folder, cache=tmp_path / "scores")
    documents = [file, {"image": file, "text": "a"}, {"text": "a", "image": file}, "a", "image"]
    first = cached.predict([(QUERY, document) for document in documents])
    assert len(set(first)) == len(documents)
    copy = tmp_path / "copy.png"
    copy.write_bytes(file.read_bytes())
    again = [copy, {"image": copy, "text": "a"}, {"text": "a", "image": copy}, "a", "image"]
    with monkeypatch.context() as patch:
        patch.setattr(PatchProcessor, "__call__", lambda *_: pytest.fail("it was not remembered"))
        np.testing.assert_array_equal(cached.predict([(QUERY, one) for one in again]), first)
    cached.close()
    file.write_bytes(encoded(picture("blue")))
    fresh = load(folder, cache=tmp_path / "scores")
    assert fresh.predict([(QUERY, file)])[0] != first[0]
    fresh.close()


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (encoded(picture("red", size=300), "JPEG")[:2000], "whole image.*cannot be decoded.*trunc"),
        (b"no image at all", "whole image"),
        (Path("no-such-file.png"), "cannot be read: No such file"),
        ({"image": "a.png"}, "is a text.*pathlib.Path"),
        ({"audio": b"RIFF"}, "is audio, and this model reads texts and images"),
        ({"text": "a", "audio": b"RIFF"}, "is audio and text, and this model reads texts and im"),
        ({"text": "a", "picture": b"x"}, "is picture and text, and this model reads"),
        ({"text": 7}, "must be a string, received int 7"),
        ({"text": 7, "image": pixels(8, 8)}, "must be a string, received int 7"),
        ({}, "must have the key 'image'"),
        (None, "received None"),
        (pixels(2, 500), "at most 200 times as long as wide, received 500 times 2 pixels"),
    ],
    ids=lambda value: None if isinstance(value, str) else repr(value)[:30],
)
def test_a_bad_document_is_named(model: CrossEncoder, document: Any, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        model.rank(QUERY, ["a text", document])
    assert str(caught.value).startswith("The document of the pair at index 1")


def test_windows_are_cut_from_texts_only(model: CrossEncoder) -> None:
    ranking = model.rank(QUERY, ["a b c d " * 30], long_documents="max", window=20)
    assert ranking[0]["span"][1] > 0
    with pytest.raises(InputError, match="Windows are cut from texts"):
        model.rank(QUERY, ["a text", pixels(8, 8)], long_documents="max")


def test_saved_is_loaded_to_the_same_scores(model: CrossEncoder, tmp_path: Path) -> None:
    model.save_pretrained(tmp_path / "again")
    again = load(tmp_path / "again").predict(PAIRS)
    np.testing.assert_allclose(again, model.predict(PAIRS), atol=1e-5)


@pytest.mark.parametrize("backend", ["onnx", "openvino"])
def test_other_engines_refuse_it(folder: Path, backend: Any) -> None:
    with pytest.raises(ExportError, match=r"vision-language model.*use backend='torch'"):
        load(folder, backend=backend)


def test_a_chat_template_must_pass_images_on(folder: Path) -> None:
    wanted = "passes on the roles 'query' and 'document', in this order"
    for template in (
        "{% for message in messages %}{{ message['role'] }}{% endfor %}",
        CHAT.replace("<|image_pad|>", ""),
    ):
        with pytest.raises(UnsupportedModelError, match=wanted):
            load(folder, processor_kwargs={"chat_template": template})
    alone = CHAT.replace("message['content'] %}", "message['content'][:1] %}", 1)
    model = load(folder, processor_kwargs={"chat_template": alone})
    assert np.isfinite(model.predict([(QUERY, pixels(8, 8)), (QUERY, "a text")])).all()
    with pytest.raises(InputError, match="is image and text, and the model's chat template"):
        model.predict([(QUERY, {"image": pixels(8, 8), "text": "a"})])


def test_the_token_of_images_must_be_the_models(folder: Path) -> None:
    with pytest.raises(UnsupportedModelError, match="must be token 3 of"):
        load(folder, config_kwargs={"image_token_id": 3})


def test_a_model_saved_for_texts_takes_texts_only(tmp_path: Path) -> None:
    params = {"method": "forward", "method_output_name": "logits"}
    folder = make_reranker(tmp_path / "texts", modality_config={"text": params, "message": params})
    model = load(folder)
    assert model.modalities == ("text",)
    assert np.isfinite(model.predict([(QUERY, "a text")])[0])
    with pytest.raises(InputError, match="must be a string, received"):
        model.predict([(QUERY, pixels(8, 8))])


def test_it_learns_colours(folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("datasets", reason="training reads datasets")
    from crossrank.training.arguments import CrossEncoderTrainingArguments
    from crossrank.training.model import TrainableModel
    from crossrank.training.trainer import CrossEncoderTrainer

    data = lists_of_colours(4)
    arguments = CrossEncoderTrainingArguments(
        output_dir=str(tmp_path),
        num_train_epochs=10,
        per_device_train_batch_size=6,
        learning_rate=1.5e-3,
        save_strategy="no",
        disable_tqdm=True,
    )
    trainer = CrossEncoderTrainer(TrainableModel.load(folder), arguments, data, "lambda_loss")
    trainer.train()
    trainer.save_model(str(tmp_path / "model"))
    assert (
        json.loads((tmp_path / "model" / "modules.json").read_text())[1]["path"] == "1_LogitScore"
    )
    model = load(tmp_path / "model")
    documents = [picture(colour, 100) for colour in COLOURS]
    for place, colour in enumerate(COLOURS):
        assert model.rank(colour, documents, top_k=1)[0]["corpus_id"] == place
