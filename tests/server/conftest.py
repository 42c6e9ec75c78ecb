"""Servers to ask."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from tests.cli.conftest import make_model
from tests.server.asking import expected
from tests.server.live import Gate, live_server

from crossrank import CrossEncoder
from crossrank.scoring import Scorer
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
def constant(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The folder of a model without weights: texts are words w0 to w49, 16 tokens at most."""
    return str(make_model(tmp_path_factory.mktemp("model") / "constant"))


@pytest.fixture
def small(constant: str) -> Iterator[Callable[..., str]]:
    """``small(**settings)`` starts a server with it, which stops with the test."""
    given = {"models": {"default": constant}, "backend": "constant"}
    with ExitStack() as stack:
        yield lambda **settings: stack.enter_context(live_server(Settings(**(given | settings))))


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Iterator[Gate]:
    """Holds back what servers compute that are started after it."""
    gate = Gate(Scorer.forward)
    monkeypatch.setattr(Scorer, "forward", gate.forward)
    yield gate
    gate.open.set()


@pytest.fixture(scope="session")
def model() -> CrossEncoder:
    return CrossEncoder()


@pytest.fixture(scope="session")
def ranking(model: CrossEncoder) -> list[tuple[int, float]]:
    """Index and score, best first."""
    return expected(model)
