"""``crossrank export`` in processes of its own."""

import json
from pathlib import Path

import pytest
from tests.cli.commands import run

for package in ("torch", "onnx", "nncf", "bm25s"):
    pytest.importorskip(package, reason="the extra 'export' is not installed")
from tests.parity.tiny_models import PAIRS, make_classifier  # noqa: E402


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_classifier(tmp_path_factory.mktemp("source") / "model", "bert")


def test_an_export_judged_on_the_demos_collection(model: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    code, table, steps = run("export", model, out, "--precision", "fp16", "--rounds", "1")
    assert code == 0, steps
    assert "nDCG@10" in table
    assert "Kendall's tau" in table
    assert json.loads((out / "export-report.json").read_text())["precision"] == "fp16"
    code, ranking, _ = run("rank", "Berlin", "--model", out, model / "config.json")
    assert code == 0
    assert ranking
    code, _, message = run("export", model, out, "--precision", "fp16")
    assert code == 1
    assert "exists" in message


def test_pairs_and_judgements_of_ones_own(model: Path, tmp_path: Path) -> None:
    pairs = tmp_path / "pairs.jsonl"
    rows = [{"query": query, "document": document} for query, document in PAIRS]
    pairs.write_text("".join(json.dumps(row) + "\n" for row in rows))
    code, table, steps = run(
        "export", model, tmp_path / "out", "-p", "int8", "--pairs", pairs, "--rounds", "1"
    )
    assert code == 0, steps
    assert "nDCG@10" not in table
    assert "Statistics collection" not in table + steps
    assert (tmp_path / "out/onnx/model_int8.onnx").exists()


def test_a_limit_that_is_met_and_one_that_makes_no_sense(model: Path, tmp_path: Path) -> None:
    task = tmp_path / "task"
    task.mkdir()
    (task / "queries.jsonl").write_text('{"_id": "q", "text": "How many people?"}\n')
    corpus = [{"_id": f"d{place}", "text": text} for place, (_, text) in enumerate(PAIRS)]
    (task / "corpus.jsonl").write_text("\n".join(map(json.dumps, corpus)))
    (task / "run.txt").write_text("".join(f"q Q0 d{n} {n} {9 - n} x\n" for n in range(9)))
    # Every document is relevant, so no order loses anything, and the limit of 0 is met.
    (task / "qrels.txt").write_text("".join(f"q 0 d{n} 1\n" for n in range(9)))
    arguments = ["-p", "fp16", "--evaluation", task, "--rounds", "1"]
    code, _, message = run("export", model, tmp_path / "a", *arguments, "--max-ndcg-loss", "0")
    assert code == 0, message
    code, _, message = run("export", model, tmp_path / "b", *arguments, "--max-ndcg-loss", "-1")
    assert code == 2
    assert not (tmp_path / "b").exists()


def test_a_model_that_is_not_there(tmp_path: Path) -> None:
    code, _, message = run("export", tmp_path / "absent", tmp_path / "out")
    assert code == 1
    assert message.startswith("Error: There is no folder")
