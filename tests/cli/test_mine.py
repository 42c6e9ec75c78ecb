"""``crossrank mine``: formats, mistakes, and continuing after an interruption."""

import gzip
import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import pytest
from tests.cli.commands import interrupt, run, start
from typer.testing import Result

from crossrank.cli.journal import Journal
from crossrank.cli.mine import LayoutChoice, RetrieverChoice, SamplingChoice

pytest.importorskip("bm25s", reason="needs the extra demo")

from crossrank.retrieval.on_disk import RetrieverName
from crossrank.training.negatives import Layout
from crossrank.training.selection import Sampling

Invoke = Callable[..., Result]

PAIRS = [("red fruit", "a red apple"), ("yellow fruit", "a yellow banana")]
DOCUMENTS = ["a red car", "blue sky", "a red apple", "red yellow paint"]
EXPECTED = [
    {"query": "red fruit", "documents": ["a red apple", "a red car"], "labels": [1, 0]},
    {
        "query": "yellow fruit",
        "documents": ["a yellow banana", "red yellow paint"],
        "labels": [1, 0],
    },
]


def write_jsonl(path: Path) -> None:
    rows = [json.dumps({"query": query, "positive": text}) for query, text in PAIRS]
    path.write_text("\n".join(rows) + "\n")


def write_parquet(path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow", reason="reads Parquet")
    parquet = pytest.importorskip("pyarrow.parquet", reason="reads Parquet")
    columns = dict(zip(("query", "positive"), map(list, zip(*PAIRS, strict=True)), strict=True))
    parquet.write_table(pyarrow.table(columns), path)


def table(separator: str) -> str:
    rows = [("query", "positive"), *PAIRS]
    return "".join(separator.join(row) + "\n" for row in rows)


WRITERS: dict[str, Callable[[Path], object]] = {
    "pairs.jsonl": write_jsonl,
    "pairs.csv": lambda path: path.write_text(table(",")),
    "pairs.tsv": lambda path: path.write_text(table("\t")),
    "pairs.tsv.gz": lambda path: path.write_bytes(gzip.compress(table("\t").encode())),
    "pairs.parquet": write_parquet,
}


@pytest.fixture
def documents(tmp_path: Path) -> Path:
    file = tmp_path / "documents.csv"
    file.write_text("id,text\n" + "".join(f"{n},{text}\n" for n, text in enumerate(DOCUMENTS)))
    return file


def rows_of(file: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


@pytest.mark.parametrize("name", WRITERS)
def test_every_format(invoke: Invoke, tmp_path: Path, documents: Path, name: str) -> None:
    WRITERS[name](tmp_path / name)
    out = tmp_path / "out.jsonl"
    result = invoke("mine", tmp_path / name, "-o", out, "--documents", documents, "-n", "1")
    assert result.exit_code == 0, result.stderr
    assert rows_of(out) == EXPECTED
    assert f"2 of 2 pairs have negatives: {out}" in result.stderr
    assert {path.name for path in tmp_path.iterdir()} == {name, "documents.csv", "out.jsonl"}


def test_nothing_that_is_read_or_there_is_lost(
    invoke: Invoke, tmp_path: Path, documents: Path
) -> None:
    pairs = tmp_path / "pairs.jsonl"
    write_jsonl(pairs)
    before = pairs.read_bytes()
    result = invoke("mine", pairs, "-o", pairs, "--overwrite")
    assert (result.exit_code, pairs.read_bytes()) == (2, before)
    assert "Input and output must be two files" in result.stderr
    texts = documents.rename(tmp_path / "texts.csv")
    (tmp_path / "texts.jsonl").symlink_to(texts)
    result = invoke(
        *("mine", pairs, "-o", tmp_path / "texts.jsonl", "--documents", texts, "--overwrite")
    )
    assert (result.exit_code, texts.read_text()[:7]) == (2, "id,text")
    (tmp_path / "out.jsonl.index").mkdir()
    (tmp_path / "out.jsonl.index/mine.txt").write_text("precious")
    result = invoke("mine", pairs, "-o", tmp_path / "out.jsonl", "--documents", texts)
    assert result.exit_code == 2
    assert "would be deleted at the end" in " ".join(result.stderr.split())
    assert (tmp_path / "out.jsonl.index/mine.txt").read_text() == "precious"


def test_every_option(invoke: Invoke, tmp_path: Path, documents: Path) -> None:
    write_jsonl(tmp_path / "pairs.jsonl")
    out, index = tmp_path / "out.jsonl", tmp_path / "index"
    command = ["mine", tmp_path / "pairs.jsonl", "-o", out, "--documents", documents]
    options = ["--range-min", "1", "--range-max", "3", "--layout", "n-tuple", "--index", index]
    limits = ["--absolute-margin", "0", "--sampling", "random", "--seed", "5", "-n", "1"]
    result = invoke(*command, *options, *limits)
    assert result.exit_code == 0, result.stderr
    assert rows_of(out) == [
        {"query": "red fruit", "positive": "a red apple", "negative_1": "red yellow paint"}
    ]
    assert "1 of 2 pairs have negatives" in result.stderr
    assert index.is_dir()
    assert invoke(*command, *options, *limits).exit_code == 1  # out is there
    again = invoke(*command, *options, *limits, "--overwrite")
    assert again.exit_code == 0
    assert "Indexing" not in again.stderr


def test_a_cross_encoder_decides(
    invoke: Invoke, tmp_path: Path, documents: Path, model: list[str]
) -> None:
    """The embedded one here: any that can be loaded will do."""
    write_jsonl(tmp_path / "pairs.jsonl")
    out = tmp_path / "out.jsonl"
    command = ["mine", tmp_path / "pairs.jsonl", "-o", out, "--documents", documents, "-n", "1"]
    judged = [*command, "--cross-encoder", "default"]
    refused = invoke(*judged)
    assert refused.exit_code == 1
    assert "add e.g. relative_margin" in refused.stderr
    assert invoke(*judged, "--max-score", "1").exit_code == 0
    assert rows_of(out) == EXPECTED
    assert invoke(*judged, "--min-score", "1", "--overwrite").exit_code == 0
    assert rows_of(out) == []


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (["--retriever", "dense"], 2, "needs a bi-encoder"),
        (["--retriever", "elastic"], 2, "elastic"),
        (["--range-max", "2"], 2, "raise range_max"),
        (["--out", "out.csv"], 2, "A name that ends in .jsonl is required"),
        (["--out", "no-such-folder/out.jsonl"], 2, "does not exist"),
        (["--documents", "pairs.jsonl"], 1, "line 1: a field 'text' is required"),
        (["--positive-field", "document"], 1, "line 1: a field 'document' is required"),
    ],
)
def test_mistakes(
    invoke: Invoke,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: list[str],
    code: int,
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    write_jsonl(tmp_path / "pairs.jsonl")
    result = invoke("mine", "pairs.jsonl", "-o", "out.jsonl", *options)
    assert result.exit_code == code
    assert said in result.stderr.replace("\n", " ")
    assert not (tmp_path / "out.jsonl").exists()


def test_files_without_rows(invoke: Invoke, tmp_path: Path) -> None:
    (tmp_path / "pairs.jsonl").touch()
    result = invoke("mine", tmp_path / "pairs.jsonl", "-o", tmp_path / "out.jsonl")
    assert result.exit_code == 1
    assert "At least one pair of a query and a positive is required." in result.stderr


def test_the_choices_are_those_of_the_library() -> None:
    assert set(get_args(RetrieverChoice)) == set(get_args(RetrieverName))
    assert set(get_args(LayoutChoice)) == set(get_args(Layout))
    assert set(get_args(SamplingChoice)) == set(get_args(Sampling))


COUNT = 3500


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four blocks of pairs."""
    words = ["river", "bread", "magnet", "king", "seven", "green"]
    file = tmp_path_factory.mktemp("many") / "pairs.jsonl"
    with file.open("w") as lines:
        for number in range(COUNT):
            one, two = words[number % 6], words[number % 7 % 6]
            row = {"query": f"{one} and {two} {number}", "positive": f"{two} {number % 90}"}
            lines.write(json.dumps(row) + "\n")
    return file


@pytest.fixture(scope="module")
def undisturbed(many: Path) -> bytes:
    """What is mined in one go."""
    out = many.with_name("undisturbed.jsonl")
    code, _, errors = run("mine", many, *DRAWN, "-o", out)
    assert code == 0, errors
    return out.read_bytes()


DRAWN = ["--sampling", "random", "-n", "2"]


@pytest.mark.parametrize("kind", [signal.SIGKILL, signal.SIGINT])
def test_continues_to_the_same_bytes(
    many: Path, undisturbed: bytes, tmp_path: Path, kind: signal.Signals
) -> None:
    out = tmp_path / "out.jsonl"
    process = start("mine", many, *DRAWN, "-o", out)
    said = interrupt(process, (tmp_path / "out.jsonl.progress").exists, kind)
    assert not out.exists()
    if kind == signal.SIGINT:
        assert process.returncode == 130
        assert "the same command continues from there" in said
    done = json.loads((tmp_path / "out.jsonl.progress").read_text())["rows"]
    assert 0 < done < COUNT
    code, _, errors = run("mine", many, *DRAWN, "-o", out)
    assert code == 0, errors
    assert f"Mining for {COUNT - done} pairs" in errors
    assert out.read_bytes() == undisturbed
    assert [path.name for path in tmp_path.iterdir()] == ["out.jsonl"]


def test_another_job_is_not_continued(
    invoke: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_jsonl(tmp_path / "pairs.jsonl")
    out = tmp_path / "out.jsonl"
    command = ["mine", tmp_path / "pairs.jsonl", "-o", out]
    append = Journal.append

    def interrupted(journal: Journal, chunk: bytes, *, rows: int) -> None:
        append(journal, chunk, rows=rows)
        raise KeyboardInterrupt

    monkeypatch.setattr(Journal, "append", interrupted)
    assert invoke(*command).exit_code == 130
    monkeypatch.undo()
    other = invoke(*command, "--seed", "1")
    assert other.exit_code == 1
    assert "was begun by another job; selection" in other.stderr
    anew = invoke(*command, "--seed", "1", "--restart")
    assert anew.exit_code == 0
    assert "Mining for 2 pairs" in anew.stderr
