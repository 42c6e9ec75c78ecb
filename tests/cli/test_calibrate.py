"""``crossrank calibrate``: files and collections, the split, what is saved, and what is refused."""

import csv
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tests.cli.commands import start
from tests.cli.conftest import make_model
from typer.testing import Result

from crossrank import CrossEncoder
from crossrank.demo import load
from crossrank.evaluation.trec import write_qrels, write_run
from crossrank.models.calibrations import read_calibration
from crossrank.retrieval.bm25 import BM25

pytest.importorskip("scipy", reason="needs the extra evaluation")
pytest.importorskip("matplotlib", reason="needs the extra evaluation")
pytest.importorskip("jinja2", reason="needs the extra evaluation")

Invoke = Callable[..., Result]

DOCUMENTS = {"same": "w1 w2", "half": "w1 w3", "none": "w4 w5"}
GRADES = {"same": 3, "half": 2, "none": 0}


def rows(queries: range, *, flipped: bool = False) -> list[tuple[str, str, int]]:
    """Pairs whose label mostly grows with the logit."""
    return [
        (f"w1 w2 w{query + 10}", text, int((name == "same" or query % 3 == 0) != flipped))
        for query in queries
        for name, text in DOCUMENTS.items()
        if name != "none" or query % 2
    ]


def write_csv(file: Path, entries: list[tuple[str, str, int]]) -> Path:
    with file.open("w", newline="") as out:
        csv.writer(out).writerows([("query", "document", "label"), *entries])
    return file


@pytest.fixture
def mine(tmp_path: Path) -> list[str]:
    """A model of the user's own, whose folder may be written."""
    return ["--model", str(make_model(tmp_path / "mine")), "--backend", "constant"]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return write_csv(tmp_path / "pairs.csv", rows(range(40)))


def said(result: Result) -> str:
    return " ".join(result.stderr.replace("│", " ").split())


def test_in_place(invoke: Invoke, mine: list[str], file: Path) -> None:
    result = invoke("calibrate", file, *mine, "--method", "platt")
    assert result.exit_code == 0, result.stderr
    assert result.stderr == f"The calibration for fp32 is saved in {mine[1]}.\n"
    assert "Method: platt (slope " in result.stdout
    assert "Fitted on 20 queries (" in result.stdout
    assert "judged on 20 queries (" in result.stdout
    calibration = read_calibration(Path(mine[1]), "fp32")
    assert calibration.method == "platt"
    with CrossEncoder(mine[1], backend="constant") as model:  # type: ignore[arg-type]
        assert (model.predict(("w1", "w1"), calibrated=True)) > 0.5


def test_the_same_seed_gives_the_same_bytes(invoke: Invoke, mine: list[str], file: Path) -> None:
    saved = Path(mine[1], "calibration.json")
    found = []
    for seed in ("0", "0", "1"):
        assert invoke("calibrate", file, *mine, "--seed", seed).exit_code == 0
        found.append(saved.read_bytes())
    assert found[0] == found[1] != found[2]


def test_other_queries_to_judge_on(invoke: Invoke, mine: list[str], file: Path) -> None:
    other = write_csv(file.with_name("other.csv"), rows(range(38, 40)) + rows(range(20)))
    result = invoke("calibrate", file, *mine, "--judge-on", other)
    assert result.exit_code == 1
    assert "others than those to fit on, and 22 are in both, e.g. 'w1 w2 w10'" in said(result)
    # Case and spaces do not make another query.
    shouted = [(f" {query.upper()}  ", text, label) for query, text, label in rows(range(12))]
    result = invoke("calibrate", file, *mine, "--judge-on", write_csv(other, shouted))
    assert "12 are in both" in said(result)
    apart = [(f"{query} w9", text, label) for query, text, label in rows(range(25))]
    result = invoke("calibrate", file, *mine, "--judge-on", write_csv(other, apart))
    assert result.exit_code == 0, result.stderr
    assert "Fitted on 40 queries" in result.stdout
    assert "judged on 25 queries" in result.stdout


