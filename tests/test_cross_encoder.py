"""CrossEncoder beside the class of this name in sentence-transformers, and what it adds."""

import asyncio
import copy
import functools
import multiprocessing
import pickle
import shutil
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from crossrank import CrossEncoder, InputError, ModelNotFoundError
from crossrank.backends import load_backend

torch = pytest.importorskip("torch", reason="the reference computes with torch")
reference = pytest.importorskip("sentence_transformers", reason="it is the reference")
from safetensors.torch import load_file, save_file  # noqa: E402
from tests.parity.tiny_models import PAIRS, make_classifier  # noqa: E402

DOCUMENTS = [document for _, document in PAIRS]
QUERY = PAIRS[0][0]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_classifier(tmp_path_factory.mktemp("bert") / "model", "bert")


@pytest.fixture(scope="module")
def classes_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_classifier(tmp_path_factory.mktemp("nli") / "model", "bert", labels=3)


@pytest.fixture(scope="module")
def ours(folder: Path) -> Iterator[CrossEncoder]:
    with CrossEncoder(str(folder)) as model:
        yield model


@pytest.fixture(scope="module")
def theirs(folder: Path) -> Any:
    return reference.CrossEncoder(str(folder), device="cpu")


@pytest.fixture(scope="module")
def our_classes(classes_folder: Path) -> Iterator[CrossEncoder]:
    with CrossEncoder(str(classes_folder)) as model:
        yield model


@pytest.fixture(scope="module")
def their_classes(classes_folder: Path) -> Any:
    return reference.CrossEncoder(str(classes_folder), device="cpu")


CALLS: list[tuple[Any, dict[str, Any]]] = [
    (PAIRS, {}),
    (PAIRS[0], {}),
    (list(PAIRS[0]), {}),
    ([list(pair) for pair in PAIRS], {"batch_size": 2}),
    (np.array(PAIRS), {}),
    (np.array(PAIRS[0]), {}),
    (PAIRS[:1], {}),
    ([], {}),
    (PAIRS, {"activation_fn": torch.nn.Identity()}),
    (PAIRS, {"prompt": "museums: "}),
    (PAIRS, {"apply_softmax": True}),
]


@pytest.mark.parametrize(("inputs", "options"), CALLS)
def test_predict_as_sentence_transformers(
    ours: CrossEncoder, theirs: Any, inputs: Any, options: dict[str, Any]
) -> None:
    expected = theirs.predict(inputs, **options)
    found = ours.predict(inputs, **options)
    assert type(found) is type(expected)
    assert np.shape(found) == np.shape(expected)
    np.testing.assert_allclose(found, expected, atol=1e-4)


@pytest.mark.parametrize(("inputs", "options"), CALLS)
def test_predict_of_several_labels(
    our_classes: CrossEncoder, their_classes: Any, inputs: Any, options: dict[str, Any]
) -> None:
    expected = their_classes.predict(inputs, **options)
    found = our_classes.predict(inputs, **options)
    assert np.shape(found) == np.shape(expected)
    np.testing.assert_allclose(found, expected, atol=1e-4)


@pytest.mark.parametrize("options", [{"convert_to_tensor": True}, {"convert_to_numpy": False}])
def test_tensors_as_sentence_transformers(
    ours: CrossEncoder, theirs: Any, options: dict[str, Any]
) -> None:
    expected = theirs.predict(PAIRS, **options)
    found = ours.predict(PAIRS, **options)
    assert type(found) is type(expected)
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        assert one.shape == other.shape
        torch.testing.assert_close(one, other, atol=1e-4, rtol=0)


@pytest.mark.parametrize("options", [{}, {"top_k": 3}, {"return_documents": True, "top_k": 0}])
def test_rank_as_sentence_transformers(
    ours: CrossEncoder, theirs: Any, options: dict[str, Any]
) -> None:
    expected = theirs.rank(QUERY, DOCUMENTS, **options)
    found = ours.rank(QUERY, DOCUMENTS, **options)
    assert [entry["corpus_id"] for entry in found] == [entry["corpus_id"] for entry in expected]
    assert [entry.keys() for entry in found] == [entry.keys() for entry in expected]
    for one, other in zip(found, expected, strict=True):
        assert one["score"] == pytest.approx(other["score"], abs=1e-4)
        assert one.get("text") == other.get("text")


