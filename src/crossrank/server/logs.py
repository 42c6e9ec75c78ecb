"""The log: one JSON object a line on stderr; on a terminal, lines for people.

Texts of requests are in it only where settings ask for them.
"""

import json
import logging
from datetime import UTC, datetime
from typing import Any

from crossrank.progress import on_terminal
from crossrank.server.record import Record

LOGGER = logging.getLogger("crossrank.server")

LONGEST_PATH = 200
"""Characters of a path that are logged."""


class JsonFormatter(logging.Formatter):
    """Writes a line of log as a JSON object, in ASCII.

    Example:
        >>> line = logging.makeLogRecord({"msg": "ready", "levelname": "INFO", "created": 0})
        >>> JsonFormatter().format(line)
        '{"time": "1970-01-01T00:00:00.000Z", "level": "info", "message": "ready"}'
    """

    def format(self, record: logging.LogRecord) -> str:
        """Write a line."""
        moment = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        content = {
            "time": moment.replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "message": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            content["exception"] = self.formatException(record.exc_info)
        return json.dumps(content)


class PlainFormatter(logging.Formatter):
    """Writes a line for people.

    Example:
        >>> fields = {"status": 200}
        >>> line = {"msg": "answered", "levelname": "INFO", "created": 0, "fields": fields}
        >>> PlainFormatter().format(logging.makeLogRecord(line))[9:]
        'info: answered status=200'
    """

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(lower)s: %(message)s%(rest)s", datefmt="%H:%M:%S")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  its name in logging
        """Write a line."""
        fields = getattr(record, "fields", {})
        record.lower = record.levelname.lower()
        record.rest = "".join(f" {key}={value}" for key, value in fields.items())
        return _printable(super().formatMessage(record))

    def formatException(self, ei: Any) -> str:  # noqa: N802  its name in logging
        """Write a traceback."""
        return "\n".join(map(_printable, super().formatException(ei).split("\n")))


def _printable(text: str) -> str:
    """Escape what would begin a line or steer a terminal: clients choose paths and queries."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def logging_config() -> dict[str, Any]:
    """Configure logging for ``logging.config.dictConfig``, uvicorn's lines included."""
    formatter = PlainFormatter if on_terminal() else JsonFormatter
    ours = {"handlers": ["stderr"], "level": "INFO", "propagate": False}
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"lines": {"()": f"{formatter.__module__}.{formatter.__name__}"}},
        "handlers": {
            "stderr": {
                "class": "logging.StreamHandler",
                "formatter": "lines",
                "stream": "ext://sys.stderr",
            }
        },
        "root": {"handlers": ["stderr"], "level": "WARNING"},
        "loggers": {
            "crossrank": ours,
            "py.warnings": ours,
            # Its own notes on starting and stopping say nothing that ours do not.
            "uvicorn": {**ours, "level": "WARNING"},
        },
    }


def log_request(record: Record) -> None:
    """Write the line of a request that has been answered."""
    fields: dict[str, Any] = {
        "request_id": record.id,
        "client": record.client,
        "method": record.method,
        "path": record.path[:LONGEST_PATH],
        "status": record.status,
        "seconds": round(record.seconds, 6),
    }
    told = ("dialect", "model", "documents", "tokens", "cached", "truncated", "problem", "query")
    fields |= {name: value for name in told if (value := getattr(record, name))}
    for name, (began, ended) in record.stages.items():
        fields[f"{name}_seconds"] = round(ended - began, 6)
    LOGGER.info("answered", extra={"fields": fields})


def log_failure(record: Record, error: BaseException) -> None:
    """Write down an error of the server's own, which the client learns nothing of."""
    LOGGER.error("failed", exc_info=error, extra={"fields": {"request_id": record.id}})
