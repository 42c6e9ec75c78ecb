"""Models of images on a server: what a request brings is read, and nothing is fetched."""

import asyncio
import base64
import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.multimodal.conftest import (  # noqa: F401  fixtures
    audio_model,
    encoded,
    image_model,
    make_fusion,
    picture,
)
from tests.multimodal.test_inputs import claimed
from tests.multimodal.tiny_vision import make_reranker
from tests.server.asking import ask, expected, ranked, same
from tests.server.live import Gate, until

from crossrank import CrossEncoder
from crossrank.errors import UnsupportedModelError
from crossrank.server import documents
from crossrank.server.app import create_app
from crossrank.server.dialects.documents import Message
from crossrank.server.settings import Settings

QUERY = "a red coat"
FILES = [encoded(picture(colour)) for colour in ("red", "green", "blue")]


def data_url(content: bytes, kind: str = "png") -> str:
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


URLS = [data_url(file) for file in FILES]
JINA = [{"image": url} for url in URLS]
MESSAGES = [{"content": [{"type": "image_url", "image_url": {"url": url}}]} for url in URLS]


@pytest.fixture(scope="module")
def base(serve: Callable[..., str], image_model: Path) -> str:  # noqa: F811
    return serve(models={"default": str(image_model)}, backend="torch")


@pytest.fixture(scope="module")
def fusion(image_model: Path) -> CrossEncoder:  # noqa: F811
    return CrossEncoder(image_model, backend="torch")


@pytest.mark.parametrize(
    ("path", "listed", "given_back"),
    [
        ("/v1/rerank", JINA, JINA),
        ("/v1/rerank", [{"image": url.partition(",")[2]} for url in URLS], None),
        ("/rerank", MESSAGES, [{"multi_modal": message["content"]} for message in MESSAGES]),
    ],
    ids=["jina", "jina, base64 alone", "vllm"],
)
def test_images_are_ranked_as_the_library_ranks_them(
    path: str, listed: list[Any], given_back: list[Any] | None, base: str, fusion: CrossEncoder
) -> None:
    answer = ask(base, path, {"query": QUERY, "documents": listed})
    assert same(ranked(answer), expected(fusion, QUERY, FILES))
    tokens = fusion.scorer().tokenizer.encode([(QUERY, file) for file in FILES])
    assert answer["usage"]["total_tokens"] == sum(pair.length for pair in tokens)
    if given_back:
        assert [r["document"] for r in answer["results"]] == [
            given_back[r["index"]] for r in answer["results"]
        ]


def test_images_are_scored(base: str, fusion: CrossEncoder) -> None:
    scores = fusion.predict([(QUERY, file) for file in FILES]).tolist()
    for listed in (MESSAGES, MESSAGES[0]):
        answer = ask(base, "/score", {"text_1": QUERY, "text_2": listed})
        assert same(ranked(answer), list(enumerate(scores[: len(answer["data"])])))
    assert len(answer["data"]) == 1
    single = ask(base, "/v1/rerank", {"query": QUERY, "documents": MESSAGES[0]})
    assert same(ranked(single), [(0, scores[0])])


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/v2/rerank", {"documents": ["a coat"]}, 422),
        ("/v1/rerank", {"documents": ["a coat"]}, 422),
        ("/v1/rerank", {"documents": ["a coat"], "rank_fields": ["text"]}, 422),
        ("/v1/rerank", {"documents": ["a coat"], "top_k": 1}, 400),
        ("/rerank", {"documents": ["a coat"]}, 400),
        ("/rerank", {"texts": ["a coat"]}, 422),
        ("/infinity/rerank", {"documents": ["a coat"]}, 422),
        ("/score", {"text_1": QUERY, "text_2": ["a coat"]}, 400),
        ("/predict", {"inputs": [QUERY, "a coat"]}, 422),
        ("/playground/rank", {"documents": ["a coat"]}, 422),
    ],
)
def test_texts_are_refused_by_a_model_of_images(
    path: str, body: dict[str, Any], status: int, base: str
) -> None:
    response = httpx.post(base + path, json={"query": QUERY} | body, timeout=60)
    assert response.status_code == status
    assert (
        "The document at index 0 is a text, and this model reads images: send "
    ) in response.text


def test_images_are_refused_by_a_model_of_texts(server: str) -> None:
    body = {"query": QUERY, "documents": ["a coat", JINA[0]]}
    message = ask(server, "/v1/rerank", body, 422)["detail"]
    assert message == ("The document at index 1 is an image, and this model reads texts.")
    assert (
        "is an image"
        in ask(server, "/score", {"text_1": "q", "text_2": MESSAGES[0]}, 400)["detail"]
    )
    both = {"content": [{"type": "text", "text": "a coat"}, *MESSAGES[0]["content"]]}
    body = {"query": QUERY, "documents": [both]}
    assert "is a text and an image" in ask(server, "/rerank", body, 400)["detail"]


