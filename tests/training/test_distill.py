"""From a teacher to a student: it learns, it is compared, and it survives interruptions."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs torch")
pytest.importorskip("transformers", reason="training needs transformers")
datasets = pytest.importorskip("datasets", reason="training needs datasets")
pytest.importorskip("accelerate", reason="training needs accelerate")
pytest.importorskip("ir_measures", reason="needs the extra demo")

from tests.parity.tiny_models import make_classifier  # noqa: E402
from tests.training.conftest import BAD, GOOD, QUERIES  # noqa: E402
from tests.training.measuring import measure_here  # noqa: E402

from crossrank import CrossEncoder  # noqa: E402
from crossrank.errors import InputError, UnsupportedModelError  # noqa: E402
from crossrank.evaluation.evaluation_set import EvaluationSet  # noqa: E402
from crossrank.evaluation.significance import Interval  # noqa: E402
from crossrank.models.torch_modules.saving import pretrained  # noqa: E402
from crossrank.training import distill as module  # noqa: E402
from crossrank.training import distillation_report  # noqa: E402
from crossrank.training.distill import distill  # noqa: E402
from crossrank.training.distillation_report import DistillationReport, Figures  # noqa: E402
from crossrank.training.model import TrainableModel  # noqa: E402
from crossrank.training.student import keep_layers  # noqa: E402
from crossrank.training.trainer import CrossEncoderTrainer  # noqa: E402
from crossrank.types import Floats, Pair, Precision  # noqa: E402

TEXTS = GOOD + BAD
ROWS = {"query": QUERIES, "documents": [TEXTS] * 4, "labels": [[1, 1, 1, 0, 0, 0]] * 4}
ARGUMENTS = {
    "max_steps": 30,
    "per_device_train_batch_size": 4,
    "learning_rate": 3e-3,
    "save_steps": 10,
    "use_cpu": True,
    "disable_tqdm": True,
}
PAIRS = [(query, text) for query in QUERIES for text in TEXTS]


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("teacher") / "bert"
    return make_classifier(folder, "bert", num_hidden_layers=4)


@pytest.fixture
def dataset() -> Any:
    return datasets.Dataset.from_dict(ROWS)


@pytest.fixture
def task() -> EvaluationSet:
    ids = {f"d{number}": text for number, text in enumerate(TEXTS)}
    queries = {f"q{number}": query for number, query in enumerate(QUERIES)}
    qrels = {query: {f"d{number}": 1 for number in range(3)} for query in queries}
    return EvaluationSet(queries, ids, qrels, {query: dict.fromkeys(ids, 0.0) for query in queries})


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Measure in this process; says which models were."""
    seen: list[Path] = []

    def measure(folder: Path, precision: Precision, pairs: list[Pair]) -> Any:
        seen.append(folder)
        return measure_here(folder, precision, pairs)

    monkeypatch.setattr(distillation_report, "measure", measure)
    return seen


def logits(model: Path) -> Floats:
    found: Floats = CrossEncoder(model, backend="torch", device="cpu").predict(
        PAIRS, activation_fn="identity"
    )
    return found


def margins(scores: Floats) -> Floats:
    """Scores less their query's mean: what MarginMSE compares."""
    lists = scores.reshape(len(QUERIES), -1)
    return lists - lists.mean(axis=1, keepdims=True)


@pytest.mark.parametrize("loss", ["margin_mse", "kl_divergence", "mse"])
def test_the_student_learns_the_teacher(
    teacher: Path, dataset: Any, tmp_path: Path, measured: list[Path], loss: str
) -> None:
    expected = margins(logits(teacher))
    start = TrainableModel.load(teacher)
    keep_layers(start, [0, 3])
    start.save(tmp_path / "start", "identity")
    report = distill(
        teacher, tmp_path / "out", dataset, layers=[0, 3], loss=loss, arguments=ARGUMENTS
    )
    before, after = (
        float(np.square(margins(logits(tmp_path / name)) - expected).mean())
        for name in ("start", "out")
    )
    assert after < before / 2
    assert TrainableModel.load(tmp_path / "out").spec.activation == "sigmoid"  # as the teacher's
    assert (report.layers, report.loss, report.queries) == ((0, 3), loss, 4)
    assert report.student.ndcg is report.comparison is report.ndcg_kept is None
    assert report.speedup is not None
    assert report.speedup > 1
    assert [path.name for path in measured[:2]] == ["made", teacher.name]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "start"]
    saved = json.loads((tmp_path / "out" / module.REPORT).read_text())
    assert saved["speedup"] == pytest.approx(report.speedup)


