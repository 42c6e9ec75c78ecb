"""``crossrank evaluate``: what reranking gains, by hand; files that are written whole."""

import json
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.cli.commands import interrupt, start
from typer.testing import Result

from crossrank.demo.collection import FOLDER as DEMO
from crossrank.evaluation.evaluation_set import EvaluationSet
from crossrank.evaluation.trec import read_run, write_qrels, write_run
from crossrank.types import Run

pytest.importorskip("ir_measures", reason="needs the extra evaluation")
pytest.importorskip("scipy", reason="needs the extra evaluation")

Invoke = Callable[..., Result]

DOCUMENTS = {"good": "w1 w2", "half": "w1 w3", "bad": "w4 w5", "far": "w1 w2"}
"""The model prefers good to half to bad; nobody finds far, but that it is relevant."""

QUERIES = {f"q{number}": "w1 w2" for number in range(1, 9)}
RUN: Run = {query: {"bad": 3.0, "half": 2.0, "good": 1.0} for query in QUERIES}


@pytest.fixture
def collection(tmp_path: Path) -> Path:
    folder = tmp_path / "collection"
    qrels = {query: {"good": 1, "far": 1} for query in QUERIES}
    EvaluationSet(QUERIES, DOCUMENTS, qrels, RUN).write(folder)
    return folder


def rows(out: str, first: str) -> list[list[str]]:
    """The words of the lines that begin so."""
    return [line.split() for line in out.splitlines() if line.split()[:1] == [first]]


def test_with_and_without_misses(invoke: Invoke, model: list[str], collection: Path) -> None:
    result = invoke("evaluate", collection, *model, "--measure", "RR", "--measure", "R@3")
    assert result.exit_code == 0, result.stderr
    # The good document goes from the third rank to the first; of two relevant ones, one is found.
    for counted, recall in zip(rows(result.stdout, "RR"), rows(result.stdout, "R@3"), strict=True):
        assert counted[1:7] == ["0.3333", "[0.333,", "0.333]", "1.0000", "[1.000,", "1.000]"]
        # All eight won: p = 2/256 about, doubled for two measures.
        assert counted[7:10] == ["+0.6667", "[+0.667,", "+0.667]"]
        assert float(counted[10]) == pytest.approx(4 / 256, abs=0.004)
        assert counted[11:] == ["+inf", "8", "0"]
        assert recall[10:] == ["1.0000", "+0.00", "0", "0"]
    assert [row[1] for row in rows(result.stdout, "R@3")] == ["0.5000", "1.0000"]
    assert "Judged documents without a text" not in result.stdout
    assert "judged queries: 8; documents: 4; candidates a query: 3." in result.stdout
    assert "24 pairs of 8 queries in " in result.stdout
    assert "0 of 24 pairs (0.0 %) were longer than the 16 tokens" in result.stdout


def test_queries_without_a_found_document_are_left_out(
    invoke: Invoke, model: list[str], collection: Path
) -> None:
    write_run(collection / "run.txt", RUN | {"q1": {"bad": 1.0}, "q2": {"half": 1.0}})
    result = invoke("evaluate", collection, *model, "--measure", "RR")
    assert "users of both stages get (8 queries)" in result.stdout
    assert "makes of its candidates (6 queries)" in result.stdout
    assert [row[4] for row in rows(result.stdout, "RR")] == ["0.7500", "1.0000"]


def test_where_nothing_relevant_is_found(
    invoke: Invoke, model: list[str], collection: Path
) -> None:
    write_run(collection / "run.txt", {query: {"bad": 1.0} for query in QUERIES})
    result = invoke("evaluate", collection, *model, "--measure", "RR")
    assert result.exit_code == 0, result.stderr
    assert [row[4] for row in rows(result.stdout, "RR")] == ["0.0000"]


def test_what_is_not_reranked_stays_below(
    invoke: Invoke, model: list[str], collection: Path, tmp_path: Path
) -> None:
    out = tmp_path / "reranked.txt.gz"
    result = invoke(
        *("evaluate", collection, *model, "--measure", "RR", "--depth", "2", "--run", out)
    )
    assert [row[4] for row in rows(result.stdout, "RR")] == ["0.3333"]  # good is third still
    assert f"Written to {out}." in result.stderr
    assert out.read_bytes()[:2] == b"\x1f\x8b"
    # Of half and its [SEP], the query has w1 and [SEP] too; the rest goes down in steps of 1.
    expected = {"half": pytest.approx(2 / 3), "bad": pytest.approx(1 / 3)}
    for scores in read_run(out).values():
        assert scores == expected | {"good": pytest.approx(1 / 3 - 1)}
    assert [path.name for path in tmp_path.glob("*partial*")] == []


