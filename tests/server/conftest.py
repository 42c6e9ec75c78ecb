"""Servers to ask."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from tests.server.asking import DOCUMENTS, QUERY
from tests.server.live import live_server

from crossrank import CrossEncoder
from crossrank.server.settings import Settings


@pytest.fixture(scope="session")
def serve() -> Iterator[Callable[..., str]]:
    """``serve(**settings)`` starts a server and gives its base URL; it stops with the session."""
    with ExitStack() as stack:
        yield lambda **settings: stack.enter_context(live_server(Settings(**settings)))


@pytest.fixture(scope="session")
def server(serve: Callable[..., str]) -> str:
    """The base URL of a server with the embedded model and an alias."""
    return serve(aliases={"rerank-v3.5": "default"})


@pytest.fixture(scope="session")
def model() -> CrossEncoder:
    return CrossEncoder()


@pytest.fixture(scope="session")
def ranking(model: CrossEncoder) -> list[tuple[int, float]]:
    """Index and score, best first."""
    return [(entry["corpus_id"], entry["score"]) for entry in model.rank(QUERY, DOCUMENTS)]
