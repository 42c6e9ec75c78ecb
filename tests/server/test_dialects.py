"""Wire formats: what each takes and answers, told apart on shared paths, errors in its shape."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from tests.server.asking import ASK, ASK_TEI, DOCUMENTS, QUERY, ask, expected, ranked, same

from crossrank import CrossEncoder
from crossrank.server.auth import new_key
from crossrank.server.dialects import DIALECTS, by_path, choose

RANKING_REQUESTS = {
    "cohere": ("/v2/rerank", ASK),
    "cohere-v1": ("/v1/rerank", ASK | {"max_chunks_per_doc": 1}),
    "jina": ("/v1/rerank", ASK),
    "voyage": ("/v1/rerank", ASK | {"top_k": None, "truncation": True}),
    "voyage, own path": ("/voyage/v1/rerank", ASK),
    "tei": ("/rerank", ASK_TEI),
    "vllm": ("/rerank", ASK),
    "vllm, v1": ("/v1/rerank", ASK | {"top_n": 0}),
    "vllm, v2": ("/v2/rerank", ASK | {"top_n": 0}),
    "infinity": ("/infinity/rerank", ASK),
    "infinity, shared path": ("/rerank", ASK | {"raw_scores": False}),
}


@pytest.mark.parametrize("name", RANKING_REQUESTS)
def test_every_dialect_ranks_as_the_library_does(
    name: str, server: str, ranking: list[tuple[int, float]]
) -> None:
    path, body = RANKING_REQUESTS[name]
    answer = ask(server, path, body | {"model": "rerank-v3.5"})
    assert same(ranked(answer), ranking)
    if isinstance(answer, dict):
        assert answer["model"] == "rerank-v3.5"


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("/v2/rerank", "top_n"),
        ("/v1/rerank", "top_n"),
        ("/v1/rerank", "top_k"),
        ("/rerank", "top_n"),
        ("/infinity/rerank", "top_n"),
    ],
)
def test_only_the_best_are_returned(
    path: str, field: str, server: str, ranking: list[tuple[int, float]]
) -> None:
    assert same(ranked(ask(server, path, ASK | {field: 2})), ranking[:2])


@pytest.mark.parametrize(
    ("path", "more", "name"),
    [
        ("/rerank", ASK_TEI | {"raw_scores": True}, "tei"),
        ("/rerank", ASK | {"raw_scores": True}, "infinity"),
        ("/rerank", ASK | {"top_n": 1}, "vllm"),
        ("/rerank", {}, "vllm"),
        ("/v1/rerank", ASK, "jina"),
        ("/v1/rerank", ASK | {"top_n": 1, "return_documents": True}, "jina"),
        ("/v1/rerank", ASK | {"top_k": None}, "voyage"),
        ("/v1/rerank", ASK | {"truncation": True}, "voyage"),
        ("/v1/rerank", ASK | {"rank_fields": ["a"]}, "cohere-v1"),
        ("/v1/rerank", ASK | {"max_chunks_per_doc": 2}, "cohere-v1"),
        ("/v1/rerank", ASK | {"truncate_prompt_tokens": -1}, "vllm"),
        ("/v1/rerank", {"query": QUERY, "documents": "one"}, "vllm"),
        ("/v1/rerank", {}, "jina"),
        ("/v2/rerank", ASK | {"max_tokens_per_doc": 10}, "cohere"),
        ("/v2/rerank", ASK | {"use_activation": False}, "vllm"),
        ("/v2/rerank", {}, "cohere"),
    ],
)
def test_a_request_s_own_fields_tell_its_dialect(
    path: str, more: dict[str, Any], name: str
) -> None:
    assert choose(by_path()[path], more).name == name


def test_shared_paths_answer_with_the_fields_of_all(server: str) -> None:
    answer = ask(server, "/v1/rerank", ASK | {"top_n": 1})
    tokens = answer["usage"]["total_tokens"]
    assert answer["usage"] == {"prompt_tokens": tokens, "total_tokens": tokens}
    assert answer["meta"] == {
        "api_version": {"version": "1"},
        "billed_units": {"search_units": 1},
        "tokens": {"input_tokens": tokens, "output_tokens": 0},
    }
    assert answer["results"][0]["document"] == {"text": DOCUMENTS[1]}
    assert ask(server, "/v2/rerank", ASK)["meta"]["api_version"] == {"version": "2"}
    many = {"query": "q", "documents": ["d"] * 101}
    assert ask(server, "/v2/rerank", many)["meta"]["billed_units"] == {"search_units": 2}


@pytest.mark.parametrize(
    ("path", "body", "document"),
    [
        ("/v2/rerank", ASK, None),
        ("/v2/rerank", ASK | {"return_documents": True}, {"text": DOCUMENTS[1]}),
        ("/v1/rerank", ASK | {"return_documents": False}, None),
        ("/v1/rerank", ASK | {"top_k": 1}, None),
        ("/v1/rerank", ASK | {"top_k": 1, "return_documents": True}, DOCUMENTS[1]),
        ("/rerank", ASK, {"text": DOCUMENTS[1]}),
        ("/infinity/rerank", ASK, None),
        ("/infinity/rerank", ASK | {"return_documents": True}, DOCUMENTS[1]),
    ],
)
def test_documents_come_back_where_a_dialect_has_them(
    path: str, body: dict[str, Any], document: Any, server: str
) -> None:
    answer = ask(server, path, body)
    best = (answer.get("results") or answer["data"])[0]
    assert best.get("document") == document
    assert ("document" in best) == (document is not None)


def test_tei_returns_texts_only_if_asked(server: str) -> None:
    assert "text" not in ask(server, "/rerank", ASK_TEI)[0]
    best = ask(server, "/rerank", ASK_TEI | {"return_text": True})[0]
    assert best["text"] == DOCUMENTS[1]


def test_documents_may_be_objects(server: str, ranking: list[tuple[int, float]]) -> None:
    objects = [{"text": text, "id": str(n)} for n, text in enumerate(DOCUMENTS)]
    answer = ask(server, "/v1/rerank", {"query": QUERY, "documents": objects})
    assert same(ranked(answer), ranking)
    assert answer["results"][0]["document"] == {"text": DOCUMENTS[1], "id": "1"}


def test_rank_fields_choose_what_is_read(server: str, model: CrossEncoder) -> None:
    objects = [{"title": "Paris", "body": text, "noise": "x " * 50} for text in DOCUMENTS[:3]]
    body = {"query": QUERY, "documents": objects, "rank_fields": ["title", "body"]}
    answer = ask(server, "/v1/rerank", body | {"return_documents": True})
    assert same(ranked(answer), expected(model, documents=[f"Paris\n{t}" for t in DOCUMENTS[:3]]))
    assert answer["results"][0]["document"] == objects[answer["results"][0]["index"]]
    problem = ask(server, "/v1/rerank", body | {"rank_fields": ["summary"]}, 422)
    assert "index 0 must have one of the fields 'summary'" in problem["detail"]


def test_logits_are_returned_raw_where_a_dialect_can_ask_for_them(
    server: str, model: CrossEncoder
) -> None:
    logits = model.predict([(QUERY, text) for text in DOCUMENTS], activation_fn="identity")
    for path, body in (
        ("/rerank", ASK_TEI | {"raw_scores": True}),
        ("/infinity/rerank", ASK | {"raw_scores": True}),
        ("/rerank", ASK | {"use_activation": False}),
    ):
        found = dict(ranked(ask(server, path, body)))
        assert np.allclose([found[i] for i in range(len(DOCUMENTS))], logits, atol=1e-4)


@pytest.mark.parametrize(
    ("first", "second"), [("text_1", "text_2"), ("queries", "documents"), ("data_1", "data_2")]
)
def test_vllm_scores_one_with_many_and_each_with_its_own(
    first: str, second: str, server: str, ranking: list[tuple[int, float]]
) -> None:
    scores = [score for _, score in sorted(ranking)]
    one_to_many = ask(server, "/score", {first: QUERY, second: DOCUMENTS})
    assert same(ranked(one_to_many), list(enumerate(scores)))
    each = ask(server, "/v1/score", {first: [QUERY] * 5, second: DOCUMENTS})
    assert each["data"] == one_to_many["data"]
    assert each["usage"] == one_to_many["usage"]
    problem = ask(server, "/score", {first: [QUERY] * 2, second: DOCUMENTS}, 400)
    assert "received 2 and 5" in problem["error"]["message"]


def test_tei_predicts_the_labels_of_pairs(server: str, model: CrossEncoder) -> None:
    score = float(model.predict((QUERY, DOCUMENTS[1])))
    pair = [QUERY, DOCUMENTS[1]]
    label = model.config.id2label[0]
    single = ask(server, "/predict", {"inputs": pair})
    assert single == [{"score": pytest.approx(score, abs=1e-6), "label": label}]
    assert ask(server, "/predict", {"inputs": [pair, pair]}) == [single, single]
    for inputs in ("one text", ["one text"], [["one text"]], []):
        assert ask(server, "/predict", {"inputs": inputs}, 422)["error_type"] == "Tokenizer"


def test_tei_predicts_several_labels(serve: Callable[..., str], tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="needs the extra torch, to make a model")
    from tests.parity.tiny_models import make_classifier

    folder = make_classifier(tmp_path / "tiny", "bert", labels=3)
    base = serve(models={"tiny": str(folder)}, backend="torch")
    tiny = CrossEncoder(folder, backend="torch")
    logits = tiny.predict((QUERY, DOCUMENTS[1]))
    chances = np.exp(logits) / np.exp(logits).sum()
    body = {"inputs": [QUERY, DOCUMENTS[1]]}
    for more, values in (({}, chances), ({"raw_scores": True}, logits)):
        found = ask(base, "/predict", body | more)
        assert [entry["score"] for entry in found] == pytest.approx(sorted(values)[::-1], abs=1e-5)
        names = [tiny.config.id2label[k] for k in np.argsort(-values)]
        assert [entry["label"] for entry in found] == names
    assert "has 3 labels and cannot rank" in ask(base, "/rerank", ASK_TEI, 422)["error"]
    assert list(httpx.get(base + "/info").json()["model_type"]) == ["classifier"]


UNKNOWN = {"model": "nobody"}


@pytest.mark.parametrize(
    ("path", "body", "status", "fields"),
    [
        ("/v2/rerank", {"query": QUERY}, 422, {"message", "detail", "error"}),
        ("/v2/rerank", ASK | UNKNOWN, 404, {"message", "detail", "error"}),
        ("/v1/rerank", ASK | {"documents": []}, 422, {"message", "detail", "error"}),
        ("/v1/rerank", ASK | {"top_k": 0}, 400, {"message", "detail", "error"}),
        ("/v1/rerank", ASK | UNKNOWN | {"top_k": 1}, 400, {"message", "detail", "error"}),
        ("/rerank", {"query": 1, "texts": ["a"]}, 422, {"error", "error_type"}),
        ("/rerank", {"query": QUERY, "texts": []}, 400, {"error", "error_type"}),
        ("/rerank", {"query": QUERY, "texts": ["a"] * 1001}, 413, {"error", "error_type"}),
        ("/rerank", ASK | {"top_n": -1}, 400, {"message", "detail", "error"}),
        ("/score", {"text_1": "a"}, 400, {"message", "detail", "error"}),
        ("/infinity/rerank", ASK | {"documents": 1}, 422, {"detail", "error"}),
        ("/infinity/rerank", ASK | UNKNOWN, 400, {"detail", "error"}),
    ],
)
def test_errors_have_the_status_and_the_shape_of_the_dialect(
    path: str, body: dict[str, Any], status: int, fields: set[str], server: str
) -> None:
    problem = ask(server, path, body, status)
    assert set(problem) == fields
    if "error_type" in fields:
        types = {400: "Empty", 413: "Validation", 422: "Tokenizer"}
        assert problem["error_type"] == types[status]
    else:
        assert problem["error"]["code"] == status
        assert problem["error"]["param"] is None


def test_infinity_may_name_no_model(server: str) -> None:
    answer = ask(server, "/infinity/rerank", ASK | {"model": "default/not-specified"})
    assert answer["model"] == "default"


def test_the_server_says_what_it_has(server: str, model: CrossEncoder) -> None:
    info = httpx.get(server + "/info").json()
    assert info["model_id"] == "default"
    assert info["max_input_length"] == model.max_length
    assert list(info["model_type"]) == ["reranker"]
    for path, owner in (("/v1/models", "crossrank"), ("/models", "infinity")):
        listed = httpx.get(server + path).json()["data"]
        assert [(entry["id"], entry["owned_by"]) for entry in listed] == [
            ("default", owner),
            ("rerank-v3.5", owner),
        ]


def test_what_the_server_has_is_told_to_nobody_without_a_key(
    serve: Callable[..., str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    key, line = new_key()
    file = tmp_path_factory.mktemp("keys") / "keys"
    file.write_text(line)
    base = serve(api_keys=file)
    for path in ("/info", "/v1/models", "/infinity/models"):
        assert httpx.get(base + path).status_code == 401
        headers = {"authorization": f"Bearer {key}"}
        assert httpx.get(base + path, headers=headers).status_code == 200


def test_answers_and_errors_are_as_documented(server: str) -> None:
    for dialect in DIALECTS:
        path = dialect.paths[-1]
        answer = ask(server, path, dialect.example)
        written = dialect.reply.model_validate(answer).model_dump(exclude_none=True)
        assert written == answer
    document = httpx.get(server + "/openapi.json").json()
    schemas = document["components"]["schemas"]
    for path, dialects in by_path().items():
        operation = document["paths"][path]["post"]
        for content in (
            operation["requestBody"]["content"],
            *(response["content"] for response in operation["responses"].values()),
        ):
            assert content["application/json"]["examples"]
            assert _references(content) <= schemas.keys()
        examples = operation["requestBody"]["content"]["application/json"]["examples"]
        assert set(examples) == {dialect.name for dialect in dialects}
        known = {dialect.status_of(error) for dialect in dialects for error in _problems()}
        assert {int(status) for status in operation["responses"]} == {200, *known}
    assert _references(schemas) <= schemas.keys()


def _problems() -> list[Any]:
    from crossrank.server.openapi import MEANINGS
    from crossrank.server.problems import RequestError

    return [RequestError(kind, "") for kind in MEANINGS]


def _references(value: Any) -> set[str]:
    """Names of the schemas that a part of the document refers to."""
    if isinstance(value, dict):
        own = {value["$ref"].rsplit("/", 1)[-1]} if isinstance(value.get("$ref"), str) else set()
        return own.union(*map(_references, value.values()))
    return set().union(*map(_references, value)) if isinstance(value, list) else set()
