"""What the server has: its models, as TEI, OpenAI's clients and infinity ask for them."""

import time
from typing import Any, Literal

from fastapi import FastAPI
from pydantic import BaseModel, ConfigDict

from crossrank import __version__
from crossrank.server.dialects.infinity import Infinity
from crossrank.server.dialects.jina import Jina
from crossrank.server.dialects.tei import TEI
from crossrank.server.handler import Handler
from crossrank.server.openapi import no_key, security
from crossrank.server.serving import ServedModels
from crossrank.server.settings import Settings


class _Entry(BaseModel):
    model_config = ConfigDict(protected_namespaces=())


class Labels(_Entry):
    """What a model calls its labels."""

    id2label: dict[str, str]
    label2id: dict[str, int]


class Info(_Entry):
    """What ``GET /info`` says of the first model, as text-embeddings-inference does."""

    model_id: str
    model_sha: str | None = None
    model_dtype: str
    model_type: dict[Literal["reranker", "classifier"], Labels]
    max_concurrent_requests: int
    max_input_length: int
    max_batch_tokens: int
    max_batch_requests: int | None = None
    max_client_batch_size: int
    auto_truncate: bool = True
    tokenization_workers: int = 1
    version: str
    sha: str | None = None
    docker_label: str | None = None


class Model(_Entry):
    """A name that requests may use as ``model``."""

    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: str = "crossrank"


class Models(_Entry):
    """All names, as OpenAI's and vLLM's clients read them."""

    object: Literal["list"] = "list"
    data: list[Model]


class InfinityModel(Model):
    """The same for infinity's client, which insists on its owner."""

    owned_by: str = "infinity"
    stats: dict[str, Any]
    backend: str
    capabilities: list[str] = ["rerank"]


class InfinityModels(_Entry):
    """All names, as infinity's client reads them."""

    object: Literal["list"] = "list"
    data: list[InfinityModel]


def add_catalogue(app: FastAPI, settings: Settings, models: ServedModels, handler: Handler) -> None:
    """Add the paths that say what the server has."""
    started = int(time.time())

    def info() -> Info:
        served = models.find(None)
        kind: Literal["reranker", "classifier"] = (
            "reranker" if served.model.num_labels == 1 else "classifier"
        )
        labels = Labels(
            id2label={str(k): label for k, label in enumerate(served.labels)},
            label2id={label: k for k, label in enumerate(served.labels)},
        )
        return Info(
            model_id=served.name,
            model_dtype=served.model.runtime.precision,
            model_type={kind: labels},
            max_concurrent_requests=settings.max_requests,
            max_input_length=served.model.max_length,
            max_batch_tokens=served.scorer.token_budget,
            max_client_batch_size=settings.max_documents,
            version=__version__,
        )

    def names() -> Models:
        return Models(data=[Model(id=name, created=started) for name in models.names])

    def for_infinity() -> InfinityModels:
        found = [(name, models.find(name)) for name in models.names]
        return InfinityModels(
            data=[
                InfinityModel(
                    id=name,
                    created=started,
                    stats={"queue_absolute": served.queue.waiting},
                    backend=served.model.backend,
                )
                for name, served in found
            ]
        )

    for path, answer, dialect in (
        ("/info", info, TEI()),
        ("/v1/models", names, Jina()),
        ("/models", for_infinity, Infinity()),
        ("/infinity/models", for_infinity, Infinity()),
    ):
        app.add_api_route(
            path,
            handler.listing(dialect, answer),
            name=path,
            responses={200: {"model": answer.__annotations__["return"]}, **no_key(dialect)},
            openapi_extra=security(handler.keys is not None),
        )
