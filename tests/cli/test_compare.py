"""``crossrank compare``, and the collections that commands open."""

import gzip
import json
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.cli.commands import interrupt, start
from typer.testing import Result

from crossrank.cli.collections import open_collection, score_collection
from crossrank.cross_encoder import CrossEncoder
from crossrank.demo.collection import FOLDER as DEMO
from crossrank.errors import InputError
from crossrank.evaluation.coverage import Coverage
from crossrank.evaluation.evaluation_set import EvaluationSet
from crossrank.evaluation.report import Report
from crossrank.evaluation.trec import write_qrels, write_run
from crossrank.types import Run

pytest.importorskip("ir_measures", reason="needs the extra evaluation")
pytest.importorskip("scipy", reason="needs the extra evaluation")

Invoke = Callable[..., Result]

DOCUMENTS = {"good": "w1 w2", "half": "w1 w3", "bad": "w4 w5"}
QUERIES = {f"q{number}": "w1 w2" for number in range(1, 9)}
QRELS = {query: {"good": 2, "half": 1} for query in QUERIES}
RUN: Run = {query: {"bad": 3.0, "half": 2.0, "good": 1.0} for query in QUERIES}


def write_texts(file: Path, texts: dict[str, str]) -> None:
    lines = [json.dumps({"_id": name, "text": text}) + "\n" for name, text in texts.items()]
    data = "".join(lines).encode()
    file.write_bytes(gzip.compress(data) if file.suffix == ".gz" else data)


@pytest.fixture
def collection(tmp_path: Path) -> Path:
    folder = tmp_path / "collection"
    folder.mkdir()
    write_texts(folder / "queries.jsonl", QUERIES)
    write_texts(folder / "corpus.jsonl", DOCUMENTS)
    write_qrels(folder / "qrels.txt", QRELS)
    write_run(folder / "run.txt", RUN)
    return folder


@pytest.fixture
def other(collection: Path) -> Path:
    """A run that is better than the collection's, worse than the model's, and misses a query."""
    file = collection.parent / "other.run.gz"
    ranking = {"half": 3.0, "good": 2.0, "bad": 1.0}
    write_run(file, {query: ranking for query in QUERIES if query != "q8"})
    return file


def cells(out: str, row: str) -> list[str]:
    """The words of the first line that begins so."""
    return next(line.split() for line in out.splitlines() if line.strip().startswith(row))


def test_a_model_beside_runs(
    invoke: Invoke, model: list[str], collection: Path, other: Path
) -> None:
    result = invoke(
        *("compare", collection, "first-stage", other, model[1], *model[2:]),
        *("--measure", "RR", "--measure", "P(rel=2)@1", "--show", "1"),
    )
    assert result.exit_code == 0, result.stderr
    # Something relevant is second; first, but for q8 without an answer; first. The good document
    # is last; second; first.
    first, second, third = (
        cells(result.stdout, name) for name in ("1 first-stage", "2 other.run.gz", "3 constant")
    )
    assert first[2:8] == ["0.5000", "[0.500,", "0.500]", "0.0000", "[0.000,", "0.000]"]
    assert first[8:] == ["8", "of", "8", "3"]
    assert (second[2], second[5:8]) == ("0.8750", ["0.0000", "[0.000,", "0.000]"])
    assert second[8:] == ["7", "of", "8", "3"]
    # All eight queries are won: p = 2/256, and four times that at most after correction.
    assert third[2:10] == ["1.0000", "[1.000,", "1.000]", "▲1", "1.0000", "[1.000,", "1.000]", "▲1"]
    assert "2 other.run.gz: 1 judged queries have no answer." in result.stdout
    assert "q8: w1 w2" in result.stdout
    assert "(no answer)" in result.stdout
    assert result.stderr == ""


def test_every_pair(invoke: Invoke, model: list[str], collection: Path, other: Path) -> None:
    result = invoke(
        *("compare", collection, "first-stage", other, model[1], *model[2:]),
        *("--measure", "P(rel=2)@1", "--all-pairs", "--show", "0"),
    )
    assert "▲1 ▲2" in result.stdout
    assert "correction for 3 comparisons" in result.stdout
    assert "q1:" not in result.stdout


def test_the_model_reranks_no_deeper_than_told(
    invoke: Invoke, model: list[str], collection: Path
) -> None:
    # Of bad and half, half comes first; good is not reached.
    options = ["--measure", "P(rel=1)@1", "--measure", "P(rel=2)@1", "--depth", "2"]
    result = invoke("compare", collection, "first-stage", model[1], *model[2:], *options)
    found = cells(result.stdout, "2 constant")
    assert (found[2], found[6]) == ("1.0000", "0.0000")


