"""``crossrank index``, ``search`` and ``ask``, one after the other, on real files."""

import json
from pathlib import Path

import pytest
from tests.cli.commands import run
from tests.retrieval.chat_server import chat_server

for package in ("bm25s", "bs4", "openai"):
    pytest.importorskip(package, reason="needs the extra rag")

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an index of the guide."""
    folder: Path = tmp_path_factory.mktemp("rag")
    (folder / "docs").mkdir()
    (folder / "docs" / "guide.md").write_text((ROOT / "docs" / "guide.md").read_text())
    (folder / "docs" / "cities.txt").write_text("Paris is the capital of France.")
    (folder / "docs" / "broken.pdf").write_bytes(b"%PDF-1.4")
    status, out, err = run("index", "docs", cwd=folder)
    assert (status, out) == (0, "")
    assert "Left out: docs/broken.pdf" in err
    assert "of 2 files (2 read, 0 unchanged, 0 removed, 1 left out)" in err
    return folder


def test_search_finds_the_place(home: Path) -> None:
    status, out, err = run("search", "capital of France", "-k", "1", cwd=home)
    assert status == 0
    assert out.startswith("1. cities.txt (")
    assert "Paris is the capital of France." in out
    assert "reranked; retrieve" in err
    command = ("search", "which precision is fastest", "-k", "2", "--format", "jsonl")
    rows = [json.loads(line) for line in run(*command, cwd=home)[1].splitlines()]
    text = (home / "docs" / "guide.md").read_text()
    assert [row["rank"] for row in rows] == [1, 2]
    assert all(text[row["start"] : row["end"]] == row["text"] for row in rows)
    assert rows[0]["score"] > rows[1]["score"]


def test_what_has_changed_is_taken_in(home: Path) -> None:
    file = home / "docs" / "new.txt"
    file.write_text("Berlin is the capital of Germany.")
    assert "(1 read, 2 unchanged, 0 removed, 1 left out)" in run("index", "docs", cwd=home)[2]
    assert run("search", "capital of Germany", cwd=home)[1].startswith("1. new.txt")
    file.unlink()
    assert "(0 read, 2 unchanged, 1 removed, 1 left out)" in run("index", "docs", cwd=home)[2]


def test_files_without_text_are_named(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "scan.html").write_text("<img src='scan.png'>")
    (tmp_path / "docs" / "a.txt").write_text("Paris is a city.")
    status, _, err = run("index", "docs", cwd=tmp_path)
    assert (status, "No text: scan.html" in err, "1 chunks of 2 files" in err) == (0, True, True)


def test_ask_answers_with_citations(home: Path) -> None:
    with chat_server() as (url, received):
        command = ("ask", "capital of France", "--llm", "tiny", "--base-url", url)
        status, out, err = run(*command, "--context-tokens", "20", cwd=home)
        assert (status, err) == (0, "")
        assert out.startswith(
            "Paris is the capital of France. [1]\n\n[1] cities.txt, characters 0 to"
        )
        refused = run(*command, "--min-score", "1.5", cwd=home)
        assert refused[0] == 1
        assert "The documents do not answer this: the best scores 1.00." in refused[2]
        missing = run("ask", "capital", "--llm", "missing", "--base-url", url, cwd=home)
        assert missing[0] == 1
        assert "The language model did not answer: Error code: 404" in missing[2]
    assert {request["model"] for request in received} == {"tiny", "missing"}


def test_search_with_a_model_of_two_labels(home: Path, model_of_two_labels: list[str]) -> None:
    status, out, err = run("search", "capital", *model_of_two_labels, cwd=home)
    assert (status, out) == (1, "")
    assert "Error: Reranking needs a model with one label, and this one has several" in err


def test_an_answer_without_a_word_is_an_error(home: Path) -> None:
    with chat_server() as (url, _):
        page = url.removesuffix("/v1") + "/page"  # answers with a web page
        status, _, err = run("ask", "capital", "--llm", "tiny", "--base-url", page, cwd=home)
    assert (status, err) == (
        1,
        "Error: The language model answered nothing: is --base-url right?\n",
    )


def test_mistakes_get_one_line(home: Path, tmp_path: Path) -> None:
    for command, message in (
        (("search", "x", "--index", "nowhere"), "nowhere must hold an index"),
        (("index", "nothing"), "'nothing' does not exist"),
        (("index", "docs", "--words", "3", "--overlap", "3"), "was made with"),
        (("index", "docs", "--index", str(tmp_path), "--retriever", "dense"), "a bi-encoder"),
        (("ask", "x"), "--llm"),
    ):
        status, out, err = run(*command, cwd=home)
        assert status in (1, 2)
        assert out == ""
        assert message in " ".join(err.replace("│", " ").split())
    closed = run("ask", "capital", "--llm", "m", "--base-url", "http://127.0.0.1:9/v1", cwd=home)
    assert "The language model did not answer: Connection error." in closed[2]