def test_what_is_known_of_the_model(ours: CrossEncoder, theirs: Any, our_classes: Any) -> None:
    assert ours.num_labels == theirs.num_labels == 1
    assert ours.max_seq_length == ours.max_length == theirs.max_seq_length
    assert ours.config.model_type == theirs.config.model_type == "bert"
    assert ours.config.hidden_size == theirs.config.hidden_size
    assert our_classes.num_labels == 3
    assert ours.backend == "openvino"
    assert ours.device == "cpu"


def test_max_length_may_be_set(folder: Path) -> None:
    model, other = CrossEncoder(str(folder)), reference.CrossEncoder(str(folder), device="cpu")
    model.max_seq_length = other.max_seq_length = 20
    np.testing.assert_allclose(model.predict(PAIRS), other.predict(PAIRS), atol=1e-4)
    np.testing.assert_allclose(
        CrossEncoder(str(folder), max_length=20).predict(PAIRS), model.predict(PAIRS), atol=1e-6
    )
    with pytest.raises(InputError, match="max_length"):
        model.max_seq_length = 1
    positions = model.config.max_position_embeddings
    with pytest.warns(UserWarning, match=f"at most {positions} tokens.*received 9999"):
        model.max_seq_length = 9999
    assert model.max_length == model.spec.max_length == positions


def test_arguments_by_their_old_names(folder: Path) -> None:
    with pytest.warns(DeprecationWarning, match="default_activation_function"):
        model = CrossEncoder(str(folder), default_activation_function=torch.nn.Identity())
    with pytest.warns(DeprecationWarning, match="sentences"):
        logits = model.predict(sentences=PAIRS)
    np.testing.assert_allclose(
        logits, CrossEncoder(str(folder)).predict(PAIRS, activation_fn="identity"), atol=1e-6
    )


def test_ranking_sorts_on_logits_when_scores_saturate(ours: CrossEncoder) -> None:
    ranking = ours.rank(QUERY, DOCUMENTS, activation_fn=lambda logits: np.ones_like(logits))
    logits = ours.predict([(QUERY, text) for text in DOCUMENTS], activation_fn="identity")
    assert [entry["score"] for entry in ranking] == [1.0] * len(DOCUMENTS)
    expected = np.argsort(-logits, kind="stable").tolist()
    assert [entry["corpus_id"] for entry in ranking] == expected


def test_ties_keep_the_order_of_the_input(ours: CrossEncoder) -> None:
    ranking = ours.rank(QUERY, [DOCUMENTS[0]] * 5)
    assert [entry["corpus_id"] for entry in ranking] == [0, 1, 2, 3, 4]


def test_a_score_does_not_depend_on_its_neighbours(ours: CrossEncoder) -> None:
    alone = np.array([ours.predict(pair, activation_fn="identity") for pair in PAIRS])
    together = ours.predict(PAIRS * 3, activation_fn="identity")
    np.testing.assert_allclose(together, np.tile(alone, 3), atol=1e-5)
    np.testing.assert_allclose(
        ours.predict(PAIRS, activation_fn="identity", batch_size=len(PAIRS)), alone, atol=1e-5
    )


def test_a_stream_gives_what_predict_gives(ours: CrossEncoder, our_classes: CrossEncoder) -> None:
    streamed = list(ours.stream(iter(PAIRS), window=2))
    np.testing.assert_allclose(streamed, ours.predict(PAIRS), atol=1e-5)
    np.testing.assert_allclose(ours.predict(pair for pair in PAIRS), streamed, atol=1e-5)
    first = next(our_classes.stream(PAIRS, apply_softmax=True))
    assert first.sum() == pytest.approx(1)
    with pytest.raises(InputError, match="window"):
        next(ours.stream(PAIRS, window=0))


