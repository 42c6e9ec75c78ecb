"""Exports of a small random model: what is written, what is measured, what is refused."""

import json
import random
import shutil
from pathlib import Path

import numpy as np
import pytest

from crossrank import CrossEncoder, ExportError, InputError, QualityLimitError

for package in ("torch", "onnx", "nncf", "onnxruntime"):
    pytest.importorskip(package, reason="the extra 'export' is not installed")
from scipy.stats import kendalltau  # noqa: E402
from tests.parity.tiny_models import (  # noqa: E402
    PAIRS,
    TEXTS,
    make_causal_lm,
    make_classifier,
)

from crossrank.evaluation.evaluation_set import EvaluationSet  # noqa: E402
from crossrank.evaluation.measures import measure  # noqa: E402
from crossrank.models.files import list_names  # noqa: E402
from crossrank.quantization import export  # noqa: E402
from crossrank.quantization.export import REPORT  # noqa: E402

# Wide enough for int4's groups, and for rounding to be small beside what the model says.
SIZES = {"hidden_size": 64, "num_attention_heads": 2, "intermediate_size": 128}
CLOSENESS = {"fp32": 1e-5, "fp16": 0.05, "bf16": 0.25}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_classifier(tmp_path_factory.mktemp("source") / "model", "bert", **SIZES)


@pytest.fixture(scope="module")
def task() -> EvaluationSet:
    """Queries with all other texts as candidates; the judgements are arbitrary but fixed."""
    chance = random.Random(3)
    texts = {f"d{number}": text for number, text in enumerate(TEXTS)}
    queries = {f"q{number}": text for number, text in enumerate(TEXTS[:4])}
    qrels = {query: {document: chance.randint(0, 2) for document in texts} for query in queries}
    candidates = {query: dict.fromkeys(texts, 1.0) for query in queries}
    return EvaluationSet(queries, texts, qrels, candidates)


def logits(folder: Path, pairs: list[tuple[str, str]], backend: str = "openvino") -> np.ndarray:
    with CrossEncoder(folder, backend=backend, activation_fn="identity") as loaded:
        return loaded.predict(pairs)


@pytest.mark.parametrize("precision", ["fp32", "fp16", "bf16", "int8", "int4"])
def test_every_precision_on_every_engine(
    model: Path, task: EvaluationSet, tmp_path: Path, precision: str
) -> None:
    out = tmp_path / "out"
    report = export(model, out, precision, pairs=PAIRS, evaluation=task, rounds=1)
    exact = logits(model, PAIRS)
    found = {backend: logits(out, PAIRS, backend) for backend in ("openvino", "onnx")}
    if precision in CLOSENESS:
        for values in found.values():
            np.testing.assert_allclose(values, exact, atol=CLOSENESS[precision] * exact.std())
    # A random model's own signal hardly survives 4 bits, so here the engines are compared; what a
    # trained one loses is measured in benchmarks/RESULTS.md.
    difference = np.abs(found["openvino"] - found["onnx"]).max()
    assert difference < 0.3 * exact.std()
    assert np.corrcoef(found["openvino"], exact)[0, 1] > 0.2
    written = json.loads((out / REPORT).read_text())
    assert written["precision"] == precision
    assert written["exported"]["bytes"] == sum(f.stat().st_size for f in (out / "onnx").iterdir())
    assert (report.exported.bytes < report.fp32.bytes) == (precision != "fp32")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_the_reports_numbers_are_right(model: Path, task: EvaluationSet, tmp_path: Path) -> None:
    report = export(model, tmp_path / "out", "int8", pairs=PAIRS, evaluation=task, rounds=1)
    before, after = logits(model, task.pairs()), logits(tmp_path / "out", task.pairs())
    taus = [
        kendalltau(one, other).statistic
        for one, other in zip(np.split(before, 4), np.split(after, 4), strict=True)
    ]
    scores = [
        measure(task.run(values.tolist()), task.qrels, ["nDCG@10"])["nDCG@10"]
        for values in (before, after)
    ]
    assert report.pairs == len(task.pairs()) == 28
    assert report.kendall_tau == pytest.approx(np.mean(taus), abs=1e-6)
    assert report.largest_score_change == pytest.approx(np.abs(before - after).max(), abs=1e-4)
    assert [report.fp32.ndcg, report.exported.ndcg] == pytest.approx(scores)
    assert report.ndcg_loss == pytest.approx(1 - scores[1] / scores[0])
    assert report.exported.pairs_per_second > 0
    assert report.exported.peak_bytes > 20_000_000


def test_past_the_limit_nothing_is_written(
    model: Path, task: EvaluationSet, tmp_path: Path
) -> None:
    # The limit asks for a gain that no export can have: nDCG cannot be more than 1.
    with pytest.raises(QualityLimitError, match="Nothing was written"):
        export(
            model,
            tmp_path / "out",
            "fp16",
            pairs=PAIRS,
            evaluation=task,
            max_ndcg_loss=-1.0,
            rounds=1,
        )
    assert list(tmp_path.iterdir()) == []


