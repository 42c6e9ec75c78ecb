"""Folders and files become a reranking task, or the mistake is named."""

import gzip
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from crossrank.errors import InputError
from crossrank.evaluation.coverage import Coverage
from crossrank.evaluation.evaluation_set import EvaluationSet
from crossrank.evaluation.trec import write_run

TASK = EvaluationSet(
    queries={"q": "a query", "r": "another"},
    documents={"d": "a text", "e": "a second", "f": "a third"},
    qrels={"q": {"d": 1, "f": 0}, "r": {"e": 2}},
    candidates={"q": {"e": 2.0, "d": 1.0}, "r": {"f": 0.5}},
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    TASK.write(tmp_path / "collection")
    return tmp_path / "collection"


def test_a_folder_comes_back_exactly(folder: Path) -> None:
    found = EvaluationSet.read(folder)
    assert found.coverage == Coverage(unjudged=2, top=3)
    assert (found.queries, found.documents) == (TASK.queries, TASK.documents)
    assert (found.qrels, found.candidates) == (TASK.qrels, TASK.candidates)


def test_the_folder_has_beirs_layout(folder: Path) -> None:
    assert (folder / "queries.jsonl").read_text().splitlines()[
        0
    ] == '{"_id": "q", "text": "a query"}'
    assert (
        (folder / "qrels/test.tsv").read_text().startswith("query-id\tcorpus-id\tscore\nq\td\t1\n")
    )


def test_compressed_files_are_found(folder: Path) -> None:
    for file in [file for file in folder.rglob("*") if file.is_file()]:
        file.with_name(f"{file.name}.gz").write_bytes(gzip.compress(file.read_bytes()))
        file.unlink()
    assert EvaluationSet.read(folder).candidates == TASK.candidates


def test_a_split(folder: Path) -> None:
    (folder / "qrels/dev.tsv").write_text("query-id\tcorpus-id\tscore\nr\td\t1\n")
    assert EvaluationSet.read(folder, split="dev").qrels == {"r": {"d": 1}}
    with pytest.raises(
        InputError, match=r"qrels/train\.tsv is required; in qrels there are dev\.tsv, t"
    ):
        EvaluationSet.read(folder, split="train")


def test_another_run_of_any_kind(folder: Path, tmp_path: Path) -> None:
    run = {"q": {"f": 3.0, "d": 2.0, "e": 1.0}, "unjudged": {"nothing": 1.0}}
    write_run(tmp_path / "mine.jsonl.gz", run)
    found = EvaluationSet.read(folder, depth=2, run=tmp_path / "mine.jsonl.gz")
    assert found.candidates == {"q": {"f": 3.0, "d": 2.0}}
    assert found.coverage == Coverage(unjudged_queries=1, missing_queries=1, unjudged=1, top=3)


def test_without_a_run_there_is_a_search(folder: Path) -> None:
    def search(queries: dict[str, str], documents: dict[str, str], depth: int) -> dict:
        assert (set(documents), depth) == ({"d", "e", "f"}, 7)
        return {query: {"d": float(len(text))} for query, text in queries.items()}

    # The folder's own run goes first.
    assert EvaluationSet.read(folder, depth=7, search=search).candidates == TASK.candidates
    (folder / "run.txt").unlink()
    found = EvaluationSet.read(folder, depth=7, search=search)
    assert found.candidates == {"q": {"d": 7.0}, "r": {"d": 7.0}}
    with pytest.raises(InputError, match=r"runs/bm25\.txt or run\.txt is required"):
        EvaluationSet.read(folder)


def test_files_of_any_kind(tmp_path: Path) -> None:
    names = ("topics", "corpus.tsv", "qrels", "run")
    contents = (
        "<top><num>Number: 1 <title>a query</top>",
        "d\ta text\ne\ta second\n",
        "1 0 d 1\n",
        "1 Q0 e 1 2.5 t\n",
    )
    files = [tmp_path / name for name in names]
    for file, content in zip(files, contents, strict=True):
        file.write_text(content)
    assert EvaluationSet.read_files(*files).pairs() == [("a query", "a second")]
    with pytest.raises(InputError, match=r"A first stage's run, or a search to make one"):
        EvaluationSet.read_files(*files[:3], None)


def put(name: str, content: str) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_text(content)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (put("run.txt", "q Q0 x 1 3.0 t"), r"run\.txt: the document 'x' is not in corpus\.jsonl"),
        (put("queries.jsonl", ""), r"run\.txt: the query 'q' is not in queries\.jsonl"),
        (put("run.txt", "x Q0 d 1 3.0 t"), r"run\.txt: .* one of the 2 judged queries is required"),
        (put("run.txt", ""), r"run\.txt: .*none of its 0 queries"),
        (put("qrels/test.tsv", ""), r"test\.tsv: at least one judgement is required"),
        (put("run.txt", "q Q0 d 1 nan t"), r"run\.txt, line 1: a line must read"),
        (put("run.txt", "q Q0 d 1 2 t\nq Q0 d 2 1 t"), r"run\.txt, line 2: 'd' was there before"),
        (lambda folder: (folder / "corpus.jsonl").unlink(), r"corpus\.jsonl is required"),
        (shutil.rmtree, "A collection is a folder, and .*collection is none"),
    ],
)
def test_a_mistake_is_named(folder: Path, change: Callable[[Path], object], message: str) -> None:
    change(folder)
    with pytest.raises(InputError, match=message):
        EvaluationSet.read(folder)


def test_without_misses_only_candidates_are_judged() -> None:
    found = TASK.without_misses()
    assert found.qrels == {"q": {"d": 1}}
    assert (found.candidates, found.pairs()) == (TASK.candidates, TASK.pairs())


def test_a_real_folder(crossrank_data: Path) -> None:
    task = EvaluationSet.read(crossrank_data / "trec-dl" / "dl19", depth=100)
    assert len(task.pairs()) == 4300
    assert task.coverage is not None
    assert (task.coverage.missing_queries, task.coverage.unjudged_queries) == (0, 0)
    with pytest.raises(InputError, match=r"runs/bm25\.txt or run\.txt is required"):
        EvaluationSet.read(crossrank_data / "scifact")
