"""The application around its dialects: probes, request ids, the document, what it never does."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from tests.server.live import Gate

from crossrank.errors import InputError, ModelNotFoundError
from crossrank.server.app import create_app
from crossrank.server.serving import ServedModels
from crossrank.server.settings import Settings

Small = Callable[..., str]
ASK = {"query": "w1", "documents": ["w1", "w2"]}


def test_probes_say_alive_and_ready(small: Small) -> None:
    base = small(aliases={"rerank-v3.5": "default"})
    assert httpx.get(f"{base}/health").json() == {"status": "ok"}
    ready = httpx.get(f"{base}/ready")
    assert (ready.status_code, ready.json()) == (
        200,
        {"ready": True, "models": ["default", "rerank-v3.5"]},
    )


def test_a_server_is_ready_from_load_to_stop(constant: str, gate: Gate) -> None:
    app = create_app(Settings(models={"default": constant}, backend="constant"))
    models: ServedModels = app.state.models

    async def ready(client: httpx.AsyncClient) -> int:
        return (await client.get("/ready")).status_code

    async def test() -> None:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            assert await ready(client) == 503
            await models.load()
            assert await ready(client) == 200
            gate.close()
            taken = asyncio.create_task(client.post("/v1/rerank", json=ASK))
            await asyncio.to_thread(gate.wait_for_batch)
            stopping = asyncio.create_task(models.close())
            await asyncio.sleep(0)
            assert await ready(client) == 503
            refused = await client.post("/v1/rerank", json={**ASK, "model": "default"})
            assert refused.status_code == 503
            assert refused.headers["retry-after"] == "5"
            gate.open.set()
            assert (await taken).status_code == 200
            await stopping
            assert await ready(client) == 503

    asyncio.run(test())


def test_every_answer_has_the_id_of_its_request(small: Small) -> None:
    base = small()
    for path in ("/health", "/nothing", "/metrics", "/"):
        given = httpx.get(base + path, headers={"x-request-id": "a-1.b:2_C"})
        assert given.headers["x-request-id"] == "a-1.b:2_C"
    ids = {httpx.post(f"{base}/v1/rerank", json=ASK).headers["x-request-id"] for _ in range(3)}
    assert len(ids) == 3
    for odd in ("", "two words", "a" * 129, 'a"b', "<b>", "\xe9"):
        response = httpx.get(f"{base}/health", headers={"x-request-id": odd.encode("latin-1")})
        assert len(response.headers["x-request-id"]) == 32


def test_pages_that_load_scripts_from_elsewhere_are_off(small: Small) -> None:
    base = small()
    for path in ("/docs", "/redoc", "/docs/oauth2-redirect"):
        assert httpx.get(base + path).status_code == 404
    document = httpx.get(f"{base}/openapi.json").json()
    assert {"/health", "/ready", "/metrics", "/v2/rerank"} <= document["paths"].keys()


def test_several_models_answer_by_name_and_the_first_by_default(
    small: Small, constant: str
) -> None:
    models = {"first": constant, "second": constant}
    base = small(models=models, aliases={"rerank-v3.5": "second"})
    for asked, answered in ((None, "first"), ("second", "second"), ("rerank-v3.5", "rerank-v3.5")):
        response = httpx.post(f"{base}/v1/rerank", json={**ASK, "model": asked})
        assert response.json()["model"] == answered


def test_a_cache_of_scores_is_used_and_survives_the_server(small: Small, tmp_path: Path) -> None:
    answers = []
    for _ in range(2):
        base = small(cache=str(tmp_path / "scores.sqlite"))
        answers.append(httpx.post(f"{base}/v1/rerank", json=ASK).json()["results"])
    assert answers[0] == answers[1]
    assert 'crossrank_cache_hits_total{model="default"} 2.0' in httpx.get(f"{base}/metrics").text


def test_an_application_that_would_be_open_to_anybody_is_not_made() -> None:
    with pytest.raises(InputError, match="--api-keys"):
        create_app(Settings(host="0.0.0.0"))


def test_a_model_that_cannot_be_loaded_is_the_error_of_load() -> None:
    app = create_app(Settings(models={"default": "/no/such/folder"}))
    with pytest.raises(ModelNotFoundError):
        asyncio.run(app.state.models.load())