def test_another_first_stage(
    invoke: Invoke, model: list[str], collection: Path, tmp_path: Path
) -> None:
    file = tmp_path / "mine.run"
    write_run(file, {query: {"good": 1.0} for query in [*QUERIES, "unjudged"]})
    result = invoke(
        *("compare", collection, "first-stage", "run.txt", "--first-stage", file, "--show", "0"),
        *("--measure", "P@1"),
        *model[2:],
    )
    assert result.exit_code == 1
    assert result.stderr == "Error: There is no run file run.txt.\n"
    run = collection / "run.txt"
    result = invoke(
        *("compare", collection, run, "first-stage", "--first-stage", file, "--show", "0"),
        *("--measure", "P@1"),
    )
    assert "Note: 1 queries of the run have no judgements and are left out." in result.stderr
    assert cells(result.stdout, "2 first-stage")[2:6] == ["1.0000", "[1.000,", "1.000]", "▲1"]


def test_bm25_where_there_is_no_run(invoke: Invoke, model: list[str], collection: Path) -> None:
    (collection / "run.txt").unlink()
    result = invoke("compare", collection, "first-stage", model[1], *model[2:], "--measure", "P@1")
    assert result.exit_code == 0
    assert result.stderr == f"{collection} has no run: BM25 searches 3 documents ...\n"
    assert cells(result.stdout, "1 first-stage")[2] == "1.0000"


def test_says_what_was_cut(invoke: Invoke, model: list[str], collection: Path) -> None:
    # A pair has 16 tokens at most.
    write_texts(collection / "corpus.jsonl", DOCUMENTS | {"bad": "w4 " * 20})
    result = invoke("compare", collection, "first-stage", model[1], *model[2:])
    assert result.stderr == "Note: constant did not read 8 of 24 pairs to their end.\n"


