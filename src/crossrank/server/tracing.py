"""OpenTelemetry traces: a span for each request, and one in it for each of its stages.

Where they go is said by OpenTelemetry's own variables, ``OTEL_EXPORTER_OTLP_ENDPOINT`` first.
"""

import time
from typing import TYPE_CHECKING

from crossrank.optional import require
from crossrank.server.record import Record

if TYPE_CHECKING:
    from opentelemetry.sdk.trace.export import SpanExporter


class Tracer:
    """Sends spans.

    Args:
        exporter: Where to.
    """

    def __init__(self, exporter: "SpanExporter") -> None:
        sdk = require("opentelemetry.sdk.trace", extra="tracing")
        export = require("opentelemetry.sdk.trace.export", extra="tracing")
        resources = require("opentelemetry.sdk.resources", extra="tracing")
        self._trace = require("opentelemetry.trace", extra="tracing")
        self._propagate = require("opentelemetry.propagate", extra="tracing")
        resource = resources.Resource.create({"service.name": "crossrank"})
        self._provider = sdk.TracerProvider(resource=resource)
        self._provider.add_span_processor(export.BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("crossrank.server")

    def send(self, record: Record) -> None:
        """Send the spans of a request that has been answered."""
        # Stages were timed by a clock that only counts: this is its zero on the calendar.
        zero = time.time_ns() - time.perf_counter_ns()
        span = self._tracer.start_span(
            f"{record.method} {record.path}" if record.dialect else record.method,
            context=self._propagate.extract({"traceparent": record.parent}),
            kind=self._trace.SpanKind.SERVER,
            start_time=zero + _nanoseconds(record.began),
            attributes={
                "http.request.method": record.method,
                "http.response.status_code": record.status,
                "url.path": record.path,
                "crossrank.request_id": record.id,
                "crossrank.dialect": record.dialect,
                "crossrank.model": record.model,
                "crossrank.documents": record.documents,
                "crossrank.tokens": record.tokens,
                "crossrank.cached": record.cached,
                "crossrank.truncated": record.truncated,
            },
        )
        if record.status >= 500:
            span.set_status(self._trace.StatusCode.ERROR, record.problem)
        inside = self._trace.set_span_in_context(span)
        for name, (began, ended) in record.stages.items():
            child = self._tracer.start_span(
                name, context=inside, start_time=zero + _nanoseconds(began)
            )
            child.end(zero + _nanoseconds(ended))
        span.end(zero + _nanoseconds(record.ended))

    def close(self) -> None:
        """Send what has not been sent."""
        self._provider.shutdown()


def otlp_exporter() -> "SpanExporter":
    """Make what sends spans over OTLP and HTTP."""
    module = require("opentelemetry.exporter.otlp.proto.http.trace_exporter", extra="tracing")
    exporter: SpanExporter = module.OTLPSpanExporter()
    return exporter


def _nanoseconds(seconds: float) -> int:
    return int(seconds * 1e9)