def test_the_student_learns_the_states_of_its_teacher(
    teacher: Path, tmp_path: Path, measured: list[Path]
) -> None:
    """One document a query and no labels worth reading: scores alone would teach nothing."""
    rows = {"query": QUERIES, "document": TEXTS[:4], "label": [1.0] * 4}
    start = TrainableModel.load(teacher)
    keep_layers(start, [0, 3])
    start.save(tmp_path / "start", "identity")
    report = distill(
        teacher,
        tmp_path / "out",
        datasets.Dataset.from_dict(rows),
        layers=[0, 3],
        loss="states",
        arguments=ARGUMENTS | {"max_steps": 60},
    )
    errors = [state_error(tmp_path / name, teacher) for name in ("start", "out")]
    assert errors[1] < errors[0] / 3
    assert (report.layers, report.loss, report.queries) == ((0, 3), "states", 4)
    assert TrainableModel.load(tmp_path / "out").spec.activation == "sigmoid"


def state_error(student: Path, teacher: Path) -> float:
    """Compare the states that transformers computes of each pair, one at a time."""
    models = [TrainableModel.load(folder) for folder in (student, teacher)]
    errors = []
    for pair in models[0].tokenizer.encode(list(zip(QUERIES, TEXTS, strict=False))):
        types = torch.arange(len(pair.ids)) >= pair.document_start
        with torch.no_grad():
            reached, aims = (
                pretrained(model.module.eval())
                .base_model(torch.tensor(pair.ids)[None], token_type_ids=types.long()[None])
                .last_hidden_state
                for model in models
            )
        errors.append((reached - aims).square().sum(-1).div(aims.square().sum(-1)).mean().item())
    return float(np.mean(errors))


def test_the_report_compares_quality_size_and_speed(
    teacher: Path, dataset: Any, task: EvaluationSet, tmp_path: Path, measured: list[Path]
) -> None:
    report = distill(
        teacher,
        tmp_path / "out",
        dataset,
        layers=2,
        arguments=ARGUMENTS | {"max_steps": 2},
        evaluation=task,
    )
    assert report.layers == (0, 3)
    for side, folder in ((report.student, tmp_path / "out"), (report.teacher, teacher)):
        assert side is not None
        assert side.ndcg is not None
        lists = logits(folder).reshape(4, 6)
        ranks = np.argsort(np.argsort(-lists, axis=1), axis=1)[:, :3]
        ideal = sum(1 / np.log2(rank + 2) for rank in range(3))
        ndcg = (1 / np.log2(ranks + 2)).sum(axis=1) / ideal
        assert side.ndcg.mean == pytest.approx(ndcg.mean(), abs=1e-6)
        assert side.ndcg.low <= side.ndcg.mean <= side.ndcg.high
        assert side.pairs_per_second is not None
        assert side.pairs_per_second > 0
    assert report.comparison is not None
    difference = report.student.ndcg.mean - report.teacher.ndcg.mean  # type: ignore[union-attr]
    assert report.comparison.difference.mean == pytest.approx(difference)
    assert report.student.bytes == (tmp_path / "out/model.safetensors").stat().st_size
    assert [row[0] for row in report.rows()] == [
        "size (MB)",
        "pairs/s",
        "nDCG@10",
        "student less teacher",
    ]


def test_rows_by_hand() -> None:
    half, most = Interval(0.5, 0.4, 0.6), Interval(0.6, 0.5, 0.7)
    report = DistillationReport(
        (0, 5), "mse", 9, Figures(10_000_000, 300.0, half), Figures(40_000_000, 100.0, most), None
    )
    assert report.rows() == [
        ("size (MB)", "40.0", "10.0", "0.25 x"),
        ("pairs/s", "100", "300", "3.00 x"),
        ("nDCG@10", "0.600 [0.500, 0.700]", "0.500 [0.400, 0.600]", "83.3%"),
    ]
    alone = DistillationReport(None, "mse", 9, Figures(10_000_000, 300.0, half), None, None)
    assert alone.rows()[1:] == [
        ("pairs/s", "", "300", ""),
        ("nDCG@10", "", "0.500 [0.400, 0.600]", ""),
    ]


