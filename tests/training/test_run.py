"""Runs of recipes on a tiny model: what they write, what they say, how they go on."""

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

for package in ("torch", "datasets", "accelerate", "pydantic", "yaml", "ir_measures", "nncf"):
    pytest.importorskip(package, reason="the extra 'train' is not installed")
import yaml  # noqa: E402
from safetensors.numpy import load_file  # noqa: E402
from tests.parity.tiny_models import make_classifier  # noqa: E402
from tests.training.conftest import BAD, GOOD  # noqa: E402
from transformers import BertModel  # noqa: E402

from crossrank import CrossEncoder  # noqa: E402
from crossrank.errors import InputError, QualityLimitError  # noqa: E402
from crossrank.quantization.measure import Measurement  # noqa: E402
from crossrank.training import delivery, run  # noqa: E402
from crossrank.training.recipe import Recipe  # noqa: E402
from crossrank.training.run import run_recipe  # noqa: E402

Row = dict[str, Any]


def lists(count: int = 24) -> list[Row]:
    """Queries with two good documents and three bad ones, in any order."""
    chance = random.Random(0)
    rows = []
    for number in range(count):
        found = [(text, 1) for text in chance.sample(GOOD, 2)] + [(text, 0) for text in BAD]
        chance.shuffle(found)
        documents, labels = zip(*found, strict=True)
        rows.append({"query": f"stove {number}?", "documents": documents, "labels": labels})
    return rows


@pytest.fixture
def write(tiny: Path, tmp_path: Path) -> Callable[..., Recipe]:
    """Write rows and a recipe for them; ``changes`` replace values of its sections."""

    def make(rows: list[Row] | None = None, **changes: dict[str, Any]) -> Recipe:
        rows = lists() if rows is None else rows
        (tmp_path / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        recipe: dict[str, Any] = {
            "model": {"name": str(tiny)},
            "data": {"train": {"path": "train.jsonl"}},
            "training": {"max_steps": 8, "batch_size": 4, "learning_rate": 1e-3, "bf16": False},
            "evaluation": {"held_out": 0.25},
            "output": {"folder": "out", "int8": False},
        }
        for name, values in changes.items():
            recipe[name] = recipe.get(name, {}) | values if isinstance(values, dict) else values
        recipe.setdefault("loss", "softmax_cross_entropy")
        if "path" in recipe["evaluation"]:
            del recipe["evaluation"]["held_out"]
        (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe, sort_keys=False))
        return Recipe.read(tmp_path / "recipe.yaml")

    return make


