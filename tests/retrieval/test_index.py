"""An index follows its documents, and survives being killed."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from crossrank.errors import InputError, ModelNotFoundError
from crossrank.retrieval import index as index_module
from crossrank.retrieval.index import IndexedChunk, SearchIndex, update
from crossrank.retrieval.index_files import IndexSettings
from crossrank.retrieval.ingest.chunks import Chunk

pytest.importorskip("bm25s", reason="needs the extra demo")


@pytest.fixture
def documents(tmp_path: Path) -> Path:
    home = tmp_path / "documents"
    (home / "deep").mkdir(parents=True)
    (home / "a.txt").write_text("Paris is the capital of France.")
    (home / "deep" / "b.md").write_text("# Bread\n\nBread is baked in an oven.\n")
    (home / ".hidden.txt").write_text("secret")
    (home / "picture.png").write_bytes(b"png")
    return home


def found(index: Path, query: str) -> list[tuple[str, str]]:
    opened = SearchIndex(index)
    (hits,) = opened.retriever.search_many([query], 10)
    chunks = [opened[position] for position, _ in hits]
    opened.close()
    return [(chunk.path, chunk.chunk.text) for chunk in chunks]


def test_documents_are_found_with_their_places(documents: Path, tmp_path: Path) -> None:
    index = tmp_path / "index"
    done = update(documents, index)
    assert (done.read, done.kept, done.removed, done.failed, done.chunks) == (2, 0, 0, {}, 2)
    assert found(index, "capital") == [("a.txt", "Paris is the capital of France.")]
    assert found(index, "oven") == [("deep/b.md", "# Bread\n\nBread is baked in an oven.")]
    assert found(index, "secret") == []
    opened = SearchIndex(index)
    assert [opened.texts[n] for n in range(len(opened))] == [
        "Paris is the capital of France.",
        "# Bread\n\nBread is baked in an oven.",
    ]
    opened.close()


def test_only_what_changed_is_read_again(documents: Path, tmp_path: Path) -> None:
    index = tmp_path / "index"
    update(documents, index)
    again = update(documents, index)
    assert (again.read, again.kept) == (0, 2)
    (documents / "a.txt").write_text("Lyon is a city in France.")
    (documents / "deep" / "b.md").unlink()
    (documents / "c.txt").write_text("Lyon is a city in France.")  # the same bytes as a.txt
    changed = update(documents, index)
    assert (changed.read, changed.kept, changed.removed) == (1, 1, 1)
    assert found(index, "capital oven") == []
    assert [path for path, _ in found(index, "Lyon")] == ["a.txt", "c.txt"]
    assert len(list((index / "files").iterdir())) == 1
    assert len(list(index.glob("state-*"))) == 1


def test_a_bad_file_is_reported_left_out_and_tried_again(documents: Path, tmp_path: Path) -> None:
    (documents / "bad.txt").write_bytes(b"\xff")
    index = tmp_path / "index"
    done = update(documents, index)
    assert list(done.failed) == ["bad.txt"]
    assert "UTF-8 is required" in done.failed["bad.txt"]
    assert done.chunks == 2
    (documents / "bad.txt").write_text("good now")
    assert update(documents, index).failed == {}
    assert found(index, "good") == [("bad.txt", "good now")]


def test_what_was_read_before_a_kill_is_not_read_again(documents: Path, tmp_path: Path) -> None:
    index = tmp_path / "index"
    code = (
        "import os, signal, sys; from pathlib import Path; from crossrank.retrieval import index\n"
        "def progress(step):\n"
        "    if 'b.md' in step: os.kill(os.getpid(), signal.SIGKILL)\n"
        "index.update(Path(sys.argv[1]), Path(sys.argv[2]), progress=progress)\n"
    )
    command = [sys.executable, "-c", code, str(documents), str(index)]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    with pytest.raises(InputError, match="run `crossrank index` again"):
        SearchIndex(index)
    done = update(documents, index)
    assert (done.read, done.kept, done.chunks) == (1, 1, 2)


def test_an_index_inside_its_documents_does_not_index_itself(documents: Path) -> None:
    index = documents / "crossrank-index"
    assert update(documents, index).chunks == 2
    shutil.copy(documents / "a.txt", documents / "z.txt")
    assert update(documents, index).chunks == 3


def test_other_indexes_among_the_documents_are_not_indexed(documents: Path, tmp_path: Path) -> None:
    inside = documents / "deep" / "one"
    update(documents, inside)
    (documents / "settings.json").write_text('{"version": 1}')  # not every folder with one is one
    (documents / "rows.jsonl").write_text('{"text": "rows"}')
    steps: list[str] = []
    assert update(documents, tmp_path / "other", progress=steps.append).chunks == 3
    assert steps == [
        "Reading a.txt",
        "Reading rows.jsonl",
        "Reading deep/b.md",
        "Indexing 3 texts",
    ]


def test_files_without_text_are_named(documents: Path, tmp_path: Path) -> None:
    (documents / "empty.txt").write_text(" \n")
    for _ in range(2):
        done = update(documents, tmp_path / "index")
        assert (done.empty, done.chunks, done.failed) == (["empty.txt"], 2, {})


def test_settings_may_change_until_the_index_is_finished(documents: Path, tmp_path: Path) -> None:
    index = tmp_path / "index"
    wrong = IndexSettings("dense", bi_encoder="./no-such-model")
    with pytest.raises(ModelNotFoundError, match=r"no folder \./no-such-model"):
        update(documents, index, wrong)
    done = update(documents, index, IndexSettings(words=4, overlap=0))
    assert (done.read, done.chunks) == (2, 4)  # cut anew
    assert found(index, "capital") == [("a.txt", "Paris is the capital")]


@pytest.mark.parametrize(
    ("heading", "text", "searched"),
    [
        ("", "Text.", "Text."),
        ("Bread", "# Bread\n\nIt is baked.", "# Bread\n\nIt is baked."),
        ("Food > Bread", "## Bread ##\n\nIt is baked.", "Food\n## Bread ##\n\nIt is baked."),
        ("Food > Bread", "Bread\n-----\nBaked.", "Food\nBread\n-----\nBaked."),
        ("Food > Bread", "Bread is baked.", "Food > Bread\nBread is baked."),
        ("Art", "Article five", "Art\nArticle five"),
        ("Art", "Art", "Art"),
        ("C#", "# C#\nA language.", "# C#\nA language."),
        ("#1", "#1\nA song.", "#1\nA song."),
        ("Food > ", "#\nBaked.", "Food\n#\nBaked."),
    ],
)
def test_every_heading_is_searched_once(heading: str, text: str, searched: str) -> None:
    assert IndexedChunk("a", Chunk(0, len(text), text, heading, "")).searchable == searched


def test_it_says_what_it_will_not_do(documents: Path, tmp_path: Path) -> None:
    index = tmp_path / "index"
    with pytest.raises(InputError, match="There is no file or folder"):
        update(tmp_path / "nowhere", index)
    with pytest.raises(InputError, match="less than words"):
        update(documents, index, IndexSettings(words=5, overlap=5))
    update(documents, index)
    with pytest.raises(InputError, match="delete it to change that"):
        update(documents, index, IndexSettings(words=7, overlap=1))
    with pytest.raises(InputError, match="is an index of"):
        update(tmp_path, index)
    with pytest.raises(InputError, match="is not empty, and no index"):
        update(tmp_path, documents)
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(InputError, match="no documents with text"):
        update(empty, tmp_path / "other")
    with pytest.raises(InputError, match="must hold an index"):
        SearchIndex(empty)
    (index / "settings.json").write_text('{"version": 1, "documents": "docs"}')
    for attempt in (SearchIndex, lambda folder: update(documents, folder)):
        with pytest.raises(InputError, match="of another version: delete it and index anew"):
            attempt(index)


def test_names_that_are_no_text_are_kept(documents: Path, tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9.txt")
    (documents / name).write_text("coffee")
    index = tmp_path / "index"
    update(documents, index)
    assert update(documents, index).kept == 3
    assert found(index, "coffee") == [(name, "coffee")]


def test_a_file_that_vanishes_is_left_out(
    documents: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = [documents / "a.txt", documents / "gone.txt"]
    monkeypatch.setattr(index_module, "_files", lambda *_: files)
    done = update(documents, tmp_path / "index")
    assert (done.read, done.kept, done.chunks) == (2, 0, 1)
    gone = f"{documents / 'gone.txt'} cannot be read: No such file or directory."
    assert done.failed == {"gone.txt": gone}


def test_an_index_that_nothing_changed_in_is_left_alone(documents: Path, tmp_path: Path) -> None:
    index = tmp_path / "index"
    update(documents, index)
    before = {file: file.stat().st_mtime_ns for file in index.rglob("*")}
    assert update(documents, index).chunks == 2
    assert {file: file.stat().st_mtime_ns for file in index.rglob("*")} == before


def test_where_every_file_is_left_out_the_reasons_are_told(tmp_path: Path) -> None:
    documents = tmp_path / "docs"
    documents.mkdir()
    (documents / "rows.jsonl").write_text('{"body": "no column text"}\n')
    with pytest.raises(
        InputError, match=r"no documents with text.*rows.jsonl, line 1: a string 'text' is"
    ):
        update(documents, tmp_path / "index")