def test_a_run_that_cannot_be_written_fails_before_the_model_works(
    invoke: Invoke, model: list[str], collection: Path, tmp_path: Path
) -> None:
    (collection / "run.txt").unlink()
    with (collection / "corpus.jsonl").open("a") as corpus:
        corpus.write('{"_id": "far off", "text": "w1 w2"}\n')
    out, page = tmp_path / "reranked.txt", tmp_path / "page.html"
    result = invoke("evaluate", collection, *model, "--run", out, "--report", page)
    assert result.exit_code == 1
    assert "the id must be one word, received 'far off'" in result.stderr
    assert "pairs of 8 queries" not in result.stdout
    assert sorted(path.name for path in tmp_path.iterdir()) == ["collection"]
    result = invoke("evaluate", collection, *model, "--run", out.with_suffix(".jsonl"))
    assert result.exit_code == 0, result.stderr
    assert set(read_run(out.with_suffix(".jsonl"))["q1"]) == {"good", "half", "far", "far off"}


def test_files_are_written_when_nobody_reads(
    model: list[str], collection: Path, tmp_path: Path
) -> None:
    files = [tmp_path / name for name in ("page.html", "page.json", "run.txt")]
    options = zip(("--report", "--json", "--run"), files, strict=True)
    process = start("evaluate", collection, *model, *(part for pair in options for part in pair))
    assert process.stdout is not None
    process.stdout.close()  # as of | true
    _, errors = process.communicate(timeout=100)
    assert (process.returncode, b"Error" in errors) == (0, False)
    assert [file for file in files if not file.is_file()] == []


def test_what_was_measured_is_told_when_it_cannot_be_written(
    invoke: Invoke, model: list[str], collection: Path
) -> None:
    result = invoke("evaluate", collection, *model, "--measure", "RR", "--report", "/proc/a.html")
    assert (result.exit_code, "Error: " in result.stderr) == (1, True)
    assert [row[4] for row in rows(result.stdout, "RR")] == ["1.0000", "1.0000"]


def test_depths(invoke: Invoke, model: list[str], collection: Path) -> None:
    result = invoke("evaluate", collection, *model, "--measure", "RR", "--depth", "3,1,2")
    table = {
        row[0]: row
        for row in map(str.split, result.stdout.splitlines())
        if row[:1] and row[0] in ("0", "1", "2", "3") and "[" in "".join(row)
    }
    assert table["0"][1:3] == ["0", "0.3333"]
    assert table["1"][1:3] == ["8", "0.3333"]
    assert table["2"][1:3] == ["16", "0.3333"]
    assert table["3"][1:6] == ["24", "1.0000", "[1.000,", "1.000]", "✓"]
    assert "Reranker alone: rerank 3, the best depth; 2 loses +0.6667" not in result.stdout
    assert "Reranker alone: rerank 3, the best depth; 2 loses 0.6667" in result.stdout


def test_one_depth_is_no_sweep(invoke: Invoke, model: list[str], collection: Path) -> None:
    result = invoke("evaluate", collection, *model, "--depth", "3")
    assert "recommended" not in result.stdout


