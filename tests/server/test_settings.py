"""Settings: flags before variables before a file; what is wrong is said in one line."""

import inspect
from pathlib import Path

import pytest

from crossrank.cli.serve import serve
from crossrank.errors import InputError
from crossrank.server.settings import Settings

SINGULAR = {"model": "models", "alias": "aliases", "cors_origin": "cors_origins"}
"""Flags that may be repeated; their settings hold all."""

ABOUT_THE_COMMAND = {"config", "new_key"}


def test_every_setting_has_its_flag_and_every_flag_its_setting() -> None:
    flags = set(inspect.signature(serve).parameters) - ABOUT_THE_COMMAND
    assert {SINGULAR.get(flag, flag) for flag in flags} == set(Settings.model_fields)


def test_flags_win_over_variables_and_these_over_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "server.toml"
    file.write_text(
        "port = 1\nmax_queue = 1\nmax_requests = 1\n"
        'cors_origins = ["https://a.example"]\n[models]\nen = "./english"\n[aliases]\nx = "en"\n'
    )
    monkeypatch.setenv("CROSSRANK_SERVER_PORT", "2")
    monkeypatch.setenv("CROSSRANK_SERVER_MAX_QUEUE", "2")
    monkeypatch.setenv("CROSSRANK_SERVER_WORKERS", "2")
    monkeypatch.setenv("CROSSRANK_CACHE", "/the/cache/of/models")
    settings = Settings.read(file, port=3, host=None)
    assert (settings.port, settings.max_queue, settings.max_requests) == (3, 2, 1)
    assert (settings.host, settings.workers) == ("127.0.0.1", 2)
    assert settings.models == {"en": "./english"}
    assert settings.aliases == {"x": "en"}
    assert settings.cors_origins == ["https://a.example"]
    assert settings.cache is None
    assert Settings.read(None).max_requests == 256


def test_lists_and_tables_in_variables_are_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CROSSRANK_SERVER_MODELS", '{"a": "default", "b": "./other"}')
    monkeypatch.setenv("CROSSRANK_SERVER_CORS_ORIGINS", '["https://a.example"]')
    settings = Settings.read(None)
    assert list(settings.models) == ["a", "b"]
    assert settings.cors_origins == ["https://a.example"]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("max_documnets = 5", "There is no setting max_documnets: did you mean max_documents?"),
        ("workers = 0", "The setting workers: Input should be greater than or equal to 1."),
        ("port = 70000", "The setting port: Input should be less than or equal to 65535."),
        ('port = "http"', "The setting port: Input should be a valid integer"),
        ("max_wait_ms = -1", "The setting max_wait_ms: Input should be greater than or equal to 0"),
        ("timeout_s = 0", "The setting timeout_s: Input should be greater than 0"),
        ("timeout_s = nan", "The setting timeout_s: Input should be"),
        ("timeout_s = inf", "The setting timeout_s: Input should be a finite number."),
        ("body_timeout_s = inf", "The setting body_timeout_s: Input should be a finite number."),
        ("models = {}", "at least one model is required"),
        ('models = "default"', "The setting models: Input should be a valid dictionary"),
        ('aliases = {x = "y"}', "the alias 'x' must name one of the models default, received 'y'"),
        ('aliases = {default = "default"}', "'default' is both a model and an alias"),
        ("port = ", "server.toml: Invalid value"),
        ("port = 1\nport = 2", "server.toml: Cannot overwrite a value"),
    ],
)
def test_what_is_wrong_in_a_file_is_said_in_one_line(
    tmp_path: Path, content: str, expected: str
) -> None:
    file = tmp_path / "server.toml"
    file.write_text(content)
    with pytest.raises(InputError) as error:
        Settings.read(file)
    assert expected in str(error.value)
    assert "\n" not in str(error.value)


def test_a_variable_that_is_no_json_is_said_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CROSSRANK_SERVER_MODELS", "default")
    with pytest.raises(InputError, match="The variable CROSSRANK_SERVER_MODELS must be JSON"):
        Settings.read(None)


@pytest.mark.parametrize("variable", ["CROSSRANK_SERVER_API_KEY", "crossrank_server_api_key"])
def test_variables_that_are_not_known_are_refused(
    variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, "keys")
    expected = f"there is no variable {variable}; the nearest is CROSSRANK_SERVER_API_KEYS."
    with pytest.raises(InputError, match=expected):
        Settings.read(None)
    with pytest.raises(ValueError, match=expected[:-1]):
        Settings()


def test_settings_reach_workers_as_json(tmp_path: Path) -> None:
    settings = Settings(port=0, api_keys=tmp_path / "keys", aliases={"x": "default"}, workers=2)
    assert Settings.model_validate_json(settings.model_dump_json()) == settings
