"""The application: ``create_app(settings)`` gives what uvicorn serves."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

from crossrank import __version__
from crossrank.server.auth import ApiKeys, check_openness
from crossrank.server.catalogue import add_catalogue
from crossrank.server.dialects import DIALECTS, by_path
from crossrank.server.handler import Handler, json_response
from crossrank.server.openapi import add_schemas, describe
from crossrank.server.playground import add_playground
from crossrank.server.serving import ServedModels
from crossrank.server.settings import Settings


def create_app(settings: Settings | None = None) -> FastAPI:
    """Make the application.

    Models are loaded when it starts; it answers once all are ready, and stops when what was taken
    has been answered.

    Args:
        settings: By default those of the environment.

    Raises:
        InputError: The server would be open to anybody, or its file of keys cannot be used.
    """
    settings = settings or Settings()
    check_openness(settings.host, settings.api_keys, settings.anonymous)
    models = ServedModels(settings)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        try:
            await models.load()
            yield
        finally:
            await models.close()

    app = FastAPI(
        title="crossrank",
        version=__version__,
        summary="Reranks documents by relevance to a query.",
        lifespan=lifespan,
    )
    keys = ApiKeys(settings.api_keys) if settings.api_keys else None
    handler = Handler(settings, models, keys)
    for path, dialects in by_path().items():
        app.add_api_route(
            path,
            handler.endpoint(dialects),
            methods=["POST"],
            name=path,
            openapi_extra=describe(dialects, keys=keys is not None),
        )
    add_schemas(app, DIALECTS)
    add_catalogue(app, settings, models, handler)
    add_playground(app, settings, models)
    _add_probes(app, models)
    return app


def _add_probes(app: FastAPI, models: ServedModels) -> None:
    @app.get("/health")
    async def health(_: Request) -> Response:
        """Say that the process is alive."""
        return json_response({"status": "ok"})

    @app.get("/ready")
    async def ready(_: Request) -> Response:
        """Say whether requests can be answered."""
        content = {"ready": models.ready, "models": models.names}
        return json_response(content, 200 if models.ready else 503)