def test_a_page_that_cannot_be_drawn_is_said_before_the_work(
    invoke: Invoke, collection: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setattr("crossrank.cli.options.load_model", pytest.fail)  # then it is too late
    for command in (["evaluate"], ["calibrate", "--out", tmp_path / "calibrated"]):
        result = invoke(*command, collection, "--report", tmp_path / "page.html")
        assert result.exit_code == 1
        assert 'pip install "crossrank[evaluation]"' in result.stderr


def test_reports(invoke: Invoke, model: list[str], collection: Path, tmp_path: Path) -> None:
    pytest.importorskip("jinja2", reason="needs the extra evaluation")
    pytest.importorskip("matplotlib", reason="needs the extra evaluation")
    page, machine = tmp_path / "page.html", tmp_path / "page.json"
    command = [
        *("evaluate", collection, *model, "--measure", "RR", "--depth", "1,3"),
        *("--report", page, "--json", machine),
    ]
    result = invoke(*command)
    assert result.stderr == f"Written to {page}.\nWritten to {machine}.\n"
    assert page.read_text(encoding="utf-8").count("<figure>") == 3
    found = json.loads(machine.read_text())
    assert found["title"] == "Evaluation of constant on collection"
    sections = found["sections"]
    assert list(sections) == ["reranking", "depth", "speed", "data", "queries"]
    gain = sections["reranking"]["counted"]["measures"]["RR"]
    assert (gain["first_stage"]["mean"], gain["reranked"]["mean"]) == pytest.approx((1 / 3, 1))
    assert (gain["wins"], gain["effect_size"]) == (8, None)
    assert sections["depth"]["curves"]["reranker alone"]["recommended"] == 3
    assert sections["speed"]["pairs"] == 24
    assert sections["speed"]["seconds"] > 0
    assert [len(times) for times in sections["speed"]["alone"].values()] == [8, 8]
    assert sections["queries"]["q1"] == {
        "first_stage": {"RR": pytest.approx(1 / 3)},
        "reranked": {"RR": 1.0},
    }
    before = page.read_bytes(), machine.read_bytes()
    result = invoke(*command)
    assert result.exit_code == 1
    assert f"{page} exists already. Use --overwrite" in result.stderr
    assert (page.read_bytes(), machine.read_bytes()) == before
    assert invoke(*command, "--overwrite").exit_code == 0


def test_scores_from_a_cache_are_not_timed(
    invoke: Invoke, model: list[str], collection: Path, tmp_path: Path
) -> None:
    command = ["evaluate", collection, *model, "--cache", tmp_path / "cache.db", "--depth", "1,3"]
    first, second = invoke(*command), invoke(*command)
    assert "Not timed: scores may come from the cache." in second.stdout
    assert "by itself" not in second.stdout
    assert first.stdout == second.stdout


def test_bm25_where_there_is_no_run(invoke: Invoke, model: list[str], collection: Path) -> None:
    (collection / "run.txt").unlink()
    result = invoke("evaluate", collection, *model, "--measure", "RR")
    assert result.stderr == f"{collection} has no run: BM25 searches 4 documents ...\n"
    assert rows(result.stdout, "RR")[0][1] == "1.0000"


def test_another_first_stage(
    invoke: Invoke, model: list[str], collection: Path, tmp_path: Path
) -> None:
    file = tmp_path / "mine.txt"
    write_run(file, {query: {"half": 2.0, "far": 1.0} for query in [*QUERIES, "unjudged"]})
    result = invoke("evaluate", collection, *model, "--first-stage", file, "--measure", "RR")
    assert rows(result.stdout, "RR")[0][1:5:3] == ["0.5000", "1.0000"]
    assert "1 queries of the run have no judgements" in result.stderr
    assert "Queries of the run without judgements (not measured): 1" in result.stdout


def test_a_run_is_measured_as_it_is(invoke: Invoke, collection: Path, tmp_path: Path) -> None:
    write_run(collection / "run.txt", {query: RUN[query] for query in list(QUERIES)[:6]})
    machine = tmp_path / "found.json"
    qrels, run = collection / "qrels" / "test.tsv", collection / "run.txt"
    result = invoke("evaluate", qrels, run, "--measure", "RR", "--json", machine)
    assert result.exit_code == 0, result.stderr
    assert rows(result.stdout, "RR")[0][1] == "0.2500"  # 6 thirds of 8
    assert "Judged queries that are not in the run (each counts as 0): 2" in result.stdout
    sections = json.loads(machine.read_text())["sections"]
    assert sections["measures"]["means"]["RR"]["mean"] == pytest.approx(0.25)
    assert sections["measures"]["values"]["q8"] == {"RR": 0.0}
    assert sections["data"]["missing_queries"] == 2


def test_measures_of_any_kind(invoke: Invoke, collection: Path) -> None:
    qrels, run = collection / "qrels" / "test.tsv", collection / "run.txt"
    result = invoke("evaluate", qrels, run, "--measure", "P(rel=1)@3", "--measure", "Success@3")
    assert rows(result.stdout, "P(rel=1)@3")[0][1] == "0.3333"
    assert rows(result.stdout, "Success@3")[0][1] == "1.0000"


def test_bm25_on_a_trec_collection(invoke: Invoke, crossrank_data: Path) -> None:
    home = crossrank_data / "trec-dl" / "dl21"
    result = invoke("evaluate", home / "qrels.txt", home / "runs" / "bm25.txt")
    assert rows(result.stdout, "nDCG@10")[0][1] == "0.4458"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--depth", "ten"], "--depth must be whole numbers from 1"),
        (["--depth", "10,0"], "--depth must be whole numbers from 1"),
        (["--measure", "bogus"], "bogus"),
        (["--report", "nowhere/page.html"], "The folder nowhere does not exist."),
        (["--precision", "int9"], "int9"),
    ],
)
def test_bad_usage(
    invoke: Invoke, model: list[str], collection: Path, options: list[str], message: str
) -> None:
    result = invoke("evaluate", collection, *model, *options)
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.replace("│", " ").split())


def test_a_folder_or_two_files(invoke: Invoke, model: list[str], collection: Path) -> None:
    qrels, run = collection / "qrels" / "test.tsv", collection / "run.txt"
    for data in ([run], [collection, run], [qrels, run, run]):
        result = invoke("evaluate", *data)
        assert result.exit_code == 2
        assert "A folder, or two files QRELS RUN are required" in result.stderr
    result = invoke("evaluate", qrels, run, *model)
    assert result.exit_code == 2
    assert "--model is for a folder" in result.stderr


def test_no_judgements(invoke: Invoke, model: list[str], collection: Path) -> None:
    empty = collection / "qrels" / "test.tsv"
    write_qrels(empty, {})
    for data in ([collection, *model], [empty, collection / "run.txt"]):
        result = invoke("evaluate", *data)
        assert result.exit_code == 1
        assert f"{empty}: at least one judgement is required" in result.stderr


def test_a_model_of_two_labels_is_refused(
    invoke: Invoke, model_of_two_labels: list[str], collection: Path
) -> None:
    result = invoke("evaluate", collection, *model_of_two_labels)
    assert result.exit_code == 1
    assert "one label" in result.stderr


def test_ctrl_c(tmp_path: Path) -> None:
    cache = tmp_path / "scores.db"  # made just before scoring begins
    out = tmp_path / "page.html"
    process = start("evaluate", DEMO, "--cache", cache, "--report", out)
    assert interrupt(process, cache.exists, signal.SIGINT).endswith("Interrupted.\n")
    assert process.returncode == 130
    assert not out.exists()
