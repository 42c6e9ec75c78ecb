"""Real clients against a live server: the order and the scores of ``CrossEncoder.rank``."""

from collections.abc import Callable
from typing import Any

import pytest
from tests.e2e.clients import current, pinned
from tests.e2e.clients.harness import CASES, TOP, Case
from tests.server.asking import DOCUMENTS, expected, same

from crossrank import CrossEncoder

ENVIRONMENTS = {"current": current.__name__, "pinned": pinned.__name__}

REFUSALS = {
    "unknown model": "has no model 'nobody'",
    "wrong key": "A valid API key is required",
    "too long": "truncation is false",
    "no documents": "at least 1 item",
}
"""What is asked for in vain, and what the client must then tell its user."""

COUNTS = {"top": TOP, "one document": 1}
"""How many documents are asked for, where not all are."""


@pytest.fixture(scope="module")
def ranking() -> list[tuple[int, float]]:
    """Index and score, best first."""
    return expected(CrossEncoder())


@pytest.mark.parametrize(
    ("environment", "case"),
    [
        pytest.param(environment, case, id=f"{environment}: {case.package}, {case.dialect}")
        for environment, module in ENVIRONMENTS.items()
        for case in CASES
        if case.run.__module__ == module
    ],
)
def test_a_client_gets_what_the_library_gives(
    environment: str,
    case: Case,
    clients: Callable[[str], list[dict[str, Any]]],
    ranking: list[tuple[int, float]],
) -> None:
    entry = next(
        entry
        for entry in clients(environment)
        if (entry["package"], entry["dialect"]) == (case.package, case.dialect)
    )
    assert "error" not in entry, entry["error"]
    assert not entry["beyond_loopback"]
    assert len(entry["results"]) > 1
    for what, found in entry["results"].items():
        if what in REFUSALS:
            assert REFUSALS[what] in found, what
        else:
            best = ranking[: COUNTS.get(what, len(DOCUMENTS))]
            assert same([(index, score) for index, score in found], best), what
    entry["same"] = True
