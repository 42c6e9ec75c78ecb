"""``crossrank serve``: a server that clients of rerankers already know."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from crossrank.cli import options
from crossrank.cli.reporting import say


def serve(
    *,
    model: Annotated[
        list[str] | None,
        typer.Option(
            "--model",
            "-m",
            help="A folder or hub id; NAME=MODEL says what clients call it. May be repeated; the "
            "first one serves requests that name none.",
            show_default="the embedded model, as `default`",
            metavar="MODEL",
        ),
    ] = None,
    alias: Annotated[
        list[str] | None,
        typer.Option(
            help="Another name of a model, for clients that insist on theirs: rerank-v3.5=default.",
            metavar="ALIAS=NAME",
        ),
    ] = None,
    host: Annotated[
        str | None, typer.Option(help="Address to listen on.", show_default="127.0.0.1")
    ] = None,
    port: Annotated[
        int | None, typer.Option(help="Port to listen on.", show_default="8000")
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(
            help="Processes, each with the models; of several, one that dies comes back.",
            show_default="1",
        ),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            dir_okay=False,
            help="Settings in TOML, such as max_queue = 500. Flags win over variables such as "
            "CROSSRANK_SERVER_MAX_QUEUE, and these over the file.",
        ),
    ] = None,
    backend: Annotated[
        str | None,
        typer.Option(help="Engine.", metavar="auto|openvino|onnx|torch", show_default="auto"),
    ] = None,
    precision: Annotated[
        str | None, typer.Option(help="What weights are computed in.", show_default="auto")
    ] = None,
    device: Annotated[
        str | None, typer.Option(help="E.g. cpu or cuda:0.", show_default="the best there is")
    ] = None,
    max_length: Annotated[
        int | None, typer.Option(help="Longest pair in tokens.", show_default="the model's own")
    ] = None,
    truncation: options.Truncation = None,
    max_documents: Annotated[
        int | None, typer.Option(help="Most documents a request.", show_default="1000")
    ] = None,
    max_body_bytes: Annotated[
        int | None, typer.Option(help="Largest body of a request.", show_default="10000000")
    ] = None,
    max_queue: Annotated[
        int | None,
        typer.Option(help="Most pairs that wait; more get status 429.", show_default="20000"),
    ] = None,
    max_requests: Annotated[
        int | None,
        typer.Option(help="Most requests at a time; more get status 429.", show_default="256"),
    ] = None,
    max_wait_ms: Annotated[
        float | None,
        typer.Option(help="Wait so long for more pairs to fill a batch.", show_default="0"),
    ] = None,
    timeout_s: Annotated[
        float | None, typer.Option(help="Longest time for an answer.", show_default="60")
    ] = None,
    body_timeout_s: Annotated[
        float | None,
        typer.Option(help="Longest time for a body to arrive.", show_default="10"),
    ] = None,
    api_keys: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            dir_okay=False,
            help="File of accepted API keys, one hash a line, read again when it changes.",
        ),
    ] = None,
    new_key: Annotated[
        bool, typer.Option("--new-key", help="Print a new API key and its hash, and stop.")
    ] = False,
    anonymous: Annotated[
        bool | None,
        typer.Option("--anonymous", help="Let anybody in, also from other machines."),
    ] = None,
    cors_origin: Annotated[
        list[str] | None,
        typer.Option(help="Origin of pages that may call the server. May be repeated."),
    ] = None,
    cache: Annotated[
        str | None,
        typer.Option(help="Where scores are remembered.", metavar="FILE|redis://..."),
    ] = None,
    log_texts: Annotated[
        bool | None, typer.Option("--log-texts", help="Write queries into the log.")
    ] = None,
    tracing: Annotated[
        bool | None,
        typer.Option(
            "--tracing",
            help="Send OpenTelemetry traces to where OTEL_EXPORTER_OTLP_ENDPOINT says.",
        ),
    ] = None,
) -> None:
    """Serve models over HTTP, to any client of Cohere, Jina, Voyage, TEI, vLLM or infinity.

    \b
    Examples:
      crossrank serve
      crossrank serve --model ./my-model --alias rerank-v3.5=my-model --port 9000
      crossrank serve --new-key
    """
    from crossrank.optional import require

    for package in ("fastapi", "pydantic_settings", "uvicorn", "prometheus_client"):
        require(package, extra="server")
    if new_key:
        _print_new_key()
        return
    flags: dict[str, Any] = {
        "models": _named(model),
        "aliases": _aliases(alias),
        "cors_origins": cors_origin or None,
        "host": host,
        "port": port,
        "workers": workers,
        "backend": backend,
        "precision": precision,
        "device": device,
        "max_length": max_length,
        "truncation": truncation,
        "max_documents": max_documents,
        "max_body_bytes": max_body_bytes,
        "max_queue": max_queue,
        "max_requests": max_requests,
        "max_wait_ms": max_wait_ms,
        "timeout_s": timeout_s,
        "body_timeout_s": body_timeout_s,
        "api_keys": api_keys,
        "anonymous": anonymous,
        "cache": cache,
        "log_texts": log_texts,
        "tracing": tracing,
    }
    from crossrank.server.run import serve as run

    run(config, flags)


def _print_new_key() -> None:
    from crossrank.server.auth import new_key

    key, line = new_key()
    say("The key, for the client; it is not kept anywhere:")
    typer.echo(key)
    say("Its line for the file of --api-keys:")
    typer.echo(line)


def _named(models: Sequence[str] | None) -> dict[str, str] | None:
    """Read ``NAME=MODEL``, or name a model by the last part of its path."""
    if not models:
        return None
    found: dict[str, str] = {}
    for text in models:
        name, equals, source = text.partition("=")
        if not equals:
            name, source = Path(text).name or text, text
        if not name or not source:
            raise typer.BadParameter(f"--model must be MODEL or NAME=MODEL, received {text!r}.")
        if name in found:
            raise typer.BadParameter(f"Two models are called {name!r}: use NAME=MODEL.")
        found[name] = source
    return found


def _aliases(aliases: Sequence[str] | None) -> dict[str, str] | None:
    if not aliases:
        return None
    pairs = [text.partition("=") for text in aliases]
    for text, (alias, _, name) in zip(aliases, pairs, strict=True):
        if not alias or not name:
            raise typer.BadParameter(f"--alias must be ALIAS=NAME, received {text!r}.")
    return {alias: name for alias, _, name in pairs}
