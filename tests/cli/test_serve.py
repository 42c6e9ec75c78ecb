"""``crossrank serve``: what it says when it cannot, or when it is told something odd."""

import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.server.commands import serving
from typer.testing import Result

from crossrank.server.auth import hash_key

Invoke = Callable[..., Result]


def test_a_port_in_use_is_one_line(invoke: Invoke, model: list[str]) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        result = invoke("serve", "--port", port, *model)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == (
        f"Error: The server cannot listen on 127.0.0.1, port {port}: Address already in use. "
        "Choose another --host or --port.\n"
    )


def test_a_host_that_is_none_is_one_line(invoke: Invoke, model: list[str]) -> None:
    result = invoke("serve", "--host", "no.such.host.invalid", "--anonymous", *model)
    assert result.exit_code == 1
    expected = "Error: The server cannot listen on no.such.host.invalid, port 8000: "
    assert result.stderr.startswith(expected)
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_model_that_cannot_be_loaded_ends_the_command(workers: str) -> None:
    with serving("--model", "./no-such-folder", "--workers", workers) as command:
        assert command.wait() == 1
    assert command.rest == ["Error: There is no folder ./no-such-folder. Is the path right?"]
    assert [line["message"] for line in command.log] == ["loading"]


def test_a_config_that_is_wrong_is_one_line(invoke: Invoke, tmp_path: Path) -> None:
    file = tmp_path / "server.toml"
    file.write_text("max_documnets = 5\n")
    result = invoke("serve", "--config", file)
    assert result.exit_code == 1
    expected = "Error: There is no setting max_documnets: did you mean max_documents?\n"
    assert result.stderr == expected


def test_flags_that_cannot_be_used_are_one_line(invoke: Invoke, model: list[str]) -> None:
    for flags, expected in {
        ("--host", "0.0.0.0"): "lets anybody use the server who can reach it",
        ("--port", "99999"): "The setting port: Input should be less than or equal to 65535.",
        ("--alias", "x=y"): "the alias 'x' must name one of the models constant, received 'y'",
        ("--timeout-s", "0"): "The setting timeout_s: Input should be greater than 0",
    }.items():
        result = invoke("serve", *model, *flags)
        assert result.exit_code == 1, flags
        assert expected in result.stderr.replace("\n", " ")


def test_models_and_aliases_must_be_named(invoke: Invoke) -> None:
    for flags, expected in {
        ("--model", "a=x", "--model", "a=y"): "Two models are called 'a'",
        ("--model", "=x"): "must be MODEL or NAME=MODEL",
        ("--alias", "x"): "must be ALIAS=NAME",
    }.items():
        result = invoke("serve", *flags)
        assert result.exit_code == 2
        assert expected in result.stderr


def test_a_new_key_comes_with_its_line(invoke: Invoke) -> None:
    result = invoke("serve", "--new-key")
    assert result.exit_code == 0
    key, line = result.stdout.split()
    assert line == hash_key(key)


def test_a_file_of_keys_without_keys_is_refused(invoke: Invoke, tmp_path: Path) -> None:
    (tmp_path / "keys").write_text("my password\n")
    result = invoke("serve", "--port", "0", "--api-keys", tmp_path / "keys")
    assert result.exit_code == 1
    assert "a line must read sha256:HASH" in result.stderr.replace("\n", " ")
    assert "my password" not in result.stderr
