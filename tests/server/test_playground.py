"""The wire format of the playground, and the headers of its files."""

import json
import re
from collections.abc import Callable
from typing import Literal

import httpx
import pytest
from tests.server.asking import DOCUMENTS, LONG, QUERY, ask

from crossrank import CrossEncoder
from crossrank.server.playground import HEADERS, TYPES

PATH = "/playground/rank"
LENGTH = 64


@pytest.fixture(scope="module")
def narrow(serve: Callable[..., str]) -> str:
    """A server that reads little."""
    return serve(
        models={"mine": "default"}, max_documents=7, max_body_bytes=9999, max_length=LENGTH
    )


@pytest.fixture(scope="module")
def model() -> CrossEncoder:
    """What the narrow server has."""
    return CrossEncoder(max_length=LENGTH)


def test_the_reply_has_order_scores_truncation_and_time(narrow: str, model: CrossEncoder) -> None:
    documents = [*DOCUMENTS, LONG]
    answer = ask(narrow, PATH, {"query": QUERY, "documents": documents})
    expected = model.rank(QUERY, documents, return_truncation=True)
    found = [(entry["index"], entry["truncated_tokens"]) for entry in answer["results"]]
    assert found == [(entry["corpus_id"], entry["truncated_tokens"]) for entry in expected]
    assert {index for index, cut in found if cut} == {len(DOCUMENTS)}
    scores = [entry["score"] for entry in answer["results"]]
    assert scores == pytest.approx([entry["score"] for entry in expected], abs=1e-6)
    assert 0 < answer["seconds"] < 60
    assert all("spans" not in entry for entry in answer["results"])


@pytest.mark.parametrize(
    ("document", "method"),
    [
        ("🏛 Rome is the capital of Italy. Paris is the capital of France.", "sentences"),
        ("Whoever looks at a map sees that Paris is the capital of France", "tokens"),
        ("Paris is the capital of France. " + LONG, "sentences"),
        ("", "tokens"),
        ("Paris, \ud800 the capital of France", "tokens"),
    ],
    ids=["sentences", "words", "long", "empty", "surrogate"],
)
def test_spans_are_those_of_the_library(
    narrow: str, model: CrossEncoder, document: str, method: Literal["sentences", "tokens"]
) -> None:
    body = json.dumps({"query": QUERY, "documents": [document], "explain": True})
    headers = {"content-type": "application/json"}
    answer = httpx.post(narrow + PATH, content=body, headers=headers, timeout=60)
    (entry,) = answer.json()["results"]
    expected = model.explain(QUERY, document, method, max_pieces=32)
    assert entry["read"] == expected.read
    spans = expected.relevant_spans()
    assert [(s["start"], s["end"]) for s in entry["spans"]] == [(s.start, s.end) for s in spans]
    values = [span["attribution"] for span in entry["spans"]]
    assert values == pytest.approx([span.attribution for span in spans], abs=1e-3)


def test_few_documents_can_be_explained_at_a_time(server: str) -> None:
    body = {"query": QUERY, "documents": DOCUMENTS[:4], "explain": True}
    answer = ask(server, PATH, body, status=422)
    assert answer == {"detail": "At most 3 documents can be explained at a time, received 4."}


def test_the_page_learns_the_limits(narrow: str) -> None:
    assert httpx.get(f"{narrow}/playground/settings").json() == {
        "models": [{"name": "mine", "max_tokens": LENGTH, "languages": ["en"]}],
        "needs_key": False,
        "max_documents": 7,
        "max_body_bytes": 9999,
    }


def test_files_are_served_and_bound_to_this_server(server: str) -> None:
    page = httpx.get(server)
    names = re.findall(r'(?:src|href)="(?!#)([^"]+)"', page.text)
    assert {"playground/app.js", "playground/style.css"} <= set(names)
    for name in ["", *names, "playground/messages.js"]:
        response = httpx.get(f"{server}/{name}")
        assert response.status_code == 200
        kind = ".html" if not name else f".{name.rpartition('.')[2]}"
        assert response.headers["content-type"].partition(";")[0] == TYPES[kind]
        policy = response.headers["content-security-policy"]
        assert policy == HEADERS["content-security-policy"]
        sources = {word for part in policy.split(";") for word in part.split()[1:]}
        assert sources == {"'none'", "'self'"}
    assert httpx.get(f"{server}/playground/__init__.py").status_code == 404