def test_reports_are_written_with_all_sections(
    invoke: Invoke, collection: Path, other: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    written: dict[Path, Report] = {}
    for name in ("write_html", "write_json"):
        monkeypatch.setattr(
            f"crossrank.evaluation.report.{name}",
            lambda report, path: written.update({path: report}),
            raising=False,
        )
    page, machine = tmp_path / "page.html", tmp_path / "page.json"
    command = ["compare", collection, "first-stage", other, "--report", page, "--json", machine]
    result = invoke(*command)
    assert result.stderr == f"Written to {page}.\nWritten to {machine}.\n"
    assert written[page] is written[machine]
    assert written[page].title == "first-stage, other.run.gz on collection"
    data = {name: section.data for name, section in written[page].sections.items()}
    assert list(data) == ["comparison", "queries"]
    systems = json.loads(json.dumps(data, allow_nan=False))["comparison"]["systems"]
    assert [system["unanswered"] for system in systems] == [0, 1]
    page.write_text("mine")
    result = invoke(*command)
    assert result.exit_code == 1
    assert "exists already. Use --overwrite" in result.stderr
    assert invoke(*command, "--overwrite").exit_code == 0


def test_the_page_is_written_when_nobody_reads(
    model: list[str], collection: Path, tmp_path: Path
) -> None:
    page = tmp_path / "page.html"
    process = start("compare", collection, "first-stage", model[1], *model[2:], "--report", page)
    assert process.stdout is not None
    process.stdout.close()  # as of | true
    process.communicate(timeout=100)
    assert (process.returncode, page.is_file()) == (0, True)


def test_what_was_measured_is_told_when_it_cannot_be_written(
    invoke: Invoke, collection: Path, other: Path
) -> None:
    result = invoke("compare", collection, "first-stage", other, "--report", "/proc/page.html")
    assert (result.exit_code, "Error: " in result.stderr) == (1, True)
    assert "other.run.gz" in result.stdout


def test_names_that_tell_systems_apart(invoke: Invoke, collection: Path, tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    second = tmp_path / "b" / "run.txt"
    write_run(second, RUN)
    result = invoke("compare", collection, collection / "run.txt", second)
    assert "1 collection/run.txt " in result.stdout
    assert "2 b/run.txt " in result.stdout


def test_twice_the_same_is_refused(invoke: Invoke, collection: Path) -> None:
    file = collection / "run.txt"
    again = collection / ".." / "collection" / "run.txt"
    result = invoke("compare", collection, file, again)
    assert result.exit_code == 2
    assert "Different systems are required" in result.stderr


def test_one_system_is_too_few(invoke: Invoke, collection: Path) -> None:
    result = invoke("compare", collection, "default")
    assert result.exit_code == 2
    assert "Two or more systems are required, received 'default' only." in " ".join(
        result.stderr.replace("│", " ").split()
    )


@pytest.mark.parametrize("measure", ["bogus", "nDCG@ten"])
def test_an_unknown_measure_is_bad_usage(invoke: Invoke, collection: Path, measure: str) -> None:
    result = invoke("compare", collection, "default", "first-stage", "--measure", measure)
    assert result.exit_code == 2
    assert measure in result.stderr


def test_what_is_not_there(invoke: Invoke, collection: Path, tmp_path: Path) -> None:
    assert invoke("compare", tmp_path / "nothing", "default", "first-stage").exit_code == 2
    result = invoke("compare", collection, "first-stage", tmp_path / "no-model")
    assert result.exit_code == 1
    assert "no-model" in result.stderr
    (collection / "qrels.txt").unlink()
    result = invoke("compare", collection, "default", "first-stage")
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: qrels.txt or ")


def test_a_run_over_another_collection(invoke: Invoke, collection: Path, tmp_path: Path) -> None:
    file = tmp_path / "far.run"
    write_run(file, {"x1": {"good": 1.0}, "x2": {"good": 1.0}})
    result = invoke("compare", collection, "default", file)
    assert result.exit_code == 1
    assert "none of its 2 queries is among the 8 judged ones" in result.stderr


def test_a_malformed_run_is_named_by_its_line(
    invoke: Invoke, collection: Path, tmp_path: Path
) -> None:
    file = tmp_path / "bad.run"
    file.write_text("q1 Q0 good 1 2.0 tag\nq1 Q0 half 2 nan tag\n")
    result = invoke("compare", collection, "default", file)
    assert result.exit_code == 1
    assert f"Error: {file}, line 2: " in result.stderr


def test_a_model_of_two_labels_is_refused(
    invoke: Invoke, model_of_two_labels: list[str], collection: Path
) -> None:
    name, *options = model_of_two_labels[1:]
    result = invoke("compare", collection, "first-stage", name, *options)
    assert result.exit_code == 1
    assert "A model with one label is required" in result.stderr


def test_ctrl_c(tmp_path: Path) -> None:
    cache = tmp_path / "scores.db"  # made just before scoring begins
    process = start("compare", DEMO, "first-stage", "default", "--cache", cache)
    assert interrupt(process, cache.exists, signal.SIGINT).endswith("Interrupted.\n")
    assert process.returncode == 130


def test_collections_may_be_compressed_and_in_beir_layout(
    collection: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plain = open_collection(collection, 3)
    found = Coverage(unjudged=8, top=24)  # the bad document of each query
    assert plain == EvaluationSet(QUERIES, DOCUMENTS, QRELS, RUN, found)
    assert open_collection(collection, 2).candidates["q1"] == {"bad": 3.0, "half": 2.0}
    for name, texts in (("queries.jsonl", QUERIES), ("corpus.jsonl", DOCUMENTS)):
        (collection / name).unlink()
        write_texts(collection / f"{name}.gz", texts)
    (collection / "qrels.txt").unlink()
    (collection / "qrels").mkdir()
    rows = [f"{q}\t{d}\t{grade}\n" for q, grades in QRELS.items() for d, grade in grades.items()]
    (collection / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\n" + "".join(rows))
    assert open_collection(collection, 3) == plain
    assert capsys.readouterr().err == ""


def test_only_judged_queries_are_searched(collection: Path) -> None:
    write_texts(collection / "queries.jsonl", QUERIES | {"unjudged": "w1"})
    (collection / "run.txt").unlink()
    assert open_collection(collection, 1).candidates.keys() == QUERIES.keys()


def test_a_collection_is_a_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="A collection is a folder"):
        open_collection(tmp_path / "nothing")


def test_scores_are_logits(collection: Path, model: list[str]) -> None:
    task = open_collection(collection)
    encoder = CrossEncoder(model[1], backend="constant", activation_fn="sigmoid")  # type: ignore[arg-type]
    run, seconds, truncated = score_collection(encoder, task, show_progress=False)
    assert run == {q: pytest.approx({"bad": 1 / 3, "half": 2 / 3, "good": 1.0}) for q in QUERIES}
    assert list(run["q1"]) == list(RUN["q1"])
    assert seconds > 0
    assert truncated == 0
