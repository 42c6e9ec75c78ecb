"""The fusion cross-encoder from a new folder through training to scores on every engine."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.multimodal.conftest import (
    COLOURS,
    IMAGES,
    RATE,
    SIZES,
    SOUNDS,
    encoded,
    lists_of_colours,
    picture,
    tone,
    wav,
)

from crossrank import CrossEncoder
from crossrank.errors import ExportError, InputError, UnsupportedModelError
from crossrank.models.architectures import load_class

torch = pytest.importorskip("torch", reason="it makes and trains the models")
datasets = pytest.importorskip("datasets", reason="training reads datasets")
transformers = pytest.importorskip("transformers", reason="it makes the models")

from crossrank.multimodal.create import create_fusion, document_shape  # noqa: E402
from crossrank.training.arguments import CrossEncoderTrainingArguments  # noqa: E402
from crossrank.training.columns import Examples  # noqa: E402
from crossrank.training.model import TrainableModel  # noqa: E402
from crossrank.training.trainer import CrossEncoderTrainer  # noqa: E402

QUERIES = ["red", "a green thing", "blue and more words than the others have"]
PITCHES = {"low": 300.0, "high": 2000.0}


def load(folder: Path, **options: Any) -> CrossEncoder:
    return CrossEncoder(folder, backend="torch", activation_fn="identity", **options)


def train(start: Path, folder: Path, rows: Any, epochs: int) -> Path:
    arguments = CrossEncoderTrainingArguments(
        output_dir=str(folder),
        num_train_epochs=epochs,
        per_device_train_batch_size=6,
        learning_rate=5e-3,
        save_strategy="no",
        disable_tqdm=True,
    )
    trainer = CrossEncoderTrainer(TrainableModel.load(start), arguments, rows, "lambda_loss")
    trainer.train()
    trainer.save_model(str(folder / "model"))
    return folder / "model"


def test_it_learns_colours_from_lists_of_images(image_model: Path, tmp_path: Path) -> None:
    model = load(train(image_model, tmp_path, lists_of_colours(10), epochs=10))
    documents = [picture(colour, 100 + copy) for copy in range(2) for colour in COLOURS]
    for place, colour in enumerate(COLOURS):
        best = {entry["corpus_id"] for entry in model.rank(colour, documents, top_k=2)}
        assert best == {place, place + 3}, colour


@pytest.mark.parametrize("start", ["audio_model", "whisper_model"])
def test_it_learns_pitch_from_pairs_of_recordings(
    start: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    def recording(pitch: str, number: int) -> dict[str, Any]:
        file = tmp_path / f"{pitch}-{number}.wav"
        file.write_bytes(wav(0.5 * tone(PITCHES[pitch] + 10 * number, 0.3)))
        return {"bytes": None, "path": str(file)}

    rows = [
        {"query": pitch, "positive": recording(pitch, number), "negative": recording(other, number)}
        for pitch, other in (("low", "high"), ("high", "low"))
        for number in range(10)
    ]
    audio = datasets.Audio(decode=False)
    features = {"query": datasets.Value("string"), "positive": audio, "negative": audio}
    data = datasets.Dataset.from_list(rows).cast(datasets.Features(features))
    model = load(train(request.getfixturevalue(start), tmp_path, data, epochs=10))
    documents = [{"array": tone(hertz), "sampling_rate": RATE} for hertz in PITCHES.values()]
    assert [entry["corpus_id"] for entry in model.rank("low", documents)] == [0, 1]
    assert [entry["corpus_id"] for entry in model.rank("high", documents)] == [1, 0]


def test_what_a_folder_holds_and_says(image_model: Path, audio_model: Path) -> None:
    assert {file.name for file in image_model.iterdir()} == {
        "config.json",
        "model.safetensors",
        "preprocessor_config.json",
        "tokenizer.json",
        "tokenizer_config.json",
    }
    config = json.loads((image_model / "config.json").read_text())
    assert config["model_type"] == "crossrank-fusion"
    assert config["document_shape"] == [3, 16, 16]
    assert config["document_positions"] == 5  # 2 x 2 patches and [CLS]
    model = load(image_model)
    assert model.modalities == ("image",)
    assert model.supports("image")
    assert not model.supports("text")
    assert model.max_length == 32
    assert load(audio_model).modalities == ("audio",)
    assert CrossEncoder().modalities == ("text",)


@pytest.mark.parametrize("join", ["pooled", "cross_attention"])
def test_saved_is_loaded_to_the_same_scores(
    make_fusion: Callable[..., Path], tmp_path: Path, join: str
) -> None:
    model = load(make_fusion("image", join=join))
    pairs = [(query, picture(colour)) for query in QUERIES for colour in COLOURS]
    scores = model.predict(pairs)
    assert scores.std() > 1e-3
    model.save_pretrained(tmp_path / "again")
    np.testing.assert_array_equal(load(tmp_path / "again").predict(pairs), scores)
    # A query must change the order of documents, not shift all scores alike.
    table = scores.reshape(3, 3)
    assert np.abs(table - table.mean(0) - table.mean(1)[:, None] + table.mean()).max() > 1e-3


def test_a_score_is_a_pairs_own(image_model: Path) -> None:
    model = load(image_model)
    pairs = [
        (query, picture(colour, number))
        for query in QUERIES
        for colour in COLOURS
        for number in (0, 1)
    ]
    alone = [float(model.predict(pair)) for pair in pairs]
    np.testing.assert_allclose(model.predict(pairs), alone, atol=1e-5)
    np.testing.assert_allclose(list(model.stream(pairs, window=4)), alone, atol=1e-5)


def test_every_engine_gives_torchs_logits(engine: str, image_model: Path) -> None:
    pairs = [(query, picture(colour)) for query in QUERIES for colour in COLOURS]
    expected = load(image_model).predict(pairs)
    assert expected.std() > 1e-3
    with CrossEncoder(image_model, backend=engine, activation_fn="identity") as model:
        np.testing.assert_allclose(model.predict(pairs), expected, atol=1e-4)
        np.testing.assert_allclose(model.predict(pairs[-1]), expected[-1], atol=1e-4)


@pytest.mark.parametrize("kind", ["clip", "siglip", "wav2vec2"])
def test_other_encoders_of_transformers(make_fusion: Callable[..., Path], kind: str) -> None:
    sizes = {key: SIZES[key] for key in SIZES if "prob" not in key}
    configs = {
        "clip": lambda: transformers.CLIPVisionConfig(image_size=16, patch_size=8, **sizes),
        "siglip": lambda: transformers.SiglipVisionConfig(image_size=16, patch_size=8, **sizes),
        "wav2vec2": lambda: transformers.Wav2Vec2Config(
            conv_dim=(16, 16),
            conv_kernel=(10, 8),
            conv_stride=(5, 4),
            num_conv_pos_embeddings=16,
            num_conv_pos_embedding_groups=2,
            **SIZES,
        ),
    }
    if kind == "wav2vec2":
        waveforms = {"feature_extractor_type": "Wav2Vec2FeatureExtractor", "max_length": 1000}
        folder = make_fusion("audio", configs[kind](), waveforms | {"sampling_rate": RATE})
        documents = [{"array": tone(hertz), "sampling_rate": RATE} for hertz in (200, 900)]
    else:
        folder = make_fusion("image", configs[kind]())
        documents = [picture(colour) for colour in ("red", "green")]
    scores = load(folder).predict([("a query", document) for document in documents])
    assert np.isfinite(scores).all()
    assert abs(scores[0] - scores[1]) > 1e-5


def test_pretrained_encoders_keep_their_weights(
    make_fusion: Callable[..., Path], image_model: Path, tmp_path: Path
) -> None:
    config = transformers.ViTConfig(image_size=16, patch_size=8, **SIZES)
    vit = transformers.ViTModel(config)
    vit.save_pretrained(tmp_path / "vit")
    (tmp_path / "vit" / "preprocessor_config.json").write_text(json.dumps(IMAGES))
    made = create_fusion(
        tmp_path / "model",
        text=transformers.BertConfig(vocab_size=500, **SIZES),
        document=tmp_path / "vit",
        modality="image",
        tokenizer=image_model,
        join_size=16,
        join_heads=2,
    )
    model = load_class("crossrank-fusion").from_pretrained(made)
    kept = dict(model.document_encoder.named_parameters())
    given = {key: weight for key, weight in vit.named_parameters() if "pooler" not in key}
    assert kept.keys() == given.keys()
    assert all(torch.equal(kept[key], given[key]) for key in kept)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (Path("missing.png"), r"document of the pair at index 1 \(missing.png\) cannot be read"),
        (b"\x89PNG\r\n\x1a\n", "document of the pair at index 1 must be a whole image"),
        ("a red coat", "document of the pair at index 1 is a text, and this model reads image"),
        ({"audio": b"RIFF"}, "document of the pair at index 1 is audio"),
    ],
)
def test_a_bad_document_is_named_by_its_index(image_model: Path, bad: Any, message: str) -> None:
    model = load(image_model)
    with pytest.raises(InputError, match=message):
        model.rank("a coat", [picture("red"), bad])
    with pytest.raises(InputError, match=message):
        model.predict([("a coat", picture("red")), ("a coat", bad)])


def test_a_model_of_texts_reads_no_images() -> None:
    with pytest.raises(InputError, match="document of the pair at index 1 must be a string, recei"):
        CrossEncoder().rank("a coat", ["a text", Path("a.png")])
    with pytest.raises(InputError, match="documents must be a list, received one bytes"):
        CrossEncoder().rank("a coat", b"RIFF")  # type: ignore[arg-type]


def test_rank_returns_documents_and_truncation(image_model: Path) -> None:
    model = load(image_model, max_length=5)
    documents = [picture("red"), picture("blue")]
    query = "some words more than fit"
    ranking = model.rank(query, documents, return_documents=True, return_truncation=True)
    cut = model.count_tokens(query) - 3  # [CLS] and [SEP]
    assert all(entry["truncated_tokens"] == cut for entry in ranking)
    assert all(entry["text"] is documents[entry["corpus_id"]] for entry in ranking)


def test_windows_of_images_are_refused(image_model: Path) -> None:
    with pytest.raises(InputError, match='long_documents must be "truncate"'):
        load(image_model).rank("a coat", [picture("red")], long_documents="max")


def test_the_cache_knows_an_image_by_its_content(image_model: Path, tmp_path: Path) -> None:
    for file in ("a.png", "b.png"):
        (tmp_path / file).write_bytes(encoded(picture("red")))
    with load(image_model, cache=tmp_path / "scores.sqlite") as model:
        first = model.predict([("red", tmp_path / "a.png"), ("red", encoded(picture("blue")))])

        def forward(*_: object) -> None:
            raise AssertionError("it was computed again")

        model.runtime.forward = forward  # type: ignore[method-assign]
        again = model.predict([("red", tmp_path / "b.png"), ("red", encoded(picture("blue")))])
    np.testing.assert_array_equal(first, again)


def test_a_window_ends_when_images_fill_it(
    image_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("crossrank.scoring.WINDOW_CHARACTERS", 2 * 3 * 16 * 16)
    scorer = load(image_model).scorer()
    from crossrank.scoring import Options

    pairs = [("", picture("red", number)) for number in range(7)]
    assert [len(scored.logits) for scored in scorer.run(pairs, Options())] == [3, 3, 1]


def test_columns_of_images_and_recordings() -> None:
    text, image = datasets.Value("string"), datasets.Image()
    pair = datasets.Dataset.from_list(
        [{"query": "red", "image": encoded(picture("red")), "label": 1}],
        features=datasets.Features(
            {"query": text, "image": image, "label": datasets.Value("int64")}
        ),
    )
    (example,) = Examples(pair)
    assert example.query == "red"
    assert example.labels == (1.0,)
    assert example.documents[0].where == "the dataset, row 1, column 'image'"
    captioned = pair.add_column("caption", ["a caption"])
    with pytest.raises(InputError, match="'caption' is a column too many"):
        Examples(captioned)
    empty = datasets.Dataset.from_list(
        [{"query": "red", "positive": None, "negative": encoded(picture("red"))}],
        features=datasets.Features({"query": text, "positive": image, "negative": image}),
    )
    with pytest.raises(InputError, match="row 1, column 'positive' must be a path"):
        list(Examples(empty))


def test_a_broken_image_in_training_is_named_by_its_row(image_model: Path, tmp_path: Path) -> None:
    image = datasets.Image()
    rows = [{"query": "red", "positive": b"no image", "negative": encoded(picture("blue"))}]
    features = {"query": datasets.Value("string"), "positive": image, "negative": image}
    data = datasets.Dataset.from_list(rows, features=datasets.Features(features))
    with pytest.raises(InputError, match="row 1, column 'positive' must be a whole image"):
        train(image_model, tmp_path, data, epochs=1)


@pytest.mark.parametrize(
    ("config", "modality", "settings", "error", "message"),
    [
        (transformers.BertConfig, "image", IMAGES, UnsupportedModelError, "bert is not known as"),
        (transformers.ViTConfig, "audio", SOUNDS, UnsupportedModelError, "vit is not known as"),
        (transformers.BartConfig, "audio", SOUNDS, UnsupportedModelError, "has a decoder too"),
        (transformers.Wav2Vec2Config, "audio", SOUNDS, InputError, "needs max_length"),
    ],
)
def test_what_is_no_encoder_of_documents_is_refused(
    config: Any, modality: Any, settings: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        document_shape(config(), modality, settings)


def test_a_config_needs_a_tokenizer_and_a_processor(tmp_path: Path) -> None:
    text, image = transformers.BertConfig(**SIZES), transformers.ViTConfig(**SIZES)
    with pytest.raises(InputError, match="needs a processor"):
        create_fusion(tmp_path, text=text, document=image, modality="image")
    processor = IMAGES | {"size": 224}
    with pytest.raises(InputError, match="needs a tokenizer"):
        create_fusion(tmp_path, text=text, document=image, modality="image", processor=processor)
    with pytest.raises(ValueError, match="join must be one of pooled, cross_attention, received"):
        create_fusion(
            tmp_path,
            text=text,
            document=image,
            modality="image",
            tokenizer=tmp_path,
            processor=processor,
            join="glue",
        )


def test_export_says_that_it_judges_texts(image_model: Path, tmp_path: Path) -> None:
    pytest.importorskip("nncf", reason="export needs it")
    from crossrank.quantization.export import export

    with pytest.raises(ExportError, match="reads image documents"):
        export(image_model, tmp_path / "out", pairs=[("a", "b")])
