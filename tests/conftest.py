"""Fixtures that every test may use."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def crossrank_data() -> Path:
    """The folder of shared labelled data."""
    folder = os.environ.get("CROSSRANK_DATA")
    if not folder or not Path(folder).is_dir():
        pytest.skip("labelled data is absent: set CROSSRANK_DATA to its folder")
    return Path(folder)


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Compute on one thread: for tiny models more are slower, and results must repeat."""
    torch = pytest.importorskip("torch", reason="computing on one thread is torch's")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
