"""Runs clients in an environment of their own; needs nothing but the standard library.

``python -m tests.e2e.clients.current < asked.json`` writes a JSON list, an entry a client.
"""

import ipaddress
import json
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

TOP = 2
"""How many documents a case asks for where it does not ask for all."""

Ranking = list[tuple[int, float]]
Results = dict[str, Ranking | str]
"""What was exercised, and its ranking; or the message of an error that was asked for."""


@dataclass(frozen=True)
class Asked:
    """What every client asks.

    Attributes:
        base: The server's URL.
        key: An API key.
        model: The name of a model.
        query: A query.
        documents: Its documents.
    """

    base: str
    key: str
    model: str
    query: str
    documents: list[str]


@dataclass(frozen=True)
class Case:
    """One client and one dialect.

    Attributes:
        package: The client, on PyPI.
        dialect: What it speaks.
        run: Uses it.
    """

    package: str
    dialect: str
    run: Callable[[Asked], Results]


CASES: list[Case] = []


def case(package: str, dialect: str) -> Callable[[Callable[[Asked], Results]], None]:
    """Register a function as a case."""
    return lambda run: CASES.append(Case(package, dialect, run))


def ranking(entries: Any) -> Ranking:
    """Read ``index`` and ``relevance_score`` of objects or dictionaries."""
    return [
        (entry["index"], entry["relevance_score"])
        if isinstance(entry, dict)
        else (entry.index, entry.relevance_score)
        for entry in entries
    ]


def refused(call: Callable[[], Any]) -> str:
    """Give the message of an error that must come."""
    try:
        found = call()
    except Exception as error:  # noqa: BLE001  # each client has its own
        return f"{type(error).__name__}: {error} {getattr(error, 'body', '')}"
    return f"no error, but {found!r}"


def stay_on_this_machine() -> list[str]:
    """Forbid the network beyond loopback from here on; gives the list of what was tried."""
    tried: list[str] = []

    def watch(event: str, details: tuple[Any, ...]) -> None:
        if event == "socket.getaddrinfo":
            host = details[0]
        elif event == "socket.connect" and isinstance(details[1], tuple):
            host = details[1][0]
        else:
            return
        if not _loopback(host):
            tried.append(str(host))
            raise PermissionError(f"a client wanted to reach {host}")

    sys.addaudithook(watch)
    return tried


def _loopback(host: Any) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def main() -> None:
    """Run all cases; an entry has ``results``, or ``error`` where the client failed."""
    asked = Asked(**json.load(sys.stdin))
    answer = sys.stdout
    sys.stdout = sys.stderr  # clients print
    tried = stay_on_this_machine()
    found = []
    for each in CASES:
        entry: dict[str, Any] = {
            "package": each.package,
            "version": version(each.package),
            "dialect": each.dialect,
        }
        tried.clear()
        try:
            entry["results"] = each.run(asked)
        except Exception:  # noqa: BLE001  # whatever it is, the test shows it
            entry["error"] = traceback.format_exc()
        entry["beyond_loopback"] = list(tried)
        found.append(entry)
    json.dump(found, answer)
