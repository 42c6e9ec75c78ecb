"""The application: ``create_app(settings)`` gives what uvicorn serves."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from crossrank import __version__
from crossrank.server.auth import ApiKeys, check_openness
from crossrank.server.catalogue import add_catalogue
from crossrank.server.dialects import DIALECTS, by_path
from crossrank.server.handler import Handler, json_response, refusal
from crossrank.server.hosts import ThisMachine
from crossrank.server.metrics import CONTENT_TYPE, Metrics
from crossrank.server.observing import REQUEST_ID, Observer, dialect_of
from crossrank.server.openapi import add_schemas, describe, no_key, security
from crossrank.server.playground import add_playground
from crossrank.server.problems import STATUS, RequestError
from crossrank.server.serving import ServedModels
from crossrank.server.settings import Settings
from crossrank.server.tracing import Tracer, otlp_exporter


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
    metrics = Metrics()
    models = ServedModels(settings, metrics.batch)
    tracer = Tracer(otlp_exporter()) if settings.tracing else None

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        try:
            await models.load()
            yield
        finally:
            await models.close()
            if tracer is not None:
                await asyncio.to_thread(tracer.close)

    app = FastAPI(
        title="crossrank",
        version=__version__,
        summary="Reranks documents by relevance to a query.",
        lifespan=lifespan,
        docs_url=None,  # these pages would load scripts from elsewhere
        redoc_url=None,
        redirect_slashes=False,
        exception_handlers={HTTPException: _refuse},
    )
    app.state.models = models
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
    _add_metrics(app, models, metrics, handler)
    if settings.cors_origins:
        _allow_pages(app, settings.cors_origins)
    if settings.api_keys is None and not settings.anonymous:
        app.add_middleware(ThisMachine)
    app.add_middleware(Observer, metrics=metrics, tracer=tracer)  # around all others
    return app


async def _refuse(request: Request, error: Exception) -> Response:
    """Answer what no endpoint takes, in the shape of the errors of its path."""
    assert isinstance(error, HTTPException)
    path, method = request.scope["path"], request.method
    dialect = dialect_of(path)
    if error.status_code == STATUS["method_not_allowed"]:
        allowed = (error.headers or {}).get("Allow", "")
        problem = RequestError("method_not_allowed", f"{path} takes {allowed}, not {method}.")
    else:
        problem = RequestError("not_found", f"There is nothing at {path}: see /openapi.json.")
    response = refusal(dialect, problem, request.state.record)
    response.headers.update(error.headers or {})
    return response


def _allow_pages(app: FastAPI, origins: list[str]) -> None:
    app.add_middleware(
        CORSMiddleware,
        allow_origins=origins,
        allow_methods=["GET", "POST"],
        allow_headers=["Authorization", "Content-Type", REQUEST_ID],
        expose_headers=["Retry-After", REQUEST_ID],
    )


def _add_probes(app: FastAPI, models: ServedModels) -> None:
    async def health(_: Request) -> Response:
        """Say that the process is alive."""
        return json_response({"status": "ok"})

    async def ready(_: Request) -> Response:
        """Say whether requests can be answered: not while models load, or the server stops."""
        content = {"ready": models.ready, "models": models.names}
        return json_response(content, 200 if models.ready else 503)

    later: dict[int | str, dict[str, Any]] = {503: {"description": "Not now."}}
    for path, endpoint, responses in (("/health", health, None), ("/ready", ready, later)):
        app.add_api_route(path, endpoint, methods=["GET"], responses=responses)
        app.add_api_route(path, endpoint, methods=["HEAD"], include_in_schema=False)


def _add_metrics(app: FastAPI, models: ServedModels, metrics: Metrics, handler: Handler) -> None:
    dialect = dialect_of("/metrics")

    @app.get(
        "/metrics",
        response_class=PlainTextResponse,
        responses=no_key(dialect),
        openapi_extra=security(handler.keys is not None),
    )
    async def prometheus(request: Request) -> Response:
        """Say what the server has measured, for Prometheus. Takes a key where others do."""
        try:
            handler.check_key(request)
        except RequestError as error:
            return refusal(dialect, error, request.state.record)
        for served in models:
            metrics.queue(served)
        return Response(metrics.text(), media_type=CONTENT_TYPE)
