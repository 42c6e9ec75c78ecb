"""Clusters of their own for tests that run at the same time."""

import pytest


@pytest.fixture(autouse=True)
def a_cluster_of_ones_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ray would join one that it finds here, another test's, which ends in the middle."""
    monkeypatch.setenv("RAY_ADDRESS", "local")
