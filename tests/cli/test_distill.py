"""``crossrank distill``: from files to a student and a table."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import pytest
from typer.testing import Result

from crossrank.cli.distill import KindChoice, LossChoice, ScaleChoice

torch = pytest.importorskip("torch", reason="training needs torch")
pytest.importorskip("transformers", reason="training needs transformers")
pytest.importorskip("datasets", reason="training needs datasets")
pytest.importorskip("accelerate", reason="training needs accelerate")
pytest.importorskip("ir_measures", reason="needs the extra demo")

from tests.parity.tiny_models import TEXTS, make_classifier  # noqa: E402
from tests.training.measuring import measure_here  # noqa: E402

from crossrank import CrossEncoder  # noqa: E402
from crossrank.losses import LOSSES  # noqa: E402
from crossrank.training import distillation_report  # noqa: E402
from crossrank.training.distill import Kind  # noqa: E402
from crossrank.training.soft_labels import Scale  # noqa: E402
from crossrank.training.states import STATES  # noqa: E402

Invoke = Callable[..., Result]


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_classifier(tmp_path_factory.mktemp("teacher") / "bert", "bert", num_hidden_layers=4)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    file = tmp_path / "pairs.jsonl"
    rows = [
        {"question": TEXTS[n], "good": TEXTS[n - 1], "negative": TEXTS[n - 2]} for n in range(6)
    ]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


@pytest.fixture
def judged(tmp_path: Path) -> Path:
    """A reranking task of two queries."""
    folder = tmp_path / "judged"
    folder.mkdir()
    texts = [json.dumps({"_id": f"d{number}", "text": text}) for number, text in enumerate(TEXTS)]
    (folder / "corpus.jsonl").write_text("\n".join(texts))
    queries = [json.dumps({"_id": f"q{number}", "text": TEXTS[number]}) for number in (1, 3)]
    (folder / "queries.jsonl").write_text("\n".join(queries))
    (folder / "qrels.txt").write_text("q1 0 d0 1\nq3 0 d2 1\n")
    run = [f"{query} Q0 d{n} {n} {9 - n} bm25" for query in ("q1", "q3") for n in range(7)]
    (folder / "run.txt").write_text("\n".join(run))
    return folder


def test_a_student_and_a_table(
    invoke: Invoke,
    teacher: Path,
    data: Path,
    judged: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(distillation_report, "measure", measure_here)
    columns = ["query=question", "positive=good", "negative=negative"]
    result = invoke(
        *("distill", teacher, tmp_path / "out", "--data", data, "--layers", "0,3"),
        *(part for column in columns for part in ("--column", column)),
        *("--max-steps", "3", "--batch-size", "2", "--evaluation", judged),
    )
    assert result.exit_code == 0, result.stderr
    assert result.stdout.split("\n")[0].split() == ["teacher", "student"]
    for name in ("size (MB)", "pairs/s", "nDCG@10", "student less teacher"):
        assert name in result.stdout
    for step in ("scoring the documents of 6 queries", "training on 6 queries", "measuring"):
        assert f"{step} ..." in result.stderr
    report = json.loads((tmp_path / "out/distillation-report.json").read_text())
    assert report["layers"] == [0, 3]
    assert report["ndcg_kept"] == pytest.approx(
        report["student"]["ndcg"]["mean"] / report["teacher"]["ndcg"]["mean"]
    )
    student = CrossEncoder(tmp_path / "out", backend="torch", device="cpu")
    assert student.config.num_hidden_layers == 2
    assert student.predict([("stove", "gas"), ("stove", "yes")]).std() > 0
    assert {path.name for path in tmp_path.iterdir()} == {"judged", "out", "pairs.jsonl"}


@pytest.mark.parametrize("package", ["torch", "datasets", "accelerate"])
def test_a_missing_package_says_how_to_install_it(
    invoke: Invoke, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    result = invoke("distill", "teacher", tmp_path / "out", "--data", data, "--layers", "2")
    assert result.exit_code == 1
    assert f"needs the package '{package}'" in result.stderr
    assert 'pip install "crossrank[train]"' in " ".join(result.stderr.split())


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--epochs", "0"], 2, "A number above 0 is required, received 0."),
        (["--epochs", "nan"], 2, "A number above 0 is required, received nan."),
        (["--learning-rate", "-1"], 2, "A number above 0 is required, received -1."),
        (["TEACHER", "out"], 2, "--data is required"),
        (["pairs.jsonl", "out", "--data", "pairs.jsonl"], 2, "without --data"),
        (["pairs.jsonl", "out"], 1, "A student is required"),
        (["TEACHER", "out", "--data", "pairs.jsonl", "--layers", "two"], 2, "must be like 3, or"),
        (["TEACHER", "out", "--data", "pairs.jsonl", "--layers", "3,1"], 1, "in ascending order"),
        (["TEACHER", "out", "--data", "pairs.jsonl", "--column", "query"], 2, "query=question"),
        (["TEACHER", "out", "--data", "pairs.jsonl", "--loss", "bce"], 2, "bce"),
        (["TEACHER", "judged", "--data", "pairs.jsonl"], 1, "exists: name another folder"),
        (["pairs.jsonl", "out", "--student", "TEACHER"], 1, "'teacher_scores' is required"),
    ],
)
def test_mistakes(
    invoke: Invoke,
    teacher: Path,
    data: Path,
    judged: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    code: int,
    said: str,
) -> None:
    monkeypatch.chdir(data.parent)
    named = [str(teacher) if argument == "TEACHER" else argument for argument in arguments]
    result = invoke("distill", *named)
    assert result.exit_code == code
    assert said in result.stderr.replace("\n", " ")
    assert not Path("out").exists()


def test_what_is_there_is_left_as_it_is(
    invoke: Invoke, teacher: Path, data: Path, judged: Path
) -> None:
    """Nothing is written before that is known."""
    (judged / "config.json").write_text("{}")
    before = sorted(data.parent.rglob("*"))
    reasons = {
        "judged exists": (),
        "judged is or contains the evaluation set": ("--overwrite", "--evaluation", judged),
    }
    for said, options in reasons.items():
        result = invoke("distill", teacher, judged, "--data", data, *options)
        assert result.exit_code == 1
        assert said in result.stderr.replace("\n", " ")
    assert sorted(data.parent.rglob("*")) == before


def test_the_choices_are_those_of_the_library() -> None:
    assert get_args(KindChoice) == get_args(Kind)
    assert get_args(ScaleChoice) == get_args(Scale)
    assert set(get_args(LossChoice)) <= {*LOSSES, STATES}
