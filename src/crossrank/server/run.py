"""Running the server: settings are checked first, then uvicorn takes over."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI
from pydantic import ValidationError
from pydantic_settings import SettingsError

from crossrank.errors import InputError
from crossrank.server.app import create_app
from crossrank.server.auth import check_openness
from crossrank.server.settings import Settings

VARIABLE = "CROSSRANK_SERVER_SETTINGS"
"""How the settings reach the processes that uvicorn starts: as JSON."""

DRAIN_SECONDS = 30
"""How long a server that was told to stop may answer what it has taken."""


def serve(config: Path | None, flags: Mapping[str, Any], workers: int) -> None:
    """Serve until told to stop.

    Args:
        config: Settings in TOML.
        flags: Settings that win over all others; ``None`` where one was not given.
        workers: Processes.

    Raises:
        InputError: A setting cannot be used.
    """
    settings = read_settings(config, flags)
    check_openness(settings.host, settings.api_keys, settings.anonymous)
    os.environ[VARIABLE] = settings.model_dump_json()
    uvicorn.run(
        "crossrank.server.run:app_of_environment",
        factory=True,
        host=settings.host,
        port=settings.port,
        workers=workers,
        timeout_graceful_shutdown=DRAIN_SECONDS,
        server_header=False,
    )


def read_settings(config: Path | None, flags: Mapping[str, Any]) -> Settings:
    """Read settings, and say what is wrong with them in one line.

    Raises:
        InputError: A setting is unknown or cannot be used.
    """
    try:
        return Settings.read(config, **flags)
    except ValidationError as error:
        fault = error.errors(include_url=False, include_context=False)[0]
        name = ".".join(map(str, fault["loc"]))
        raise InputError(f"The setting {name}: {fault['msg']}.") from error
    except (SettingsError, ValueError) as error:
        raise InputError(f"The settings cannot be read: {error}.") from error


def app_of_environment() -> FastAPI:
    """Make the application in a process that ``serve`` started."""
    return create_app(Settings(**json.loads(os.environ[VARIABLE])))