def test_without_judgements_the_pairs_serve(model: Path, tmp_path: Path) -> None:
    report = export(model, tmp_path / "out", "bf16", pairs=PAIRS, rounds=1)
    assert report.pairs == len(PAIRS)
    assert report.ndcg_loss is None
    assert 0.9 < report.kendall_tau <= 1


def test_what_cannot_be_exported_is_refused(
    model: Path, task: EvaluationSet, tmp_path: Path
) -> None:
    occupied = tmp_path / "occupied"
    occupied.mkdir()
    (occupied / "mine.txt").write_text("keep me")
    with pytest.raises(InputError, match="exists"):
        export(model, occupied, "int8", pairs=PAIRS)
    with pytest.raises(InputError, match="precision must be one of"):
        export(model, tmp_path / "out", "int3", pairs=PAIRS)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="needs pairs"):
        export(model, tmp_path / "out", "int8", pairs=[])
    with pytest.raises(InputError, match="rounds must be at least 1, received 0"):
        export(model, tmp_path / "out", "int8", pairs=PAIRS, rounds=0)
    with pytest.raises(InputError, match="needs an evaluation set"):
        export(model, tmp_path / "out", "int8", pairs=PAIRS, max_ndcg_loss=0.1)
    language_model = make_causal_lm(tmp_path / "qwen3-reranker")
    with pytest.raises(ExportError, match="language model"):
        export(language_model, tmp_path / "out", "int8", pairs=PAIRS)
    assert not (tmp_path / "out").exists()
    assert (occupied / "mine.txt").read_text() == "keep me"


def test_a_quantised_model_is_no_beginning(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="weights in fp32, and small has none"):
        export("small", tmp_path / "out", "int4", pairs=PAIRS)
    assert not (tmp_path / "out").exists()


def test_overwriting_replaces_the_folder(model: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    for name in ("config.json", "old.txt"):
        (out / name).write_text("old")
    (tmp_path / "link").symlink_to(out)
    export(model, tmp_path / "link", "fp32", pairs=PAIRS, overwrite=True, rounds=1)
    assert not (out / "old.txt").exists()
    assert (out / "onnx/model.onnx").exists()
    assert (tmp_path / "link").is_symlink()


def test_overwriting_spares_the_model_and_what_is_around_it(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "models" / "mine"
    shutil.copytree(model, source)
    for name in ("config.json", "precious.txt"):  # "models" is a model itself, with others in it
        shutil.copyfile(model / "config.json", source.parent / name)
    (tmp_path / "link").symlink_to(source)
    (tmp_path / "here").mkdir()
    (tmp_path / "file").write_text("keep me")
    monkeypatch.chdir(tmp_path / "here")
    before = list_names(tmp_path)
    reasons = {
        source: "the model",
        source.parent: "the model",
        tmp_path / "link": "the model",
        Path(): "the working directory",
        tmp_path / "file": "is a file",
    }
    for out, reason in reasons.items():
        with pytest.raises(InputError, match=reason):
            export(source, out, "fp32", pairs=PAIRS, overwrite=True)
    assert list_names(tmp_path) == before


def test_large_models_are_exported(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("crossrank.quantization.weights.LARGEST", 2**14)
    large = tmp_path / "large"
    export(model, large, "fp32", pairs=PAIRS, rounds=1)
    assert (large / "onnx/model.onnx.data").stat().st_size > 100_000
    # The hub's cache has links, which onnx does not follow to external data.
    data = tmp_path / "blob"
    (large / "onnx/model.onnx.data").rename(data)
    (large / "onnx/model.onnx.data").symlink_to(data)
    report = export(large, tmp_path / "out", "fp16", pairs=PAIRS, rounds=1)
    names = ["model_fp16.onnx", "model_fp16.onnx.data"]
    assert list_names(tmp_path / "out/onnx") == names
    sizes = [
        sum(file.stat().st_size for file in (folder / "onnx").iterdir())
        for folder in (large, tmp_path / "out")
    ]
    assert [report.fp32.bytes, report.exported.bytes] == sizes
    exact = logits(model, PAIRS)
    found = logits(tmp_path / "out", PAIRS)
    np.testing.assert_allclose(found, exact, atol=CLOSENESS["fp16"] * exact.std())


def test_an_evaluation_folder_is_read(tmp_path: Path) -> None:
    (tmp_path / "queries.jsonl").write_text('{"_id": "q", "text": "a query"}\n')
    corpus = [f'{{"_id": "d{n}", "title": "", "text": "text {n}"}}' for n in range(3)]
    (tmp_path / "corpus.jsonl").write_text("\n".join(corpus))
    (tmp_path / "qrels.txt").write_text("q 0 d1 1\n")
    with pytest.raises(InputError, match=r"runs/bm25\.txt or run\.txt is required"):
        EvaluationSet.read(tmp_path)
    (tmp_path / "run.txt").write_text("q Q0 d0 1 3.0 x\nq Q0 d1 2 2.0 x\nq Q0 d2 3 1.0 x\n")
    task = EvaluationSet.read(tmp_path, depth=2)
    assert task.pairs() == [("a query", "text 0"), ("a query", "text 1")]
    assert task.run([0.5, 0.7]) == {"q": {"d0": 0.5, "d1": 0.7}}