def test_formats_and_columns(invoke: Invoke, mine: list[str], tmp_path: Path) -> None:
    jsonl = tmp_path / "pairs.jsonl"
    lines = [{"q": q, "d": d, "grade": 2 * label} for q, d, label in rows(range(40))]
    jsonl.write_text("".join(json.dumps(line) + "\n" for line in lines))
    names = ["--query-field", "q", "--document-field", "d", "--label-field", "grade"]
    first = invoke("calibrate", jsonl, *mine, *names, "--relevant-from", "2")
    tsv = tmp_path / "pairs.tsv"
    tsv.write_text(
        "".join(f"{q}\t{d}\t{y}\n" for q, d, y in [("q", "d", "grade"), *rows(range(40))])
    )
    second = invoke("calibrate", tsv, *mine, *names)
    assert first.exit_code == second.exit_code == 0, first.stderr + second.stderr
    assert first.stdout == second.stdout


@pytest.fixture
def collection(tmp_path: Path) -> Path:
    folder = tmp_path / "collection"
    folder.mkdir()
    queries = {f"q{number}": f"w1 w2 w{number + 10}" for number in range(40)}
    for name, texts in (("queries", queries), ("corpus", DOCUMENTS)):
        lines = [json.dumps({"_id": key, "text": text}) + "\n" for key, text in texts.items()]
        (folder / f"{name}.jsonl").write_text("".join(lines))
    judged = {
        query: {name: grade for name, grade in GRADES.items() if name != "half" or number % 4}
        for number, query in enumerate(queries)
    }
    write_qrels(folder / "qrels.txt", judged)
    write_run(folder / "run.txt", {query: dict.fromkeys(DOCUMENTS, 1.0) for query in queries})
    return folder


def test_a_collection(invoke: Invoke, mine: list[str], collection: Path) -> None:
    command = ["calibrate", collection, *mine]
    result = invoke(*command, "--relevant-from", "2")
    assert result.exit_code == 0, result.stderr
    note = (
        f"Note: 10 of the 120 candidates of {collection} are not judged and count as not relevant"
    )
    assert note in said(result)
    assert result.stdout.count("20 queries (60 pairs, ") == 2
    result = invoke(*command, "--relevant-from", "3", "--judged-only")
    assert "are not judged and are left out." in said(result)
    # Grade 3 alone is relevant: one document a query.
    saved = json.loads(Path(mine[1], "calibration.json").read_text())
    about = saved["precisions"]["fp32"]["about"]
    assert about["fitted_on"]["relevant"] + about["judged_on"]["relevant"] == 40
    assert about["fitted_on"]["pairs"] + about["judged_on"]["pairs"] == 110


def test_a_threshold_and_reports(invoke: Invoke, mine: list[str], file: Path) -> None:
    page, machine = file.with_name("r.html"), file.with_name("r.json")
    command = ["calibrate", file, *mine, "--wanted-precision", "0.8"]
    result = invoke(*command, "--report", page, "--json", machine)
    assert result.exit_code == 0, result.stderr
    threshold = read_calibration(Path(mine[1]), "fp32").threshold
    assert threshold is not None
    assert threshold.wanted == 0.8
    assert f"{threshold.probability:.4f}" in result.stdout
    data = json.loads(machine.read_text())["sections"]["calibration"]
    assert data["threshold"]["lower_bound"] == threshold.lower_bound
    assert set(data["measures"]) == {"NLL", "Brier", "ECE"}
    text = page.read_text()
    assert "Calibration on pairs.csv" in text
    assert "share that is relevant" in text
    result = invoke(*command, "--report", page)
    assert "exists already. Use --overwrite" in said(result)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("query,document,label\n", "received relevant ones for 0 and others for 0 of 0 queries"),
        ("query,document\nw1,w2\n", "line 1: a column 'label' is required"),
        ("query,document,label\nw1,w2,yes\n", "line 2: a finite number is required as 'label'"),
        ("query,document,label\nw1,w2,nan\n", "line 2: a finite number is required as 'label'"),
        ("query,document,label\nw1,w2\n", "line 2: 3 columns are required"),
    ],
)
def test_broken_files(
    invoke: Invoke, mine: list[str], tmp_path: Path, lines: str, message: str
) -> None:
    file = tmp_path / "broken.csv"
    file.write_text(lines)
    result = invoke("calibrate", file, *mine)
    assert result.exit_code == 1
    assert message in said(result)