def test_scores_without_a_teacher(
    tiny: Path, task: EvaluationSet, tmp_path: Path, measured: list[Path]
) -> None:
    rows = {
        "query": [query for query, _ in PAIRS],
        "document": [text for _, text in PAIRS],
        "score": [0.9 if text in GOOD else 0.1 for _, text in PAIRS],
    }
    report = distill(
        None,
        tmp_path / "out",
        datasets.Dataset.from_dict(rows),
        student=tiny,
        scale="probabilities",
        arguments=ARGUMENTS | {"max_steps": 60},
        evaluation=task,
    )
    assert report.teacher is report.layers is report.comparison is None
    assert report.queries == 4
    assert report.student.ndcg is not None
    assert report.student.ndcg.mean == 1
    lists = logits(tmp_path / "out").reshape(4, 6)
    spread = lists[:, :3].mean() - lists[:, 3:].mean()
    assert spread == pytest.approx(2 * np.log(9), rel=0.25)  # the margin of the two logits


def test_an_interrupted_call_goes_on(
    teacher: Path, dataset: Any, tmp_path: Path, measured: list[Path]
) -> None:
    """To the weights of one that ran through; the teacher need not score again."""
    options: dict[str, Any] = {"layers": 2, "arguments": ARGUMENTS}
    distill(teacher, tmp_path / "whole", dataset, **options)
    out = tmp_path / "out"
    step = CrossEncoderTrainer.training_step

    def interrupted(self: Any, *arguments: Any) -> Any:
        if self.state.global_step == 15:
            raise KeyboardInterrupt
        return step(self, *arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(CrossEncoderTrainer, "training_step", interrupted)
        with pytest.raises(KeyboardInterrupt):
            distill(teacher, out, dataset, **options)
    assert not out.exists()
    assert [path.name for path in tmp_path.rglob("checkpoint-*")] == ["checkpoint-10"]
    opened, steps = module.open_teacher, []

    def silent(*arguments: Any) -> Any:
        found = opened(*arguments)
        found.model.runtime.forward = None  # type: ignore[attr-defined]  # it cannot score
        return found

    def counting(self: Any, *arguments: Any) -> Any:
        steps.append(self.state.global_step)
        return step(self, *arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "open_teacher", silent)
        patch.setattr(CrossEncoderTrainer, "training_step", counting)
        distill(teacher, out, dataset, **options)
    assert steps == list(range(10, 30))
    whole, resumed = (TrainableModel.load(tmp_path / name).module for name in ("whole", "out"))
    for one, other in zip(whole.parameters(), resumed.parameters(), strict=True):
        assert torch.equal(one, other)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "whole"]


def test_another_run_is_not_continued(
    teacher: Path, dataset: Any, tmp_path: Path, measured: list[Path]
) -> None:
    """What was scored is kept, what was trained belongs to its options."""
    work = tmp_path / "work"
    for number, loss in enumerate(["margin_mse", "mse", "mse"]):
        distill(
            teacher,
            tmp_path / f"out-{number}",
            dataset,
            layers=2,
            loss=loss,
            arguments=ARGUMENTS | {"max_steps": 10},
            work=work,
        )
    assert len([path for path in work.iterdir() if path.is_dir()]) == 2
    first, second, third = (logits(tmp_path / f"out-{number}") for number in range(3))
    assert np.abs(first - second).max() > 1e-3
    np.testing.assert_array_equal(second, third)


def test_the_states_of_another_teacher_are_another_run(
    teacher: Path, dataset: Any, tmp_path: Path, measured: list[Path]
) -> None:
    start, other = TrainableModel.load(teacher), TrainableModel.load(teacher)
    keep_layers(start, [0, 3])
    start.save(tmp_path / "start", "identity")
    with torch.no_grad():
        for weight in other.module.parameters():
            weight.mul_(1.5)
    other.save(tmp_path / "other", "identity")
    for number, name in enumerate([teacher, tmp_path / "other"]):
        distill(
            name,
            tmp_path / f"out-{number}",
            dataset,
            student=tmp_path / "start",
            loss="states",
            arguments=ARGUMENTS | {"max_steps": 10},
            work=tmp_path / "work",
        )
    assert len([path for path in (tmp_path / "work").iterdir() if path.is_dir()]) == 2
    assert np.abs(logits(tmp_path / "out-0") - logits(tmp_path / "out-1")).max() > 1e-3


