"""``crossrank rank``."""

import gzip
import json
import sqlite3
import subprocess
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from tests.cli.commands import run, start
from tests.cli.conftest import make_model
from typer.testing import Result

from crossrank.evaluation.calibration_maps import Calibration, Platt
from crossrank.models.calibrations import write_calibration

Invoke = Callable[..., Result]

TEXT = "w3 w4\n\nw1 w2\nw1 w3\n"
"""For the query ``w1 w2``: line 3 scores 3/3, line 4 2/3, line 1 1/3."""


@pytest.fixture
def text_file(tmp_path: Path) -> Path:
    file = tmp_path / "documents.txt"
    file.write_text(TEXT)
    return file


@pytest.fixture
def jsonl_file(tmp_path: Path) -> Path:
    file = tmp_path / "papers.jsonl"
    rows = [
        {"id": "a", "text": "w3 w4", "title": "Straße"},
        {"id": "b", "text": "w1 w2", "title": "w3"},
    ]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


def test_tsv_is_rank_score_line_and_text(invoke: Invoke, model: list[str], text_file: Path) -> None:
    result = invoke("rank", "w1 w2", text_file, *model)
    assert result.exit_code == 0
    assert result.stdout == "1\t1.0\t3\tw1 w2\n2\t0.6666667\t4\tw1 w3\n3\t0.33333334\t1\tw3 w4\n"
    assert result.stderr == ""


def test_calibrated_scores_are_probabilities(
    invoke: Invoke, text_file: Path, tmp_path: Path
) -> None:
    folder = make_model(tmp_path / "calibrated")
    write_calibration(folder, "fp32", Calibration("platt", Platt(2.0, -1.0)), {})
    options = ["--model", folder, "--backend", "constant", "-f", "json", "--calibrated"]
    found = json.loads(invoke("rank", "w1 w2", text_file, *options).stdout)
    assert [row["line"] for row in found] == [3, 4, 1]
    # sigmoid(2 * score - 1)
    assert [row["score"] for row in found] == pytest.approx([0.7310586, 0.5825702, 0.4174298])


def test_json_is_one_list(invoke: Invoke, model: list[str], text_file: Path) -> None:
    result = invoke("rank", "w1 w2", text_file, "--format", "json", "--top-k", "2", *model)
    assert json.loads(result.stdout) == [
        {"text": "w1 w2", "line": 3, "rank": 1, "score": 1.0},
        {"text": "w1 w3", "line": 4, "rank": 2, "score": 0.6666667},
    ]


def test_jsonl_keeps_the_other_fields(invoke: Invoke, model: list[str], jsonl_file: Path) -> None:
    result = invoke("rank", "w1 w2", jsonl_file, "-f", "jsonl", *model)
    first, second = map(json.loads, result.stdout.splitlines())
    assert (first["id"], first["line"], first["score"]) == ("b", 2, 1.0)
    assert (second["id"], second["title"], second["rank"]) == ("a", "Straße", 2)


def test_another_field(invoke: Invoke, model: list[str], jsonl_file: Path) -> None:
    result = invoke("rank", "w3", jsonl_file, "--field", "title", "-f", "jsonl", *model)
    scores = {row["id"]: row["score"] for row in map(json.loads, result.stdout.splitlines())}
    assert scores == {"a": 0.5, "b": 1.0}


def test_field_makes_stdin_jsonl(invoke: Invoke, model: list[str]) -> None:
    lines = '{"body": "w1"}\n{"body": "w2"}\n'
    result = invoke("rank", "w2", "-", "--field", "body", *model, input=lines)
    assert result.stdout == "1\t1.0\t2\tw2\n2\t0.5\t1\tw1\n"


def test_gzip_and_byte_order_mark(invoke: Invoke, model: list[str], tmp_path: Path) -> None:
    file = tmp_path / "documents.txt.gz"
    file.write_bytes(gzip.compress(b"\xef\xbb\xbfw1\r\nw2\r\n"))
    assert invoke("rank", "w1", file, *model).stdout == "1\t1.0\t1\tw1\n2\t0.5\t2\tw2\n"


def test_table_has_no_colours_off_a_terminal(
    invoke: Invoke, model: list[str], tmp_path: Path
) -> None:
    file = tmp_path / "documents.txt"
    file.write_text("[bold]w1[/bold] w2\nw2 w2\n")
    result = invoke("rank", "w2", file, "-f", "table", *model)
    header, best, other = (line.split() for line in result.stdout.splitlines())
    assert header == ["#", "score", "line", "document"]
    assert best == ["1", "1.0000", "2", "w2", "w2"]
    assert other == ["2", "0.6667", "1", "[bold]w1[/bold]", "w2"]
    assert "\x1b" not in result.stdout


def test_lone_surrogates_are_json_escapes(invoke: Invoke, model: list[str]) -> None:
    line = json.dumps({"text": "w1", "title": "\ud83d"})
    result = invoke("rank", "w1", "-", "--field", "text", "-f", "jsonl", *model, input=line)
    assert result.exit_code == 0
    assert json.loads(result.stdout)["title"] == "\ud83d"