def test_what_cannot_be_fitted(invoke: Invoke, mine: list[str], file: Path, tmp_path: Path) -> None:
    def fails(entries: list[tuple[str, str, int]], *options: str) -> str:
        result = invoke("calibrate", write_csv(file, entries), *mine, *options)
        assert result.exit_code == 1
        assert not Path(mine[1], "calibration.json").exists()
        return said(result)

    assert "received 19 in all" in fails(rows(range(19)))
    assert "others for 0 of 40 queries" in fails([(q, d, 1) for q, d, _ in rows(range(40))])
    assert "wrong way round" in fails(rows(range(40), flipped=True))
    assert "No threshold has a precision of 1, " in fails(
        [*rows(range(40)), *((f"w1 w{n}", "w1", 0) for n in range(10, 50))],
        *("--wanted-precision", "1"),
    )


def test_where_it_may_be_written(
    invoke: Invoke, mine: list[str], file: Path, tmp_path: Path
) -> None:
    for named in ([], ["--model", "default"], ["--model", "some/model"]):
        result = invoke("calibrate", file, *named)
        assert result.exit_code == 2
        assert "has no folder of yours: name one with --out" in said(result)
    result = invoke("calibrate", file, *mine, "--out", mine[1])
    assert result.exit_code == 1
    assert "is not empty. Name another folder" in said(result)
    out = tmp_path / "new" / "model"
    assert invoke("calibrate", file, *mine, "--out", out).exit_code == 0
    assert read_calibration(out, "fp32")
    assert not Path(mine[1], "calibration.json").exists()


def test_it_is_saved_when_nobody_reads(mine: list[str], file: Path, tmp_path: Path) -> None:
    process = start("calibrate", file, *mine, "--out", tmp_path / "out")
    assert process.stdout is not None
    process.stdout.close()  # as of | true
    process.communicate(timeout=100)
    assert (process.returncode, len(list((tmp_path / "out").glob("calibration*")))) == (0, 1)


def test_what_was_measured_is_told_when_it_cannot_be_written(
    invoke: Invoke, mine: list[str], file: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "out"
    result = invoke("calibrate", file, *mine, "--out", folder, "--report", "/proc/page.html")
    assert (result.exit_code, "Error: " in result.stderr) == (1, True)
    assert "NLL" in result.stdout
    assert len(list(folder.glob("calibration*"))) == 1


def test_several_labels(invoke: Invoke, tmp_path: Path, file: Path) -> None:
    folder = make_model(tmp_path / "two", labels=2)
    result = invoke("calibrate", file, "--model", folder, "--backend", "constant")
    assert result.exit_code == 1
    assert "A model with one label is required" in said(result)


def test_the_embedded_model_from_end_to_end(invoke: Invoke, tmp_path: Path) -> None:
    documents, queries, qrels = load()
    ids, texts = list(documents), list(documents.values())
    index = BM25(texts)

    def pairs(chosen: list[str]) -> list[tuple[str, str, int]]:
        return [
            (queries[query], texts[place], int(ids[place] in qrels[query]))
            for query in chosen
            for place, _ in index.search(queries[query], 5)
        ]

    names = list(queries)
    fitting, judging = pairs(names[::36]), pairs(names[1::36])
    data = write_csv(tmp_path / "demo.csv", fitting)
    result = invoke("calibrate", data, "--out", tmp_path / "model", "--wanted-precision", "0.7")
    assert result.exit_code == 0, result.stderr
    with CrossEncoder(tmp_path / "model") as model:
        before = model.predict([pair[:2] for pair in judging]).astype(float)
        after = model.predict([pair[:2] for pair in judging], calibrated=True).astype(float)
        assert model.calibration.threshold is not None
    labels = np.array([label for *_, label in judging])

    def loss(scores: np.ndarray) -> float:
        return float(-np.log(np.where(labels == 1, scores, 1 - scores)).mean())

    assert loss(after) < loss(before) - 0.05
    order = np.argsort(before, kind="stable")
    assert (np.diff(after[order]) >= 0).all()
