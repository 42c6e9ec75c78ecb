"""Metrics: each says what happened; the dashboard shows only what there is."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from crossrank.server.metrics import share_between_workers

Small = Callable[..., str]
DASHBOARD = Path(__file__).parents[2] / "deploy" / "grafana-dashboard.json"


def samples(base: str) -> dict[str, float]:
    """Every sample as ``name{label=value,...}``, without the times of creation."""
    found = {}
    for family in text_string_to_metric_families(httpx.get(f"{base}/metrics").text):
        for name, labels, value, *_ in family.samples:
            pairs = ",".join(f"{key}={labels[key]}" for key in sorted(labels))
            found[f"{name}{{{pairs}}}" if pairs else name] = value
    return found


def test_requests_documents_tokens_batches_and_hits_are_counted(
    small: Small, tmp_path: Path
) -> None:
    base = small(cache=str(tmp_path / "scores.sqlite"))
    before = samples(base)
    # Queries and documents have 3 special tokens; the model reads 16 of 3 + 1 + 20.
    body = {"query": "w1", "documents": ["w1 w2", "w3", "w4 " * 20]}
    for _ in range(2):
        assert httpx.post(f"{base}/v1/rerank", json=body).status_code == 200
    assert httpx.post(f"{base}/v1/rerank", json={**body, "model": "x"}).status_code == 404
    assert httpx.post(f"{base}/rerank", json={"query": "w1", "texts": 1}).status_code == 422
    httpx.get(f"{base}/nothing")
    after = samples(base)
    grown = {
        name: value - before.get(name, 0)
        for name, value in after.items()
        if name.startswith("crossrank_") and value != before.get(name, 0)
    }

    def counts(name: str) -> dict[str, float]:
        return {key: value for key, value in grown.items() if key.startswith(name)}

    assert counts("crossrank_requests_total") == {
        "crossrank_requests_total{dialect=jina,model=default,status=200}": 2,
        "crossrank_requests_total{dialect=jina,model=,status=404}": 1,
        "crossrank_requests_total{dialect=tei,model=,status=422}": 1,
    }
    assert counts("crossrank_request_seconds_count") == {
        "crossrank_request_seconds_count{dialect=jina}": 3,
        "crossrank_request_seconds_count{dialect=tei}": 1,
    }
    assert counts("crossrank_stage_seconds_count") == {
        "crossrank_stage_seconds_count{model=default,stage=tokenize}": 2,
        "crossrank_stage_seconds_count{model=default,stage=compute}": 1,  # then the cache knew all
        "crossrank_stage_seconds_count{model=default,stage=finish}": 2,
    }
    assert grown["crossrank_documents_total{model=default}"] == 6
    assert grown["crossrank_tokens_total{model=default}"] == 2 * (6 + 5 + 16)
    assert grown["crossrank_cache_hits_total{model=default}"] == 3
    assert grown["crossrank_truncated_documents_total{model=default}"] == 2
    assert grown["crossrank_batch_pairs_sum{model=default}"] == 3
    assert after["crossrank_queue_pairs{model=default}"] == 0
    assert after["crossrank_requests_in_flight"] == 0
    assert after["process_resident_memory_bytes"] > 1e6
    batches = after["crossrank_batch_fill_count{model=default}"]
    assert 0 < after["crossrank_batch_fill_sum{model=default}"] <= batches


def test_applications_of_one_process_count_apart(small: Small) -> None:
    first, second = small(), small()
    httpx.post(f"{first}/v1/rerank", json={"query": "w1", "documents": ["w1"]})
    assert "crossrank_documents_total{model=default}" in samples(first)
    assert "crossrank_documents_total{model=default}" not in samples(second)


def test_the_dashboard_shows_only_metrics_that_there_are(small: Small) -> None:
    base = small()
    httpx.post(f"{base}/v1/rerank", json={"query": "w1", "documents": ["w1"]})
    names = {name.partition("{")[0] for name in samples(base)}
    labels = set(re.findall(r'(\w+)="', httpx.get(f"{base}/metrics").text))
    dashboard = json.loads(DASHBOARD.read_text())
    expressions = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    assert len(expressions) > 10
    shown = set(re.findall(r"\b(?:crossrank|process)_\w+", " ".join(expressions)))
    assert shown <= names
    grouped = {
        label.strip()
        for group in re.findall(r"by \(([^)]*)\)", " ".join(expressions))
        for label in group.split(",")
    }
    assert grouped <= labels
    # Everything of ours is to be seen.
    ours = {re.sub("_(bucket|count|sum|created|total)$", "", name) for name in names}
    seen = {re.sub("_(bucket|count|sum|created|total)$", "", name) for name in shown}
    assert {name for name in ours if name.startswith("crossrank_")} <= seen
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])


WORKER = """
import sys
from crossrank.server.metrics import Metrics
from crossrank.server.record import Record
metrics = Metrics()
metrics.begin()
if sys.argv[1] == "answers":
    metrics.end(Record("id", "POST", "/", dialect="jina", model="m", status=200, documents=3))
if sys.argv[1] == "tells":
    print(metrics.text().decode())
"""


def test_workers_add_up_and_those_that_died_are_not_at_work() -> None:
    def worker(task: str) -> str:
        command = [sys.executable, "-c", WORKER, task]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    with share_between_workers():
        folder = Path(os.environ["PROMETHEUS_MULTIPROC_DIR"])
        worker("answers")
        worker("answers")
        worker("dies at work")
        text = worker("tells")
        assert any(folder.iterdir())
    assert 'crossrank_documents_total{model="m"} 6.0' in text
    assert "crossrank_requests_in_flight 1.0" in text.splitlines()
    assert "PROMETHEUS_MULTIPROC_DIR" not in os.environ
    assert not folder.exists()


@pytest.mark.parametrize("path", ["/health", "/ready", "/nothing", "/v1/models"])
def test_only_requests_for_scores_are_measured(small: Small, path: str) -> None:
    base = small()
    httpx.get(base + path)
    assert not [name for name in samples(base) if name.startswith("crossrank_requests_total")]