def test_many_threads_at_once(ours: CrossEncoder) -> None:
    expected = ours.predict(PAIRS)
    results: list[Any] = [None] * 8

    def work(number: int) -> None:
        results[number] = ours.predict(PAIRS)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for result in results:
        np.testing.assert_allclose(result, expected, atol=1e-5)


def test_awaiting(ours: CrossEncoder) -> None:
    async def both() -> tuple[Any, Any]:
        return await asyncio.gather(
            ours.predict_async(PAIRS), ours.rank_async(QUERY, DOCUMENTS, top_k=2)
        )

    scores, ranking = asyncio.run(both())
    np.testing.assert_allclose(scores, ours.predict(PAIRS), atol=1e-5)
    assert ranking == ours.rank(QUERY, DOCUMENTS, top_k=2)


def test_the_cache_tells_devices_apart(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime", reason="it stands in for another device")
    pair = ("how do magnets work", "A magnet attracts iron by its field.")
    with CrossEncoder(cache=tmp_path / "scores.sqlite", activation_fn="identity") as model:
        load = functools.partial(load_backend, model.spec, "onnx")
        model._load = lambda device: load(device="cpu")  # type: ignore[assignment]
        there = model.predict(pair, device="elsewhere")
        here = model.predict(pair)
    assert here == CrossEncoder(activation_fn="identity").predict(pair)
    assert there == CrossEncoder(activation_fn="identity", backend="onnx").predict(pair)
    assert there != here  # int8 is rounded otherwise


def test_truncation_is_reported(ours: CrossEncoder) -> None:
    ranking = ours.rank(QUERY, DOCUMENTS, return_truncation=True)
    around = 3
    for entry in ranking:
        text = DOCUMENTS[entry["corpus_id"]]
        tokens = sum(len(ours.tokenizer.encode(t, add_special_tokens=False)) for t in (QUERY, text))
        assert entry["truncated_tokens"] == max(0, tokens + around - ours.max_seq_length)
    assert max(entry["truncated_tokens"] for entry in ranking) > 0


@pytest.mark.parametrize("how", ["max", "first", "mean_top3"])
def test_long_documents_by_windows(ours: CrossEncoder, how: str) -> None:
    long = DOCUMENTS[4]
    (entry,) = ours.rank(
        QUERY, [long], long_documents=how, window=20, stride=10, activation_fn="identity"
    )
    start, end = entry["span"]
    best = ours.predict((QUERY, long[start:end]), activation_fn="identity")
    if how == "mean_top3":
        assert entry["score"] <= best + 1e-5
    else:
        assert entry["score"] == pytest.approx(best, abs=1e-5)
    if how == "first":
        assert start == 0
    assert end - start < len(long) / 2


def test_windows_beside_a_query_that_fills_the_model(ours: CrossEncoder) -> None:
    query, text = DOCUMENTS[4], DOCUMENTS[4]
    (entry,) = ours.rank(
        query, [text], long_documents="max", return_truncation=True, activation_fn="identity"
    )
    start, end = entry["span"]
    assert 20 < ours.count_tokens(text[start:end]) <= (ours.max_length - 3) // 2
    best = ours.predict((query, text[start:end]), activation_fn="identity")
    assert entry["score"] == pytest.approx(best, abs=1e-5)
    # A window is read whole, and of the query as much as fits beside the longest one.
    read = ours.count_tokens(query) - entry["truncated_tokens"]
    assert (ours.max_length - 3) / 2 < read < ours.max_length - 20


def test_windows_leave_short_documents_alone(ours: CrossEncoder) -> None:
    plain = ours.rank(QUERY, DOCUMENTS[:3])
    by_windows = ours.rank(QUERY, DOCUMENTS[:3], long_documents="max")
    for one, other in zip(plain, by_windows, strict=True):
        assert one["corpus_id"] == other["corpus_id"]
        assert one["score"] == pytest.approx(other["score"], abs=1e-6)
        assert other["span"] == (0, len(DOCUMENTS[one["corpus_id"]]))


def test_the_cache_keeps_what_can_change_a_score_apart(folder: Path, tmp_path: Path) -> None:
    cache = tmp_path / "scores.sqlite"
    for options in ({}, {"max_length": 24}, {"truncation": "only_document", "max_length": 48}):
        pairs = PAIRS[:5]
        plain = CrossEncoder(str(folder), **options)
        cached = CrossEncoder(str(folder), cache=cache, **options)
        for prompt in (None, "museums: "):
            expected = plain.predict(pairs, prompt=prompt)
            np.testing.assert_allclose(cached.predict(pairs, prompt=prompt), expected, atol=1e-5)
            np.testing.assert_allclose(cached.predict(pairs, prompt=prompt), expected, atol=1e-5)
        cached.close()


def test_the_cache_knows_the_weights_in_memory(folder: Path, tmp_path: Path) -> None:
    """A new version of the model replaces its files while an old one is still at work."""
    copy = shutil.copytree(folder, tmp_path / "model")
    options: dict[str, Any] = {"backend": "torch", "activation_fn": "identity"}
    old = CrossEncoder(copy, cache=tmp_path / "scores.sqlite", **options)
    weights = load_file(copy / "model.safetensors")
    weights["classifier.bias"] += 1
    save_file(weights, tmp_path / "new", {"format": "pt"})
    (tmp_path / "new").replace(copy / "model.safetensors")
    expected = old.predict(PAIRS)
    new = CrossEncoder(copy, cache=tmp_path / "scores.sqlite", **options)
    np.testing.assert_allclose(new.predict(PAIRS), expected + 1, atol=1e-5)
    shutil.rmtree(copy)
    assert np.isfinite(old.predict([("other", "pair")])).all()
    np.testing.assert_allclose(new.predict(PAIRS), expected + 1, atol=1e-5)


def test_the_cache_keeps_settings_of_the_backend_apart(folder: Path, tmp_path: Path) -> None:
    options: dict[str, Any] = {"cache": tmp_path / "scores.sqlite", "activation_fn": "identity"}
    backend = {"ov_config": {"INFERENCE_PRECISION_HINT": "bf16"}}
    coarse = CrossEncoder(str(folder), model_kwargs=backend, **options).predict(PAIRS)
    exact = CrossEncoder(str(folder), activation_fn="identity").predict(PAIRS)
    assert np.abs(coarse - exact).max() > 1e-3
    cached = CrossEncoder(str(folder), **options).predict(PAIRS)
    np.testing.assert_allclose(cached, exact, atol=1e-5)


def test_the_cache_does_not_mind_how_fast_a_model_is_told_to_be(
    folder: Path, tmp_path: Path
) -> None:
    onnxruntime = pytest.importorskip("onnxruntime", reason="its sessions take options")
    file = tmp_path / "scores.sqlite"

    def rows(backend: str, **settings: Any) -> int:
        with CrossEncoder(
            str(folder),
            backend=backend,  # type: ignore[arg-type]
            cache=file,
            model_kwargs=settings,
        ) as model:
            model.predict(PAIRS)
        with closing(sqlite3.connect(file)) as connection:
            return int(connection.execute("SELECT count(*) FROM scores").fetchone()[0])

    kept = [onnxruntime.SessionOptions() for _ in range(2)]
    counts = [rows("onnx", session_options=options) for options in kept]
    assert counts == [len(set(PAIRS))] * 2
    counts = [rows("openvino", threads=threads, streams=1) for threads in (1, 2)]
    assert counts == [2 * len(set(PAIRS))] * 2


def test_save_and_load_again(folder: Path, tmp_path: Path, ours: CrossEncoder) -> None:
    model = CrossEncoder(str(folder), max_length=32, activation_fn="identity")
    model.save_pretrained(tmp_path / "saved")
    expected = model.predict(PAIRS)
    np.testing.assert_allclose(CrossEncoder(tmp_path / "saved").predict(PAIRS), expected, atol=1e-5)
    again = reference.CrossEncoder(str(tmp_path / "saved"), device="cpu")
    np.testing.assert_allclose(again.predict(PAIRS), expected, atol=1e-4)
    with pytest.raises(InputError, match="another folder"):
        CrossEncoder(tmp_path / "saved").save_pretrained(tmp_path / "saved")


def test_an_activation_that_cannot_be_saved_is_named(folder: Path, tmp_path: Path) -> None:
    model = CrossEncoder(folder, activation_fn=lambda logits: 2 * logits)
    with pytest.warns(UserWarning, match="cannot be saved: give it again"):
        model.save_pretrained(tmp_path / "saved")


def test_labels_by_number(our_classes: CrossEncoder) -> None:
    best = our_classes.predict(PAIRS).argmax(axis=1)
    assert {our_classes.config.id2label[number] for number in best} <= {
        "LABEL_0",
        "LABEL_1",
        "LABEL_2",
    }


def test_settings_meant_for_torch_do_no_harm_elsewhere(folder: Path, ours: CrossEncoder) -> None:
    settings = {"torch_dtype": "auto", "attn_implementation": "sdpa", "low_cpu_mem_usage": True}
    model = CrossEncoder(folder, device="cpu", model_kwargs=settings)
    np.testing.assert_array_equal(model.predict(PAIRS), ours.predict(PAIRS))
    half = CrossEncoder(folder, device="cpu", model_kwargs={"dtype": torch.bfloat16})
    assert (half.backend, half.runtime.precision) == ("openvino", "bf16")
    with pytest.raises(InputError, match="dtype must be one of auto, bfloat16"):
        CrossEncoder(folder, device="cpu", model_kwargs={"dtype": torch.int8})


def test_prompts_are_saved(folder: Path, tmp_path: Path) -> None:
    prompts = {"museum": "museums: ", "other": "others: "}
    model = CrossEncoder(str(folder), prompts=prompts, default_prompt_name="museum")
    expected = model.predict(PAIRS)
    assert np.abs(expected - CrossEncoder(str(folder)).predict(PAIRS)).max() > 0.01
    model.save_pretrained(tmp_path / "saved")
    again = CrossEncoder(tmp_path / "saved")
    assert (again.prompts, again.default_prompt_name) == (prompts, "museum")
    np.testing.assert_allclose(again.predict(PAIRS), expected, atol=1e-5)


def test_prompts_by_name(folder: Path) -> None:
    prompts = {"museum": "museums: "}
    named = CrossEncoder(str(folder), prompts=prompts)
    default = CrossEncoder(str(folder), prompts=prompts, default_prompt_name="museum")
    other = reference.CrossEncoder(str(folder), prompts=prompts, device="cpu")
    expected = other.predict(PAIRS, prompt_name="museum")
    np.testing.assert_allclose(named.predict(PAIRS, prompt_name="museum"), expected, atol=1e-4)
    np.testing.assert_allclose(default.predict(PAIRS), expected, atol=1e-4)
    with pytest.raises(InputError, match="one of this model's: 'museum'"):
        named.predict(PAIRS, prompt_name="absent")


def test_a_default_prompt_that_is_not_there(folder: Path) -> None:
    with pytest.raises(InputError, match="default_prompt_name must be left out: the model has"):
        CrossEncoder(folder, default_prompt_name="web")
    with pytest.raises(InputError, match="default_prompt_name must be one of this model's: 'web'"):
        CrossEncoder(folder, prompts={"web": "Find: "}, default_prompt_name="wib")


def test_an_activation_in_place_does_not_change_the_ranking(ours: CrossEncoder) -> None:
    plain = torch.nn.Hardtanh(-20.0, -15.0)
    in_place = torch.nn.Hardtanh(-20.0, -15.0, inplace=True)
    ranking = ours.rank(QUERY, DOCUMENTS, activation_fn=plain)
    assert ours.rank(QUERY, DOCUMENTS, activation_fn=in_place) == ranking
    assert [entry["corpus_id"] for entry in ranking] == [
        entry["corpus_id"] for entry in ours.rank(QUERY, DOCUMENTS)
    ]


@pytest.mark.parametrize("top_k", [-1, "2", 1.5, True])
def test_senseless_numbers_of_documents_are_refused(ours: CrossEncoder, top_k: Any) -> None:
    with pytest.raises(InputError, match="top_k must be an integer of at least 0"):
        ours.rank(QUERY, DOCUMENTS, top_k=top_k)


@pytest.mark.parametrize("how", ["truncate", "max"])
def test_a_query_that_is_none_is_refused(ours: CrossEncoder, how: Any) -> None:
    with pytest.raises(InputError, match="The query must be a string"):
        ours.rank(None, [], long_documents=how)  # type: ignore[arg-type]


def test_rank_needs_one_label(our_classes: CrossEncoder) -> None:
    with pytest.raises(InputError, match="has 3"):
        our_classes.rank(QUERY, DOCUMENTS)


@pytest.mark.parametrize("inputs", ["one string", None, 5, b"bytes", [None], [("a",)], ("a", None)])
def test_what_is_no_pair_is_refused(ours: CrossEncoder, inputs: Any) -> None:
    with pytest.raises(InputError):
        ours.predict(inputs)


@pytest.mark.parametrize("value", [None, "64", 64.0])
def test_lengths_that_are_no_integers_are_refused(ours: CrossEncoder, value: Any) -> None:
    with pytest.raises(InputError, match="max_length must be an integer, received"):
        ours.max_length = value


def test_devices_as_torch_has_them(folder: Path, ours: CrossEncoder) -> None:
    device = torch.device("cpu")
    for backend in ("openvino", "torch"):
        with CrossEncoder(str(folder), backend=backend, device=device) as model:
            assert model.device == "cpu"
            expected = model.predict(PAIRS)
            for devices in (device, [device], ["cpu", device]):
                np.testing.assert_array_equal(model.predict(PAIRS, device=devices), expected)


def test_numbers_of_numpy(ours: CrossEncoder) -> None:
    expected = ours.predict(PAIRS)
    found = ours.predict(PAIRS, batch_size=np.int64(2))  # type: ignore[arg-type]
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("value", [0, -1, 2.5, "8", True])
def test_senseless_batch_sizes_are_refused(ours: CrossEncoder, value: Any) -> None:
    with pytest.raises(InputError, match="batch_size must be an integer of at least 1"):
        ours.predict(PAIRS, batch_size=value)


def test_nothing_to_rank(ours: CrossEncoder) -> None:
    assert ours.rank(QUERY, []) == []
    assert ours.predict([]).shape == (0,)
    assert list(ours.stream([])) == []


def test_odd_texts_have_finite_scores(ours: CrossEncoder) -> None:
    odd = ["", " ", "\x00", "\ud83d", "a\ud83d\x00b", "字" * 500, "x" * 100_000]
    scores = ours.predict([(one, other) for one in odd for other in odd])
    assert np.isfinite(scores).all()


def test_a_document_of_ten_megabytes(ours: CrossEncoder) -> None:
    head = "Berlin is well known for its museums. "
    scores = ours.predict([(QUERY, head * 260_000), (QUERY, head * 100)])
    assert scores[0] == pytest.approx(scores[1], abs=1e-5)


def test_a_model_that_does_not_exist() -> None:
    with pytest.raises(ModelNotFoundError):
        CrossEncoder("no/such-model", local_files_only=True)
    with pytest.raises(ModelNotFoundError):
        CrossEncoder("/no/such/folder")


@pytest.mark.parametrize("again", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
def test_copies_score_as_the_model_does(folder: Path, again: Any) -> None:
    model = CrossEncoder(folder, max_length=32, prompts={"web": "Find: "})
    model.default_prompt_name, model.activation_fn, model.max_length = "web", "identity", 24
    copied = again(model)
    assert copied.max_length == 24
    np.testing.assert_array_equal(copied.predict(PAIRS), model.predict(PAIRS))


def test_another_process_loads_the_model_itself() -> None:
    with multiprocessing.get_context("spawn").Pool(1) as pool, CrossEncoder("small") as model:
        assert pool.apply(model.predict, ([("a", "b")],)).tolist() == pytest.approx(
            model.predict([("a", "b")]).tolist()
        )


def test_a_closed_model_says_so(folder: Path) -> None:
    model = CrossEncoder(str(folder))
    model.close()
    with pytest.raises(InputError, match="was closed"):
        model.predict(PAIRS)
