"""Fixtures that every test may use."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def crossrank_data() -> Path:
    """The folder of shared labelled data."""
    folder = os.environ.get("CROSSRANK_DATA")
    if not folder or not Path(folder).is_dir():
        pytest.skip("labelled data is absent: set CROSSRANK_DATA to its folder")
    return Path(folder)
