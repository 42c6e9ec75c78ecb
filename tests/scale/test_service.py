"""The server on a real Ray Serve: started as its users start it, and asked over HTTP."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from crossrank import CrossEncoder, InputError

for package in ("ray", "fastapi", "pydantic_settings"):
    pytest.importorskip(package, reason="the extra 'ray' is not installed")

from crossrank.scale.service import app, service  # noqa: E402
from crossrank.server.settings import Settings  # noqa: E402

QUERY = "capital of France"
DOCUMENTS = ["Bread is baked.", "Paris is the capital."]
FILE = """
http_options: {{host: 127.0.0.1, port: {port}}}
applications:
  - name: reranker
    route_prefix: /
    import_path: crossrank.scale.service:app
    args: {{model: small, max_documents: 3}}
    deployments: [{{name: crossrank, num_replicas: 2, ray_actor_options: {{num_cpus: 0.5}}}}]
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def served(file: Path) -> Iterator[None]:
    """Run ``serve run`` until it is ready; ended as by Ctrl-C."""
    command = [Path(sys.executable).with_name("serve"), "run", file]
    with file.with_suffix(".log").open("w") as log:
        process = subprocess.Popen(
            command,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=os.environ | {"RAY_USAGE_STATS_ENABLED": "0"},
        )
    try:
        yield
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(60)


def until_ready(url: str, log: Path) -> None:
    deadline = time.monotonic() + 120
    while True:
        try:
            if httpx.get(f"{url}/ready").status_code == 200:
                return
        except httpx.TransportError:
            pass
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.2)


@pytest.mark.slow
def test_replicas_answer_as_the_server_does(tmp_path: Path) -> None:
    port = free_port()
    file = tmp_path / "serve.yaml"
    file.write_text(FILE.format(port=port))
    url = f"http://127.0.0.1:{port}"
    asked = {"query": QUERY, "documents": DOCUMENTS}
    with served(file):
        until_ready(url, file.with_suffix(".log"))
        answers = [httpx.post(f"{url}/v2/rerank", json=asked, timeout=60) for _ in range(8)]
        too_many = httpx.post(f"{url}/v2/rerank", json=asked | {"documents": ["x"] * 4})
        foreign = httpx.get(f"{url}/", headers={"Host": "evil.example"})
    with CrossEncoder("small") as model:
        expected = [(entry["corpus_id"], entry["score"]) for entry in model.rank(QUERY, DOCUMENTS)]
    for answer in answers:
        found = [(one["index"], one["relevance_score"]) for one in answer.json()["results"]]
        assert found == [(index, pytest.approx(score, abs=1e-5)) for index, score in expected]
    assert too_many.status_code == 413
    assert "At most 3 documents" in too_many.text
    assert foreign.status_code == 421  # without keys it answers this machine alone


def deployment(application: Any) -> Any:
    return application._bound_deployment


@pytest.mark.filterwarnings("ignore:Using extra keyword arguments on `Field`")  # ray's own
def test_what_ray_is_told() -> None:
    found = deployment(service(Settings(max_requests=77), num_replicas=3))
    assert (found.name, found.num_replicas, found.max_ongoing_requests) == ("crossrank", 3, 77)
    assert deployment(service(Settings(), max_ongoing_requests=9)).max_ongoing_requests == 9


def test_a_setting_that_is_not_known() -> None:
    with pytest.raises(InputError, match="There is no setting max_document: did you mean max_docu"):
        app({"model": "small", "max_document": 3})