@pytest.mark.parametrize(
    ("image", "message"),
    [
        ("https://example.org/a.png", "Nothing is fetched from addresses."),
        ("http://127.0.0.1:1/a.png", "received 'http://127.0.0.1:1/a.png'"),
        ("file:///etc/passwd", "Nothing is fetched"),
        ("/etc/passwd", "must bring its image in base64"),
        ("abcd", "must be a whole image"),
        ("data:text/html;base64,aGk=", "must bring its image in base64"),
        ("data:image/png,plain", "must bring its image in base64"),
        ("data:image/png;base64,*", "must bring its image in base64"),
        ("data:image/png;base64,\ud800", "must bring its image in base64"),
        ("data:image/png;base64,", "must be a whole image"),
        ("", "must be a whole image"),
        (data_url(b"<svg/>", "svg+xml"), "must be a whole image"),
        (data_url(FILES[0][:200]), "must be a whole image"),
        (data_url(claimed(10_000, 10_000)), "must have at most 50,000,000 pixels"),
    ],
)
def test_what_is_no_image_is_refused(image: str, message: str, base: str) -> None:
    response = httpx.post(
        f"{base}/v1/rerank",
        content=json.dumps({"query": "q", "documents": [{"image": image}]}),
        headers={"content-type": "application/json"},
        timeout=60,
    )
    assert response.status_code == 422
    assert message in response.json()["detail"]
    assert response.json()["detail"].startswith("The document at index 0 ")


def test_images_of_a_request_are_bounded_together(
    base: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = {"query": QUERY, "documents": JINA}
    for name, most in (("MOST_PIXELS", 3 * 20 * 20), ("MOST_NUMBERS", 3 * 16 * 16 * 3)):
        with monkeypatch.context() as patch:
            patch.setattr(documents, name, most)
            ask(base, "/v1/rerank", body)
            patch.setattr(documents, name, most - 1)
            message = ask(base, "/v1/rerank", body, 413)["detail"]
            assert "with the one at index 2 they have 1,200 and 2,304" in message


@pytest.mark.parametrize(
    "more", [{"max_tokens_per_doc": 5}, {"max_tokens_per_query": 5}, {"truncate_prompt_tokens": 2}]
)
def test_what_would_cut_images_is_refused(more: dict[str, Any], base: str) -> None:
    problem = ask(base, "/rerank", {"query": QUERY, "documents": MESSAGES} | more, 400)
    assert "read whole" in problem["detail"] or "more than 2 tokens" in problem["detail"]


def test_few_requests_have_their_images_in_memory_at_a_time(
    serve: Callable[..., str],
    image_model: Path,  # noqa: F811
    gate: Gate,
) -> None:
    base = serve(models={"default": str(image_model)}, backend="torch")

    def metric(name: str) -> float:
        lines = httpx.get(f"{base}/metrics").text.splitlines()
        return sum(float(line.split()[1]) for line in lines if line.startswith(name))

    gate.close()
    with ThreadPoolExecutor(4) as threads:
        asked = [
            threads.submit(ask, base, "/v1/rerank", {"query": QUERY, "documents": [document]})
            for document in [*JINA, JINA[0]]
        ]
        until(lambda: metric("crossrank_queue_pairs{") == 1)  # and one is being computed
        until(lambda: metric("crossrank_requests_in_flight") == 4)
        time.sleep(0.2)
        assert metric("crossrank_queue_pairs{") == 1
        gate.open.set()
        assert [len(answer.result()["results"]) for answer in asked] == [1] * 4


def test_texts_and_images_are_ranked_together_by_a_model_of_both(
    serve: Callable[..., str], tmp_path: Path
) -> None:
    folder = make_reranker(tmp_path / "vision")
    base = serve(models={"default": str(folder)}, backend="torch", device="cpu")
    text = {"type": "text", "text": "a coat"}
    listed = ["a text", MESSAGES[0], {"content": [text, *MESSAGES[1]["content"]]}, JINA[2]]
    files: list[Any] = ["a text", FILES[0], {"text": "a coat", "image": FILES[1]}, FILES[2]]
    model = CrossEncoder(folder, backend="torch", device="cpu")
    answer = ask(base, "/rerank", {"query": QUERY, "documents": listed})
    assert same(ranked(answer), expected(model, QUERY, files))
    assert len({score for _, score in ranked(answer)}) == 4


def test_a_model_of_recordings_cannot_be_served(audio_model: Path) -> None:  # noqa: F811
    app = create_app(Settings(models={"sounds": str(audio_model)}, backend="torch"))
    with pytest.raises(UnsupportedModelError, match="sounds reads audio"):
        asyncio.run(app.state.models.load())


def test_a_message_keeps_the_order_of_its_parts() -> None:
    text, image = {"type": "text", "text": "t"}, {"type": "image_url", "image_url": {"url": "i"}}
    for parts, kinds in (([text, image], ["text", "image"]), ([image, text], ["image", "text"])):
        assert list(Message.model_validate({"content": parts}).parts()) == kinds
    for parts in ([], [text, text], [image, image], [text, image, text], [{"type": "video_url"}]):
        with pytest.raises(ValueError, match=r"content|one text and one image"):
            Message.model_validate({"content": parts})