@pytest.fixture
def single() -> Any:
    """A pair a row; the rows of a query are apart."""
    rows = [{"query": query, "document": text, "label": 1} for text in TEXTS for query in QUERIES]
    return datasets.Dataset.from_list(rows)


def test_pairs_of_a_query_are_compared(
    teacher: Path, dataset: Any, single: Any, tmp_path: Path, measured: list[Path]
) -> None:
    told: list[str] = []
    options: dict[str, Any] = {"layers": 2, "arguments": ARGUMENTS | {"max_steps": 5}}
    distill(teacher, tmp_path / "lists", dataset, **options)
    report = distill(teacher, tmp_path / "pairs", single, progress=told.append, **options)
    assert report.queries == 4
    assert told[:2] == ["scoring the documents of 4 queries", "training on 4 queries"]
    np.testing.assert_allclose(logits(tmp_path / "pairs"), logits(tmp_path / "lists"), atol=1e-5)
    report = distill(teacher, tmp_path / "mse", single, loss="mse", **options)
    assert report.queries == 4


@pytest.mark.parametrize("taught", [True, False])
def test_one_document_a_query_is_nothing_to_compare(
    teacher: Path, single: Any, tmp_path: Path, taught: bool
) -> None:
    told: list[str] = []
    options: dict[str, Any] = {"student": teacher, "progress": told.append}
    with pytest.raises(InputError, match=r"'margin_mse' compares .* no query has two.*'mse'"):
        distill(teacher if taught else None, tmp_path / "out", single.select(range(4)), **options)
    assert told == []


def test_a_second_call_at_the_same_time_is_refused(
    teacher: Path, dataset: Any, tmp_path: Path, measured: list[Path]
) -> None:
    options: dict[str, Any] = {"layers": 2, "arguments": ARGUMENTS | {"max_steps": 1}}

    def tell(step: str) -> None:
        with pytest.raises(InputError, match=r"out\.work must be written by one process"):
            distill(teacher, tmp_path / "out", dataset, **options)

    distill(teacher, tmp_path / "out", dataset, progress=tell, **options)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_only_the_folder_that_is_named_needs_to_be_writable(
    teacher: Path, dataset: Any, tmp_path: Path, measured: list[Path]
) -> None:
    """As where a container has one volume: no lock lies beside it, and two calls are refused."""
    work = tmp_path / "volume/work"
    options = {"layers": 2, "arguments": ARGUMENTS | {"max_steps": 1}, "work": work}
    seen: list[str] = []

    def tell(step: str) -> None:
        seen.extend(path.name for path in work.parent.iterdir())
        with pytest.raises(InputError, match=r"volume/work must be written by one process"):
            distill(teacher, tmp_path / "other", dataset, **options)

    distill(teacher, tmp_path / "out", dataset, progress=tell, **options)
    assert set(seen) == {"work"}


def test_a_model_that_is_needed_is_not_replaced(
    teacher: Path, tiny: Path, dataset: Any, tmp_path: Path
) -> None:
    for out, needed in ((teacher, "the teacher"), (tiny, "the student's beginning")):
        with pytest.raises(InputError, match=f"is or contains {needed}: name another folder"):
            distill(teacher, out, dataset, student=tiny, overwrite=True)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"kind": "encoder"}, "kind must be 'cross-encoder' or 'bi-encoder'"),
        ({"kind": "bi-encoder"}, "A student is required"),
        ({"teacher": None}, "A student is required"),
        ({"layers": 9}, "1 to 4 to keep, received 9"),
        ({"loss": "margin_msa"}, "Did you mean 'margin_mse'"),
        ({"loss": "states", "teacher": None}, "Only a cross-encoder's states are learned"),
        ({"arguments": {"learning_rat": 1}}, "unexpected keyword argument 'learning_rat'"),
        ({"out": "."}, "exists: name another folder"),
    ],
)
def test_what_cannot_be_is_refused(
    teacher: Path, dataset: Any, tmp_path: Path, options: dict[str, Any], said: str
) -> None:
    (tmp_path / "something").touch()
    out = tmp_path / options.pop("out", "out")
    with pytest.raises(InputError, match=said):
        distill(options.pop("teacher", teacher), out, dataset, **options)


def test_the_embedded_model_teaches_but_gives_no_layers(dataset: Any, tmp_path: Path) -> None:
    with pytest.raises(UnsupportedModelError, match="Quantised models"):
        distill("default", tmp_path / "out", dataset, layers=2)
