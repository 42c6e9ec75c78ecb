"""Running the server: settings are checked first, then uvicorn takes over."""

import asyncio
import json
import logging
import logging.config
import multiprocessing
import os
import signal
import socket
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from threading import Thread
from types import FrameType
from typing import Any

import uvicorn
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors import Multiprocess

from crossrank.errors import CrossRankError, InputError
from crossrank.models.source import locate
from crossrank.server.app import create_app
from crossrank.server.auth import ApiKeys, check_openness
from crossrank.server.connections import Connection
from crossrank.server.logs import LOGGER, logging_config
from crossrank.server.metrics import share_between_workers
from crossrank.server.settings import Settings

VARIABLE = "CROSSRANK_SETTINGS_OF_WORKERS"
"""How the settings reach the processes that uvicorn starts: as JSON."""

DRAIN_SECONDS = 30
"""How long a server that was told to stop may answer what it has taken."""

SILENT_SECONDS = 15
"""After which a worker that says nothing counts as dead."""


def serve(config: Path | None, flags: Mapping[str, Any]) -> None:
    """Serve until told to stop, and answer first what was taken.

    Args:
        config: Settings in TOML.
        flags: Settings that win over all others; ``None`` where one was not given.

    Raises:
        InputError: A setting cannot be used, or the port is not free.
        CrossRankError: A model cannot be loaded.
        KeyboardInterrupt: Ctrl-C; all has been answered.
    """
    settings = Settings.read(config, **flags)
    check_openness(settings.host, settings.api_keys, settings.anonymous)
    if settings.api_keys is not None:
        ApiKeys(settings.api_keys)
    with _listen(settings.host, settings.port) as listener:
        signal.signal(signal.SIGTERM, _leave)
        logging.config.dictConfig(logging_config())
        logging.captureWarnings(True)
        LOGGER.info("loading", extra={"fields": {"models": list(settings.models)}})
        if settings.workers == 1:
            _serve_here(settings, listener)
        else:
            _serve_with_workers(settings, listener)
    LOGGER.info("stopped")


def app_of_environment() -> ASGIApp:
    """Make the application in a process that ``serve`` started.

    Raises:
        SystemExit: It cannot be made: then no process can make it, and all stop.
    """
    logging.captureWarnings(True)
    Thread(target=_leave_with_supervisor, daemon=True).start()
    try:
        app = create_app(Settings(**json.loads(os.environ[VARIABLE])))
    except Exception as error:
        LOGGER.error("%s: %s", type(error).__name__, error)
        raise SystemExit(STARTUP_FAILURE) from error

    async def plain(scope: Scope, receive: Receive, send: Send) -> None:
        async def shorten(message: Message) -> None:
            if message["type"] == "lifespan.startup.failed":
                message["message"] = message["message"].strip().rpartition("\n")[2]
            await send(message)

        await app(scope, receive, shorten if scope["type"] == "lifespan" else send)

    return plain


def _leave_with_supervisor() -> None:
    """End well once the supervisor is gone: nobody else would, and the port would stay taken."""
    if supervisor := multiprocessing.parent_process():
        supervisor.join()
        os.kill(os.getpid(), signal.SIGTERM)


def _serve_here(settings: Settings, listener: socket.socket) -> None:
    app = create_app(settings)
    config = uvicorn.Config(app, **_options())
    server = uvicorn.Server(config)

    async def run() -> None:
        # Loaded here, an error is the caller's; in uvicorn's hands it would be a traceback.
        await app.state.models.load()
        _say_address(listener)
        await server.serve([listener])

    with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
        runner.run(run())


def _serve_with_workers(settings: Settings, listener: socket.socket) -> None:
    for source in settings.models.values():
        # Found here, an error is the caller's, and only one process downloads.
        locate(
            source,
            backend=settings.backend,
            device=settings.device,
            precision=None if settings.precision == "auto" else settings.precision,  # type: ignore[arg-type]  # checked there
        )
    os.environ[VARIABLE] = settings.model_dump_json()
    name = f"{__name__}:{app_of_environment.__name__}"
    config = uvicorn.Config(name, factory=True, workers=settings.workers, **_options())
    with share_between_workers():
        supervisor = _Supervisor(config, [listener])
        supervisor.run()
    if any(process.exitcode == STARTUP_FAILURE for process in supervisor.processes):
        raise CrossRankError("The workers could not start: their log says why.")
    if supervisor.interrupted:
        raise KeyboardInterrupt


class _Supervisor(Multiprocess):
    """Keeps workers alive, says when the first one answers, and remembers Ctrl-C."""

    interrupted = False
    ready = False

    def keep_subprocess_alive(self) -> None:
        """Start those anew that died."""
        super().keep_subprocess_alive()
        if not self.ready and any(process.is_ready() for process in self.processes):
            self.ready = True
            _say_address(self.sockets[0])

    def terminate_all(self) -> None:
        """Stop; as long as one process has the socket, clients could connect in vain."""
        for listener in self.sockets:
            listener.close()
        super().terminate_all()

    def handle_int(self) -> None:
        """Stop."""
        self.interrupted = True
        super().handle_int()


def _options() -> dict[str, Any]:
    return {
        "access_log": False,
        "http": Connection,
        "lifespan": "on",
        "log_config": logging_config(),
        "server_header": False,
        "timeout_graceful_shutdown": DRAIN_SECONDS,
        "timeout_worker_healthcheck": SILENT_SECONDS,
        "ws": "none",
    }


def _listen(host: str, port: int) -> socket.socket:
    """Take the port, before a model is loaded in vain."""
    try:
        [(family, kind, protocol, _, address), *_] = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        with ExitStack() as unless_bound:
            listener = unless_bound.enter_context(socket.socket(family, kind, protocol))
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.set_inheritable(True)
            unless_bound.pop_all()
    except OSError as error:
        raise InputError(
            f"The server cannot listen on {host}, port {port}: {error.strerror}. Choose another "
            "--host or --port."
        ) from error
    return listener


def _say_address(listener: socket.socket) -> None:
    host, port = listener.getsockname()[:2]
    host = f"[{host}]" if ":" in host else host
    LOGGER.info("listening", extra={"fields": {"url": f"http://{host}:{port}"}})


def _leave(_: int, __: FrameType | None) -> None:
    """End well when told to: uvicorn raises the signal anew once all has been answered."""
    LOGGER.info("stopped")
    raise SystemExit(0)
