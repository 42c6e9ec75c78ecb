"""What all subcommands share: help, exit codes, colours, and what they import."""

import json
import os
import shlex
import signal
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import pytest
import typer
from tests.cli.commands import start
from typer.testing import Result

from crossrank import __version__
from crossrank.cli import COMMANDS, options
from crossrank.cli.rank import LongDocumentsChoice
from crossrank.cli.reporting import reporting, say
from crossrank.errors import InputError
from crossrank.long_documents import LongDocuments
from crossrank.tokenization import Truncation
from crossrank.types import Precision

Invoke = Callable[..., Result]
NAMES = [command.__name__ for command in COMMANDS]


def test_help_lists_every_command_in_one_line(invoke: Invoke) -> None:
    lines = invoke("--help").stdout.splitlines()
    for name in NAMES:
        assert sum(line.startswith(f"│ {name} ") for line in lines) == 1
    commands = lines[next(i for i, line in enumerate(lines) if "Commands" in line) :]
    assert sum(line.startswith("│") for line in commands) == len(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_help_shows_an_example(invoke: Invoke, name: str) -> None:
    result = invoke(name, "--help")
    assert result.exit_code == 0
    assert "Example" in result.stdout
    assert f"  crossrank {name}" in result.stdout or f"| crossrank {name}" in result.stdout


def test_version(invoke: Invoke) -> None:
    assert invoke("--version").stdout == f"crossrank {__version__}\n"


@pytest.mark.parametrize("arguments", [["no-such-command"], ["--no-such-option"]])
def test_bad_usage_is_2(invoke: Invoke, arguments: list[str]) -> None:
    result = invoke(*arguments)
    assert result.exit_code == 2
    assert arguments[0] in result.stderr


def test_choices_are_those_of_the_library() -> None:
    assert get_args(options.PrecisionChoice) == ("auto", *get_args(Precision))
    assert get_args(options.TruncationChoice) == get_args(Truncation)
    assert set(get_args(LongDocumentsChoice)) == set(get_args(LongDocuments))


def imported(*arguments: str) -> set[str]:
    """Run a command, and see which modules it needed."""
    code = (
        "import sys, atexit\n"
        "atexit.register(lambda: sys.stderr.write('\\n'.join(sys.modules)))\n"
        "from crossrank.cli import main\n"
        "main()\n"
    )
    command = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=100)
    return set(done.stderr.splitlines())


def test_help_is_not_slowed_by_an_engine() -> None:
    assert not {"numpy", "openvino", "tokenizers"} & imported("--help")


def test_ranking_needs_neither_torch_nor_rich(model: list[str], tmp_path: Path) -> None:
    file = tmp_path / "documents.txt"
    file.write_text("w1\n")
    modules = imported("rank", "w1", str(file), *model)
    assert "tokenizers" in modules
    assert not {"torch", "transformers", "rich.console", "pyarrow", "tqdm"} & modules


def test_ctrl_c_is_130_and_no_traceback(model: list[str], tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    process = start("rank", "w1", pipe, *model)
    with pipe.open("w"):  # opens when the command does
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=100)
    assert process.returncode == 130
    assert errors == b"Interrupted.\n"


@pytest.mark.parametrize(
    ("redirected", "message"),
    [
        ("<&-", b"Error: Standard input is to be read, and it is closed.\n"),
        ("</dev/null >&-", b"holds no documents"),
    ],
)
def test_closed_streams_are_no_traceback(model: list[str], redirected: str, message: bytes) -> None:
    words = shlex.join([sys.executable, "-m", "crossrank", "rank", "w1", "-", *model])
    done = subprocess.run(["sh", "-c", f"{words} {redirected}"], capture_output=True, check=False)
    assert done.returncode in (1, 2)
    assert message in done.stderr
    assert b"Traceback" not in done.stderr


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_json_is_json_in_every_encoding(model: list[str], tmp_path: Path, encoding: str) -> None:
    file = tmp_path / "documents.txt"
    file.write_text("w1 Gr\u00f6\u00dfe \u65e5\u672c \U0001f600\n", encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "crossrank", "rank", "w1", str(file), "-f", "jsonl", *model],
        capture_output=True,
        check=True,
        env=os.environ | {"PYTHONIOENCODING": encoding},
    )
    assert json.loads(done.stdout.decode(encoding))["text"] == file.read_text("utf-8").strip()


def test_no_color(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("NO_COLOR", "FORCE_COLOR", "TERM"):
        monkeypatch.delenv(name, raising=False)
    say("plain", "red")
    monkeypatch.setenv("FORCE_COLOR", "1")
    say("in red", "red")
    monkeypatch.setenv("NO_COLOR", "1")
    say("[b]plain[/b] again", "red")
    plain, red, again = capsys.readouterr().err.splitlines()
    assert (plain, again) == ("plain", "[b]plain[/b] again")
    assert red == "\x1b[31min red\x1b[0m"


def test_long_messages_are_not_broken(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    say("word " * 40)
    assert capsys.readouterr().err == "word " * 40 + "\n"


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (InputError("A pair is required."), 1, "Error: A pair is required.\n"),
        (OSError(28, "No space left on device", "f"), 1, "Error: No space left on device: f\n"),
        (KeyboardInterrupt(), 130, "Interrupted.\n"),
    ],
)
def test_errors_are_one_line_and_a_code(
    capfd: pytest.CaptureFixture[str], error: BaseException, code: int, said: str
) -> None:
    with pytest.raises(typer.Exit) as exit_info, reporting():
        raise error
    assert exit_info.value.exit_code == code
    assert capfd.readouterr().err == said


def test_mistakes_of_ours_keep_their_traceback() -> None:
    with pytest.raises(ZeroDivisionError), reporting():
        raise ZeroDivisionError


def test_warnings_are_one_line(capfd: pytest.CaptureFixture[str]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        with reporting():
            warnings.warn("mind this", UserWarning, stacklevel=1)
    assert capfd.readouterr().err == "Warning: mind this\n"
