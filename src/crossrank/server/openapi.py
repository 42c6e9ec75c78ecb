"""The OpenAPI document: what each path takes, answers and refuses, from the dialects themselves."""

from collections.abc import Iterable
from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from crossrank.server.dialects.base import Dialect, Scores
from crossrank.server.problems import RETRY_AFTER, Kind, RequestError

MEANINGS: dict[Kind, str] = {
    "malformed": "The body is no JSON object.",
    "empty": "There is nothing to score.",
    "invalid": "A field is missing, of the wrong type, or cannot be used.",
    "unauthorized": "An API key is required.",
    "model_not_found": "There is no such model.",
    "misdirected": "The server answers this machine alone, and the name asked for is another's.",
    "slow": "The body arrived too slowly.",
    "too_large": "The body is too large, has too many documents, or a text that may not be cut.",
    "unsupported_media": "The body is not application/json in UTF-8.",
    "overloaded": "The server is busy: try again after Retry-After seconds.",
    "timeout": "No answer was found in time.",
    "stopping": "The server stops: try again after Retry-After seconds.",
    "failed": "The model could not score the request.",
}
"""What a dialect may refuse, and why."""

_REFERENCE = "#/components/schemas/{model}"


def describe(dialects: list[Dialect[Any]], *, keys: bool) -> dict[str, Any]:
    """Describe a path.

    Args:
        dialects: Those that meet there.
        keys: Whether an API key is required.

    Returns:
        What OpenAPI calls an operation, without its name.
    """
    names = " or ".join(dialect.name for dialect in dialects)
    return {
        "tags": [dialect.name for dialect in dialects],
        "summary": f"Score documents: {names}.",
        "description": "Where several formats meet, the request's own fields tell which it is.",
        "requestBody": {
            "required": True,
            "content": _json(
                (dialect.schema for dialect in dialects),
                {dialect.name: dialect.example for dialect in dialects},
            ),
        },
        "responses": {
            "200": {
                "description": "Scores.",
                "content": _json(
                    (dialect.reply for dialect in dialects),
                    {dialect.name: _reply_to_example(dialect) for dialect in dialects},
                ),
            },
            **_refusals(dialects),
        },
        **security(keys),
    }


def security(keys: bool) -> dict[str, Any]:
    """Say whether a path takes a key, in what OpenAPI calls an operation."""
    return {"security": [{"key": []}] if keys else []}


def no_key(dialect: Dialect[Any]) -> dict[int | str, dict[str, Any]]:
    """Describe what a path answers whose only problem can be the key."""
    return {401: _refusal([(dialect, RequestError("unauthorized", MEANINGS["unauthorized"]))])}


def add_schemas(app: FastAPI, dialects: Iterable[Dialect[Any]]) -> None:
    """Add the schemas that ``describe`` refers to to an application's document."""
    models = {model for d in dialects for model in (d.schema, d.reply, d.problem)}
    ordered = sorted(models, key=lambda model: model.__name__)
    _, found = models_json_schema(
        [(model, "validation") for model in ordered], ref_template=_REFERENCE
    )
    make = app.openapi

    def openapi() -> dict[str, Any]:
        document = make()
        components = document.setdefault("components", {})
        components.setdefault("schemas", {}).update(found["$defs"])
        components["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
        return document

    app.openapi = openapi  # type: ignore[method-assign]


def _json(models: Iterable[type[BaseModel]], examples: dict[str, Any]) -> dict[str, Any]:
    names = dict.fromkeys(model.__name__ for model in models)
    references = [{"$ref": _REFERENCE.format(model=name)} for name in names]
    return {
        "application/json": {
            "schema": references[0] if len(references) == 1 else {"anyOf": references},
            "examples": {name: {"value": value} for name, value in examples.items()},
        }
    }


def _reply_to_example(dialect: Dialect[Any]) -> Any:
    """Let a dialect answer its own example, with invented scores."""
    body = dialect.schema.model_validate(dialect.example)
    task = dialect.read(body)
    values = [round(0.9 / (1 + index), 2) for index in range(len(task.pairs))]
    scores = Scores(
        model=task.model or "default",
        order=list(range(len(values)))[: task.top_n],
        values=values,
        tokens=20,
        truncated=[0] * len(values),
        labels=["LABEL_0"],
        seconds=0.01,
        explanations=[],
    )
    return dialect.write(body, scores).model_dump(exclude_none=True)


def _refusals(dialects: list[Dialect[Any]]) -> dict[str, Any]:
    """Describe all errors of a path by status."""
    by_status: dict[int, list[tuple[Dialect[Any], RequestError]]] = {}
    for dialect in dialects:
        for kind, meaning in MEANINGS.items():
            error = RequestError(kind, meaning)
            by_status.setdefault(dialect.status_of(error), []).append((dialect, error))
    return {str(status): _refusal(cases) for status, cases in sorted(by_status.items())}


def _refusal(cases: list[tuple[Dialect[Any], RequestError]]) -> dict[str, Any]:
    examples = {
        f"{dialect.name}: {error.kind}": dialect.write_error(error).model_dump()
        for dialect, error in cases
    }
    described: dict[str, Any] = {
        "description": " ".join(dict.fromkeys(str(error) for _, error in cases)),
        "content": _json((dialect.problem for dialect, _ in cases), examples),
    }
    if any(error.kind in RETRY_AFTER for _, error in cases):
        described["headers"] = {"Retry-After": {"schema": {"type": "integer"}}}
    return described
