"""What a server measures of itself, for Prometheus.

Several workers add up through files, which prometheus-client keeps where the environment says:
see ``share_between_workers``.
"""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

from crossrank.server.queue import BatchFacts
from crossrank.server.record import Record
from crossrank.server.serving import ServedModel

CONTENT_TYPE = CONTENT_TYPE_LATEST

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
SHARES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
PAIRS = (1, 2, 4, 8, 16, 32, 64, 128, 256)

_SHARED = "PROMETHEUS_MULTIPROC_DIR"


class Metrics:
    """The metrics of one application, in a registry of its own."""

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        if _SHARED in os.environ:
            _forget_dead_workers(Path(os.environ[_SHARED]))
        else:
            ProcessCollector(registry=registry)
        self._requests = Counter(
            "crossrank_requests",
            "Requests for scores that were answered, or refused.",
            ["dialect", "model", "status"],
            registry=registry,
        )
        self._in_flight = Gauge(
            "crossrank_requests_in_flight",
            "Requests for scores that are being answered.",
            registry=registry,
            multiprocess_mode="livesum",
        )
        self._seconds = Histogram(
            "crossrank_request_seconds",
            "Time from a request's headers to its answer.",
            ["dialect"],
            buckets=SECONDS,
            registry=registry,
        )
        self._stages = Histogram(
            "crossrank_stage_seconds",
            "Time of each stage: tokenize, compute (waiting in the queue included), finish.",
            ["stage", "model"],
            buckets=SECONDS,
            registry=registry,
        )
        self._queue = Gauge(
            "crossrank_queue_pairs",
            "Pairs that wait to be computed.",
            ["model"],
            registry=registry,
            multiprocess_mode="livesum",
        )
        self._batch_pairs = Histogram(
            "crossrank_batch_pairs",
            "Pairs computed at once.",
            ["model"],
            buckets=PAIRS,
            registry=registry,
        )
        self._batch_fill = Histogram(
            "crossrank_batch_fill",
            "Share of the token budget that a batch used, padding included.",
            ["model"],
            buckets=SHARES,
            registry=registry,
        )
        self._batch_seconds = Histogram(
            "crossrank_batch_seconds",
            "Time to compute a batch.",
            ["model"],
            buckets=SECONDS,
            registry=registry,
        )
        self._padding = self._count("padding_tokens", "Tokens computed that were only padding.")
        self._documents = self._count("documents", "Documents scored.")
        self._tokens = self._count("tokens", "Tokens read.")
        self._cache_hits = self._count("cache_hits", "Documents whose score was remembered.")
        self._truncated = self._count("truncated_documents", "Documents not read to their end.")

    def begin(self) -> None:
        """Count a request that arrives."""
        self._in_flight.inc()

    def end(self, record: Record) -> None:
        """Count a request that has been answered."""
        self._in_flight.dec()
        self._requests.labels(record.dialect, record.model, str(record.status)).inc()
        self._seconds.labels(record.dialect).observe(record.seconds)
        for name, (began, ended) in record.stages.items():
            self._stages.labels(name, record.model).observe(ended - began)
        if record.documents:
            self._documents.labels(record.model).inc(record.documents)
            self._tokens.labels(record.model).inc(record.tokens)
            self._cache_hits.labels(record.model).inc(record.cached)
            self._truncated.labels(record.model).inc(record.truncated)

    def batch(self, served: ServedModel, facts: BatchFacts) -> None:
        """Count a batch that has been computed."""
        name = served.name
        self._batch_pairs.labels(name).observe(facts.pairs)
        self._batch_fill.labels(name).observe(facts.padded_tokens / served.scorer.token_budget)
        self._batch_seconds.labels(name).observe(facts.seconds)
        self._padding.labels(name).inc(facts.padded_tokens - facts.tokens)
        self.queue(served)

    def queue(self, served: ServedModel) -> None:
        """Note how many pairs wait for a model."""
        self._queue.labels(served.name).set(served.queue.waiting)

    def text(self) -> bytes:
        """Write all down as Prometheus reads it."""
        registry = self._registry
        if _SHARED in os.environ:
            registry = CollectorRegistry()
            MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return generate_latest(registry)

    def _count(self, name: str, meaning: str) -> Counter:
        return Counter(f"crossrank_{name}", meaning, ["model"], registry=self._registry)


@contextmanager
def share_between_workers() -> Iterator[None]:
    """Let the workers that are started meanwhile add up their metrics."""
    with tempfile.TemporaryDirectory(prefix="crossrank-metrics-") as folder:
        os.environ[_SHARED] = folder
        try:
            yield
        finally:
            del os.environ[_SHARED]


def _forget_dead_workers(folder: Path) -> None:
    """Leave out what workers that have died were doing; what they had done still counts."""
    for file in folder.glob("gauge_live*.db"):
        process = int(file.stem.rpartition("_")[2])
        if not _alive(process):
            mark_process_dead(process, str(folder))  # type: ignore[no-untyped-call]


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True