@pytest.fixture
def unmeasured(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the export and the measuring of speed, which have tests of their own."""
    monkeypatch.setattr(delivery, "_export", lambda *_: ({}, None))


def weights(folder: Path) -> dict[str, np.ndarray]:
    found: dict[str, np.ndarray] = load_file(folder / "model.safetensors")
    return found


def same(one: Path, other: Path) -> bool:
    left, right = weights(one), weights(other)
    return left.keys() == right.keys() and all(
        np.array_equal(left[name], right[name]) for name in left
    )


def test_a_model_with_its_int8_file_and_its_card(write: Any, tmp_path: Path) -> None:
    told: list[str] = []
    recipe = write(output={"int8": True}, card={"language": ["en"], "license": "mit"})
    report = run_recipe(recipe, tell=told.append)
    assert report.note is None  # it would say why there is no int8 file
    out = tmp_path / "out"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "recipe.yaml", "train.jsonl"]
    card = (out / "README.md").read_text()
    assert yaml.safe_load(card.split("---\n")[1])["license"] == "mit"
    assert "On 6 queries with 30 documents: rows of 'train' that were held out" in card
    assert "| train | train.jsonl | 18 | softmax_cross_entropy |" in card
    assert report.quality.after.values["nDCG@10"] > report.quality.before.values["nDCG@10"]
    with CrossEncoder(out, precision="fp32") as whole, CrossEncoder(out, precision="int8") as small:
        pairs = [("stove 99?", text) for text in (*GOOD, *BAD)]
        scores, reduced = whole.predict(pairs), small.predict(pairs)
        assert small.runtime.files[0].name == "model_int8.onnx"
    assert scores[:3].mean() > scores[3:].mean()
    # How near int8 comes is a matter of tests/quantization; another model would not come near.
    assert np.corrcoef(scores, reduced)[0, 1] > 0.9
    assert json.loads((out / "export-report.json").read_text())["precision"] == "int8"
    assert [line.partition(":")[0] for line in told if line.startswith("step ")] == [
        f"step {step} of 8" for step in (2, 4, 6, 8)
    ]


@pytest.mark.usefixtures("unmeasured")
def test_the_same_recipe_gives_the_same_weights(write: Any, tmp_path: Path) -> None:
    for folder in ("one", "two"):
        run_recipe(write(output={"folder": folder}))
    assert same(tmp_path / "one", tmp_path / "two")
    run_recipe(write(output={"folder": "three"}, training={"seed": 1, "max_steps": 8}))
    assert not same(tmp_path / "one", tmp_path / "three")


class Stop(BaseException):
    """Stands for Ctrl-C or a crash."""


def stop_at(step: str) -> Callable[[str], None]:
    def tell(line: str) -> None:
        if line.startswith(step):
            raise Stop

    return tell


@pytest.mark.usefixtures("unmeasured")
def test_an_interrupted_run_goes_on_and_ends_at_the_same_weights(
    write: Any, tmp_path: Path
) -> None:
    run_recipe(write(output={"folder": "whole"}))
    recipe = write(output={"folder": "cut"})
    with pytest.raises(Stop):
        run_recipe(recipe, tell=stop_at("step 6"))
    assert not (tmp_path / "cut").exists()
    told: list[str] = []
    # What does not change the weights may change.
    again = recipe.model_copy(update={"card": type(recipe.card)(license="mit")})
    report = run_recipe(again, tell=told.append)
    assert "Continuing from step 4." in told
    assert same(tmp_path / "whole", tmp_path / "cut")
    assert report.seconds is None
    assert not (tmp_path / "cut.training").exists()


@pytest.mark.usefixtures("unmeasured")
def test_another_recipe_or_other_data_do_not_go_on(write: Any, tmp_path: Path) -> None:
    with pytest.raises(Stop):
        run_recipe(write(), tell=stop_at("step 4"))
    with pytest.raises(InputError, match=r"training\.max_steps: 8 then, 9 now.*--restart"):
        run_recipe(write(training={"max_steps": 9}))
    with pytest.raises(InputError, match=r"train\.jsonl has changed"):
        run_recipe(write(lists(25)))
    report = run_recipe(write(lists(25)), restart=True)
    assert report.seconds is not None
    assert (tmp_path / "out").exists()


@pytest.mark.usefixtures("unmeasured")
def test_a_model_that_is_there_is_replaced_only_when_asked_for(write: Any, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out/mine.txt").write_text("keep me")
    recipe = write(training={"max_steps": 1})
    for overwrite, message in ((False, "out exists: .* overwrite=True"), (True, "holds no model")):
        with pytest.raises(InputError, match=message):
            run_recipe(recipe, overwrite=overwrite)
    assert (tmp_path / "out/mine.txt").exists()
    (tmp_path / "out/config.json").write_text("{}")
    run_recipe(recipe, overwrite=True)
    assert not (tmp_path / "out/mine.txt").exists()
    assert (tmp_path / "out/model.safetensors").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "recipe.yaml", "train.jsonl"]


def test_names_of_datasets_do_not_clash(
    write: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each has its own rows, also one that is called as what is made of others."""
    for name in ("other", "measured"):
        rows = [row | {"query": f"{name} {row['query']}"} for row in lists()]
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    seen: dict[str, str] = {}

    def look(model: Any, arguments: Any, data: Any, *_: Any, **__: Any) -> None:
        seen.update({name: rows["query"][23] for name, rows in data.items()})
        raise Stop

    monkeypatch.setattr(run, "CrossEncoderTrainer", look)
    data = {
        "train": {"path": "train.jsonl", "by_query": True},
        "train-by-query": {"path": "other.jsonl"},
        "evaluation": {"path": "other.jsonl"},
        "../x": {"path": "train.jsonl"},
    }
    with pytest.raises(Stop):
        run_recipe(write(data=data, evaluation={"path": "measured.jsonl"}))
    assert seen == {
        "train": "stove 23?",
        "train-by-query": "other stove 23?",
        "evaluation": "other stove 23?",
        "../x": "stove 23?",
    }


def test_an_int8_file_of_more_than_2_gb_brings_its_weights(
    write: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("crossrank.quantization.weights.LARGEST", 2**14)
    monkeypatch.setattr(delivery, "measure", lambda *_: (Measurement(1.0, 234.0, 10**8), None))
    run_recipe(write(training={"max_steps": 1}, output={"int8": True}))
    assert (tmp_path / "out/onnx/model_int8.onnx.data").stat().st_size > 2**14
    out, pair = tmp_path / "out", ("stove 99?", GOOD[0])
    with CrossEncoder(out, precision="fp32") as whole, CrossEncoder(out, precision="int8") as int8:
        assert int8.runtime.files[0].name == "model_int8.onnx"
        assert int8.predict(pair) == pytest.approx(whole.predict(pair), abs=0.1)


def test_an_int8_file_that_loses_too_much_is_left_out(
    write: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **options: Any) -> None:
        assert options["max_ndcg_loss"] == 0.01
        raise QualityLimitError("int8 loses 5 % of nDCG@10.")

    monkeypatch.setattr(delivery, "export", refuse)
    monkeypatch.setattr(delivery, "measure", lambda *_: (Measurement(1.0, 234.0, 10**8), None))
    recipe = write(training={"max_steps": 1}, output={"int8": True, "max_ndcg_loss": 0.01})
    report = run_recipe(recipe)
    assert report.note == "There is no int8 file: int8 loses 5 % of nDCG@10."
    assert report.note in (tmp_path / "out/README.md").read_text()
    assert list(report.figures) == ["fp32"]
    assert report.figures["fp32"].pairs_per_second == 234
    assert report.figures["fp32"].bytes == (tmp_path / "out/model.safetensors").stat().st_size
    assert not (tmp_path / "out/onnx").exists()


@pytest.mark.usefixtures("unmeasured")
def test_classes_and_similarities(write: Any, tmp_path: Path) -> None:
    three = str(make_classifier(tmp_path / "three", "bert", labels=3))
    texts = GOOD + BAD
    classes = [
        {"query": f"{one} {n}", "document": other, "label": (i + j) % 3}
        for n in range(2)
        for i, one in enumerate(texts)
        for j, other in enumerate(texts)
    ]
    recipe = write(classes, model={"name": three}, loss="cross_entropy")
    report = run_recipe(recipe)
    assert set(report.quality.after.values) == {"accuracy", "macro_f1"}
    assert report.quality.unit == "pairs"
    one_class = write([row | {"label": 1} for row in classes], model={"name": three})
    one_class = one_class.model_copy(update={"loss": recipe.loss})
    with pytest.raises(InputError, match="at least two values are required, and all are 1"):
        run_recipe(one_class, overwrite=True)
    graded = [row | {"label": row["label"] / 2} for row in classes]
    report = run_recipe(write(graded, loss="mse"), overwrite=True)
    assert set(report.quality.after.values) == {"spearman", "pearson"}


@pytest.mark.usefixtures("unmeasured")
def test_pairs_of_a_query_are_joined_and_several_datasets_weighted(
    write: Any, tmp_path: Path
) -> None:
    rows = [
        {"query": row["query"], "document": text, "label": label}
        for row in lists()
        for text, label in zip(row["documents"], row["labels"], strict=True)
    ]
    (tmp_path / "more.csv").write_text("stove?,It burns gas.,Berlin.\nlamp?,A lamp burns.,No.\n")
    report = run_recipe(
        write(
            rows,
            data={
                "train": {"path": "train.jsonl", "by_query": True, "weight": 1},
                "more": {
                    "path": "more.csv",
                    "columns": ["query", "positive", "negative"],
                    "weight": 3,
                    "loss": "hinge",
                },
            },
        )
    )
    assert report.rows == {"train": 18, "more": 2}


@pytest.fixture
def task(tmp_path: Path) -> Path:
    folder = tmp_path / "judged"
    folder.mkdir()
    texts = dict(enumerate(GOOD + BAD))
    corpus = [{"_id": f"d{n}", "text": text} for n, text in texts.items()]
    (folder / "corpus.jsonl").write_text("".join(json.dumps(row) + "\n" for row in corpus))
    queries = [{"_id": f"q{n}", "text": f"stove {n}?"} for n in range(100, 104)]
    (folder / "queries.jsonl").write_text("".join(json.dumps(row) + "\n" for row in queries))
    (folder / "qrels.txt").write_text("".join(f"{row['_id']} 0 d0 1\n" for row in queries))
    run = [f"{row['_id']} Q0 d{n} 1 {n}.5 x\n" for row in queries for n in texts]
    (folder / "run.txt").write_text("".join(run))
    return folder


@pytest.mark.usefixtures("unmeasured", "task")
def test_a_judged_folder_also_tells_what_its_first_stage_is_worth(
    write: Any, tmp_path: Path
) -> None:
    report = run_recipe(write(evaluation={"path": "judged", "depth": 6}))
    assert report.rows == {"train": 24}
    assert report.quality.data.startswith("On the 4 judged queries of judged")
    assert report.quality.first_stage is not None
    assert report.quality.first_stage.values["RR@10"] == pytest.approx(1 / 6)  # d0 comes last


@pytest.mark.usefixtures("unmeasured")
def test_queries_that_are_trained_on_too_are_owned_up_to(write: Any, tmp_path: Path) -> None:
    report = run_recipe(write(evaluation={"path": "train.jsonl"}, training={"max_steps": 1}))
    assert "24 of the queries are in the training data 'train' too" in report.quality.data


def change(**values: Any) -> list[Row]:
    """Rows of which the third is changed."""
    rows = lists()
    rows[2] |= values
    return rows


@pytest.mark.usefixtures("unmeasured")
@pytest.mark.parametrize(
    ("rows", "changes", "message"),
    [
        (change(documents=[], labels=[]), {}, r"train, row 3, column 'documents': a list of doc"),
        (change(labels=[1, 0]), {}, r"row 3, column 'labels': as many numbers as documents, 5,"),
        (change(labels=[1, 0, 0, 0, float("nan")]), {}, r"train\.jsonl, line 3, column 'labels'"),
        (change(labels=[2, 0, 0, 0, 0]), {"loss": "binary_cross_entropy"}, "row 3: the label 2"),
        (change(note="x"), {}, r"train\.jsonl, line 3: the columns of the first row are required"),
        ([row | {"note": "x"} for row in lists()], {}, "is a column too many"),
        (
            [row | {"teacher_scores": [1.0] * 4} for row in lists()],
            {"loss": "margin_mse"},
            r"row 1, column 'teacher_scores': as many numbers as documents, 5, are required",
        ),
        (
            [{"query": f"q{n}", "positive": "p", "negative": "n"} for n in range(20)],
            {"loss": "margin_mse"},
            "no column 'teacher_scores'",
        ),
        (
            [{"query": f"q{n}", "document": "d", "label": 1} for n in range(20)],
            {"loss": "binary_cross_entropy"},
            "labels of at least two values are required, and all are 1",
        ),
        (lists(), {"training": {"loggers": ["tensorboardx"]}}, "'tensorboardx' is not installed"),
        (lists(), {"training": {"freeze_layers": 9}}, "freeze_layers must be 0 to 2, received 9"),
        (
            [{"query": f"q{n}", "document": "d", "label": 1} for n in range(20)],
            {"loss": "cross_entropy"},
            "needs a model with one logit a class, this one has 1",
        ),
    ],
)
def test_data_that_cannot_be_used(
    write: Any, tmp_path: Path, rows: list[Row], changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        run_recipe(write(rows, **changes))
    assert not (tmp_path / "out.training").exists()


@pytest.mark.usefixtures("unmeasured")
def test_a_limit_of_ndcg_needs_a_ranking(write: Any) -> None:
    rows = [{"a": f"a {n}", "b": "b", "score": n / 50} for n in range(50)]
    recipe = write(rows, loss="mse", output={"int8": True, "max_ndcg_loss": 0.1})
    with pytest.raises(InputError, match=r"max_ndcg_loss needs an evaluation on rankings"):
        run_recipe(recipe)


@pytest.mark.usefixtures("unmeasured")
def test_a_bi_encoder_gets_a_head_and_is_a_cross_encoder_afterwards(
    write: Any, tiny: Path, tmp_path: Path
) -> None:
    base = tmp_path / "bi-encoder"
    BertModel.from_pretrained(tiny).save_pretrained(base)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(tiny / name, base)
    kinds = {"": "Transformer", "1_Pooling": "Pooling"}
    modules = [{"path": path, "type": f"x.models.{kind}"} for path, kind in kinds.items()]
    (base / "modules.json").write_text(json.dumps(modules))
    (base / "1_Pooling").mkdir()
    (base / "1_Pooling/config.json").write_text("{}")
    (base / "sentence_bert_config.json").write_text('{"max_seq_length": 48}')
    run_recipe(write(model={"name": "bi-encoder"}, training={"max_steps": 2}))
    assert not list((tmp_path / "out").glob("*modules.json"))
    assert not list((tmp_path / "out").glob("1_Pooling"))
    with CrossEncoder(tmp_path / "out", backend="torch") as model:
        assert (model.num_labels, model.max_length) == (1, 48)
        assert np.ptp(model.predict([("stove?", text) for text in GOOD])) > 0
