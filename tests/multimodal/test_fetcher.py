"""Documents at an address: got by the caller's function, and by nobody else."""

from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.request import urlopen

import pytest
from tests.multimodal.conftest import encoded, picture, tone, wav

from crossrank import CrossEncoder
from crossrank.errors import InputError

pytest.importorskip("torch", reason="the models are computed by torch")
pytest.importorskip("transformers", reason="it makes the models")

from tests.multimodal.tiny_vision import make_reranker

RED, BLUE = encoded(picture("red")), encoded(picture("blue"))


def fetch(address: str) -> bytes:
    with urlopen(address, timeout=10) as answer:
        return answer.read()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A web server with pictures and a recording."""
    folder = tmp_path_factory.mktemp("site")
    for name, content in (("red.png", RED), ("blue.png", BLUE), ("a.wav", wav(tone(440)))):
        (folder / name).write_bytes(content)

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=folder)) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def vision_language(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_reranker(tmp_path_factory.mktemp("vision") / "model")


def load(folder: Path, **options: Any) -> CrossEncoder:
    return CrossEncoder(folder, backend="torch", device="cpu", **options)


def test_what_is_fetched_scores_as_what_is_given(image_model: Path, site: str) -> None:
    model = load(image_model, fetcher=fetch)
    addresses = [f"{site}/red.png", {"image": f"{site}/blue.png"}]
    ranking = model.rank("red", addresses, return_documents=True)
    given = model.rank("red", [RED, BLUE])
    assert [entry["score"] for entry in ranking] == [entry["score"] for entry in given]
    assert [entry["text"] for entry in ranking] == [
        addresses[entry["corpus_id"]] for entry in ranking
    ]


def test_recordings_are_fetched(audio_model: Path, site: str) -> None:
    model = load(audio_model, fetcher=fetch)
    fetched, given = model.predict([("seven", f"{site}/a.wav"), ("seven", wav(tone(440)))])
    assert fetched == given


def test_a_text_of_a_vision_language_model_stays_a_text(vision_language: Path, site: str) -> None:
    asked = []

    def noted(address: str) -> bytes:
        asked.append(address)
        return fetch(address)

    model = load(vision_language, fetcher=noted)
    address = f"{site}/red.png"
    documents = [address, {"image": address}, {"image": address, "text": address}]
    found = model.predict([("red", document) for document in documents])
    given = [address, {"image": RED}, {"image": RED, "text": address}]
    assert found.tolist() == model.predict([("red", document) for document in given]).tolist()
    assert asked == [address, address]


@pytest.mark.parametrize(
    ("fetcher", "message"),
    [
        (fetch, r"index 1 \(http://.*/no.png\) cannot be fetched: HTTPError: .*404"),
        (lambda _: None, r"index 1 \(http://.*\): the fetcher must return bytes, received None"),
        (lambda _: b"no image", "whole image"),
    ],
)
def test_what_cannot_be_fetched_is_named(
    image_model: Path, site: str, fetcher: Any, message: str
) -> None:
    model = load(image_model, fetcher=fetcher)
    with pytest.raises(InputError, match=message):
        model.rank("red", [RED, f"{site}/no.png"])


def test_nothing_is_fetched_without_a_fetcher(
    image_model: Path, vision_language: Path, site: str
) -> None:
    for model in (load(image_model), load(vision_language)):
        with pytest.raises(InputError, match="only by a model that is loaded with a fetcher"):
            model.predict([("red", {"image": f"{site}/red.png"})])


def test_a_model_of_texts_needs_no_fetcher() -> None:
    with pytest.raises(InputError, match="default reads texts, and a fetcher gets images"):
        CrossEncoder(fetcher=fetch)
