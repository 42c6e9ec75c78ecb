"""The server as an application of Ray Serve: replicas on many machines behind one address."""

from typing import TYPE_CHECKING, Any

from crossrank.optional import require
from crossrank.server.app import create_app
from crossrank.server.settings import Settings

if TYPE_CHECKING:
    from fastapi import FastAPI

NAME = "crossrank"
"""Of the deployment, for ``deployments:`` in Ray Serve's own file."""


def service(settings: Settings | None = None, **options: Any) -> Any:
    """Make an application for ``ray.serve.run``.

    Each replica is a server as ``crossrank serve`` runs it, with its own models and batches. Ray
    decides how many there are, where, and on which address they are reached: ``host``, ``port`` and
    ``workers`` of the settings have no effect. Without ``api_keys`` and ``anonymous`` it answers
    this machine alone.

    Args:
        settings: By default those of the environment.
        options: Of ``ray.serve.deployment``, e.g. ``num_replicas`` and ``ray_actor_options``.

    Returns:
        The application.

    Raises:
        InputError: A setting cannot be used.
        MissingDependencyError: The extra ``ray`` is not installed.
    """
    serve = require("ray.serve", extra="ray")
    settings = settings or Settings.read(None)
    # Ray sends a replica 5 requests at a time, which would leave batches empty.
    chosen = {"name": NAME, "max_ongoing_requests": settings.max_requests, **options}

    def build() -> "FastAPI":  # on the replica; Ray tells it from an application by its being a def
        return create_app(settings)

    return serve.deployment(**chosen)(serve.ingress(build)()).bind()


def app(arguments: dict[str, Any]) -> Any:
    """Make an application for ``serve run crossrank.scale.service:app`` and Ray Serve's files.

    Args:
        arguments: Settings by name, as ``crossrank serve --config`` has them; and ``model``, a
            folder or hub id, for the only one.

    Raises:
        InputError: A setting is unknown or cannot be used.
    """
    given = dict(arguments)
    if "model" in given:
        given["models"] = {"default": given.pop("model")}
    return service(Settings.read(None, **given))
