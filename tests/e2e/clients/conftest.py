"""Runs each environment's clients once, and shows which client did what."""

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.server.asking import DOCUMENTS, QUERY
from tests.server.live import live_server

from crossrank.server.auth import new_key
from crossrank.server.settings import Settings

ROOT = Path(__file__).parents[3]
ALIAS = "rerank-v3.5"
SECONDS = 120
"""A client that hangs fails."""

Entry = dict[str, Any]
_FOUND = pytest.StashKey[dict[str, list[Entry]]]()


@pytest.fixture(scope="session")
def clients(
    pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[str], list[Entry]]]:
    """``clients(environment)`` gives what its clients got from one server, which wants a key."""
    found = pytestconfig.stash.setdefault(_FOUND, {})
    key, line = new_key()
    keys = tmp_path_factory.mktemp("clients") / "keys"
    keys.write_text(line)
    with live_server(Settings(aliases={ALIAS: "default"}, api_keys=keys)) as base:

        def run(environment: str) -> list[Entry]:
            if environment not in found:
                asked = {
                    "base": base,
                    "key": key,
                    "model": ALIAS,
                    "query": QUERY,
                    "documents": DOCUMENTS,
                }
                found[environment] = _run(environment, asked, keys.parent)
            return found[environment]

        yield run


def _run(environment: str, asked: dict[str, Any], home: Path) -> list[Entry]:
    python = ROOT / f".venv-clients-{environment}" / "bin" / "python"
    if not python.exists():
        pytest.skip("the clients are not installed: run make test-clients")
    result = subprocess.run(
        [python, "-m", f"tests.e2e.clients.{environment}"],
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        timeout=SECONDS,
        cwd=ROOT,
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "HAYSTACK_TELEMETRY_ENABLED": "False",
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",
            "LANGSMITH_TRACING": "false",
        },
    )
    assert result.returncode == 0, result.stderr
    entries: list[Entry] = json.loads(result.stdout)
    return entries


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Print the client matrix, in Markdown."""
    entries = [entry for found in config.stash.get(_FOUND, {}).values() for entry in found]
    if not entries:
        return
    terminalreporter.section("clients")
    terminalreporter.write_line("| client | version | dialect | exercised | result |")
    terminalreporter.write_line("|---|---|---|---|---|")
    for entry in sorted(entries, key=lambda entry: (entry["package"], entry["dialect"])):
        exercised = ", ".join(entry.get("results", ()))
        result = "as CrossEncoder.rank" if entry.get("same") else "failed, or not compared"
        terminalreporter.write_line(
            f"| {entry['package']} | {entry['version']} | {entry['dialect']} | {exercised} | "
            f"{result} |"
        )
