"""The playground: a page at ``/`` to try the server's models.

Plain files, served as they are. They ask for nothing that is not this server's.
"""

from importlib.resources import files

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

from crossrank.server.handler import json_response
from crossrank.server.serving import ServedModel, ServedModels
from crossrank.server.settings import Settings

TYPES = {
    ".css": "text/css",
    ".html": "text/html",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}
"""Files of these kinds are served."""

HEADERS = {
    "content-security-policy": "; ".join(
        [
            "default-src 'none'",
            "connect-src 'self'",
            "img-src 'self'",
            "script-src 'self'",
            "style-src 'self'",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        ]
    ),
    "cache-control": "no-cache",
    "cross-origin-opener-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}


def add_playground(app: FastAPI, settings: Settings, models: ServedModels) -> None:
    """Add the page, its files, and what it must know of the server."""
    for file in files(__name__).iterdir():
        kind = TYPES.get(f".{file.name.rpartition('.')[2]}")
        if kind is not None:
            path = "/" if file.name == "index.html" else f"/playground/{file.name}"
            _add_file(app, path, file.read_bytes(), kind)

    @app.get("/playground/settings", include_in_schema=False)
    async def playground_settings(_: Request) -> Response:
        return json_response(
            {
                "models": [_describe(models.find(name)) for name in settings.models],
                "needs_key": settings.api_keys is not None,
                "max_documents": settings.max_documents,
                "max_body_bytes": settings.max_body_bytes,
            }
        )


def _add_file(app: FastAPI, path: str, content: bytes, kind: str) -> None:
    async def file(_: Request) -> Response:
        return Response(content, headers=HEADERS, media_type=kind)

    app.add_api_route(path, file, methods=["GET"], include_in_schema=False)


def _describe(served: ServedModel) -> dict[str, object]:
    return {
        "name": served.name,
        "max_tokens": served.model.max_length,
        "languages": list(served.model.spec.languages),
    }
