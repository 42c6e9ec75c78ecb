"""Wire formats: one file each. What is named here is served."""

from collections.abc import Mapping
from functools import cache
from typing import Any

from crossrank.server.dialects.base import Dialect
from crossrank.server.dialects.cohere import Cohere, CohereV1
from crossrank.server.dialects.infinity import Infinity
from crossrank.server.dialects.jina import Jina
from crossrank.server.dialects.playground import Playground
from crossrank.server.dialects.tei import TEI, TEIPrediction
from crossrank.server.dialects.vllm import VLLM, VLLMScoring
from crossrank.server.dialects.voyage import Voyage

DIALECTS: tuple[Dialect[Any], ...] = (
    TEI(),
    TEIPrediction(),
    Infinity(),
    Voyage(),
    CohereV1(),
    VLLM(),
    VLLMScoring(),
    Jina(),
    Cohere(),
    Playground(),
)
"""In the order in which they may claim a request on a path they share; the last one takes it."""


@cache
def by_path() -> Mapping[str, list[Dialect[Any]]]:
    """List each path's dialects.

    Example:
        >>> [dialect.name for dialect in by_path()["/v1/rerank"]]
        ['voyage', 'cohere-v1', 'vllm', 'jina']
    """
    paths: dict[str, list[Dialect[Any]]] = {}
    for dialect in DIALECTS:
        for path in dialect.paths:
            paths.setdefault(path, []).append(dialect)
    return paths


def choose(dialects: list[Dialect[Any]], body: dict[str, Any]) -> Dialect[Any]:
    """Choose the dialect of a request: the first that claims it, else the last."""
    return next((dialect for dialect in dialects if dialect.claims(body)), dialects[-1])
