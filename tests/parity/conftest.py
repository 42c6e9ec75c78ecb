"""Tiny random models, made once for all parity tests."""

from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="random models are made with torch")
pytest.importorskip("transformers", reason="random models are saved by transformers")


@pytest.fixture(scope="session")
def models_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for the random models of this session."""
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="session")
def once(models_folder: Path) -> Callable[[str, Callable[[Path], Path]], Path]:
    """``once(name, maker)``: the folder that ``maker`` filled, made at the first call."""

    def make(name: str, maker: Callable[[Path], Path]) -> Path:
        folder = models_folder / name
        return folder if folder.exists() else maker(folder)

    return make