def test_says_what_was_cut(invoke: Invoke, model: list[str], tmp_path: Path) -> None:
    # 16 tokens a pair: [CLS] w1 [SEP] ... [SEP] leave room for 12 of the 20.
    file = tmp_path / "documents.txt"
    file.write_text("w1\n" + "w2 " * 20 + "\n")
    for options in ([], ["--cache", tmp_path / "scores.db"], ["--cache", tmp_path / "scores.db"]):
        result = invoke("rank", "w1", file, *options, *model)
        assert "1 of these 2 documents" in result.stderr
        assert " 8 tokens were cut" in result.stderr


def test_windows_of_long_documents(invoke: Invoke, model: list[str], tmp_path: Path) -> None:
    file = tmp_path / "documents.txt"
    file.write_text("w2 " * 20 + "w1\n")
    result = invoke("rank", "w1", file, "--long-documents", "max", "-f", "jsonl", *model)
    row = json.loads(result.stdout)
    assert row["text"][slice(*row["span"])].endswith("w1")
    assert result.stderr == ""


def test_a_cache_is_a_file(invoke: Invoke, text_file: Path) -> None:
    result = invoke("rank", "w1 w2", text_file, "--cache", "redis://127.0.0.1:1/0")
    assert result.exit_code == 2
    assert "a file is required" in result.stderr


def test_cache_is_written_and_used(
    invoke: Invoke, model: list[str], text_file: Path, tmp_path: Path
) -> None:
    cache = tmp_path / "scores.db"
    first = invoke("rank", "w1 w2", text_file, "--cache", cache, *model)
    assert first.exit_code == 0
    with closing(sqlite3.connect(cache)) as connection, connection:
        connection.execute("INSERT INTO scores VALUES (?, 'a newer entry', '')", (10**9,))
    again = invoke("rank", "w1 w2", text_file, "--cache", cache, *model)
    assert again.stdout == first.stdout
    with closing(sqlite3.connect(cache)) as connection:
        ids = [row[0] for row in connection.execute("SELECT id FROM scores ORDER BY id")]
    # What the second call used has become the newest: row ids are the clock.
    assert ids == [10**9, 10**9 + 1, 10**9 + 2, 10**9 + 3]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b'{"text": "w1"}\n{"text": \n', "line 2: one JSON object a line is required"),
        (b'{"text": "w1"}\n\n[1]\n', "line 3: a JSON object is required, received [1]"),
        (b'{"text": "w1"}\n{"body": "w1"}\n', "line 2: a field 'text' is required; its fields are"),
        (b'{"text": 7}\n', "line 1: the field 'text' must be a string, received 7"),
        (b'{"text": "w1"}\n\xff\n', "line 2: text in UTF-8 is required, received the byte 0xff"),
    ],
)
def test_malformed_lines_are_named(
    invoke: Invoke, model: list[str], tmp_path: Path, content: bytes, said: str
) -> None:
    file = tmp_path / "bad.jsonl"
    file.write_bytes(content)
    result = invoke("rank", "w1", file, *model)
    assert result.exit_code == 1
    assert f"Error: {file}, {said}" in result.stderr
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ["rank", "w1", "no-such-file.txt"],
        ["rank", "w1"],
        ["rank", "w1", "-", "--no-such-option"],
        ["rank", "w1", "-", "--top-k", "0"],
        ["rank", "w1", "-", "--format", "xml"],
        ["rank", "w1", "-", "--backend", "abacus"],
        ["rank", "w1", "-", "--precision", "int3"],
        ["rank", "w1", "-", "--long-documents", "max", "--window", "4", "--stride", "5"],
        ["rank", "w1", "-", "--window", "4"],
    ],
)
def test_bad_usage_is_2(invoke: Invoke, arguments: list[str]) -> None:
    result = invoke(*arguments, input="w1\n")
    assert result.exit_code == 2
    assert "Usage: crossrank rank" in result.stderr
    assert result.stdout == ""


def test_no_documents_is_bad_usage(invoke: Invoke, model: list[str]) -> None:
    result = invoke("rank", "w1", "-", *model, input="\n \n")
    assert result.exit_code == 2
    assert "stdin holds no documents" in result.stderr


def test_a_missing_model_is_one_line(invoke: Invoke, text_file: Path, tmp_path: Path) -> None:
    result = invoke("rank", "w1", text_file, "--model", tmp_path / "no-such-model")
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: ")
    assert "no-such-model" in result.stderr


def test_the_embedded_model_in_a_process_of_its_own(tmp_path: Path) -> None:
    file = tmp_path / "documents.txt"
    file.write_text("Bread is baked in an oven.\nParis is the capital of France.\n")
    code, out, err = run("rank", "what is the capital of France", file)
    assert code == 0, err
    assert [line.split("\t")[2] for line in out.splitlines()] == ["2", "1"]


def test_a_closed_pipe_is_no_error(model: list[str], tmp_path: Path) -> None:
    file = tmp_path / "documents.txt"
    file.write_text(("w1 " * 60 + "\n") * 2000)  # more than a pipe holds
    process = start("rank", "w1", file, "-f", "jsonl", *model)
    head = subprocess.run(["head", "-1"], stdin=process.stdout, capture_output=True, check=True)
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    errors = process.stderr.read()
    process.stderr.close()
    assert process.wait(100) == 0
    assert json.loads(head.stdout)["rank"] == 1
    assert b"Error" not in errors
    assert b"Traceback" not in errors
