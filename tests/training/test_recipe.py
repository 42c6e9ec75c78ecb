"""Recipes: what they hold, and how every mistake is named."""

from pathlib import Path

import pytest

for package in ("torch", "datasets", "pydantic", "yaml"):
    pytest.importorskip(package, reason="the extra 'train' is not installed")
import yaml  # noqa: E402
from pydantic import BaseModel  # noqa: E402

from crossrank.errors import InputError  # noqa: E402
from crossrank.losses import WeightedSum  # noqa: E402
from crossrank.losses.pairwise import LambdaLoss  # noqa: E402
from crossrank.losses.pointwise import BinaryCrossEntropy  # noqa: E402
from crossrank.training.recipe import TEMPLATE, Recipe  # noqa: E402

SMALLEST = """
model: {name: some/model}
data: {train: {path: train.jsonl}}
loss: binary_cross_entropy
output: {folder: out}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "train.jsonl").touch()
    (tmp_path / "dev/judged").mkdir(parents=True)
    return tmp_path


def read(folder: Path, text: str) -> Recipe:
    (folder / "recipe.yaml").write_text(text, encoding="utf-8")
    return Recipe.read(folder / "recipe.yaml")


def mistakes(folder: Path, text: str) -> str:
    with pytest.raises(InputError) as caught:
        read(folder, text)
    return str(caught.value).removeprefix(str(folder / "recipe.yaml"))


def test_paths_begin_at_the_recipe(folder: Path) -> None:
    recipe = read(folder, SMALLEST)
    assert recipe.data["train"].path == folder / "train.jsonl"
    assert recipe.output.folder == folder / "out"
    assert recipe.model.name == "some/model"
    (folder / "some/model").mkdir(parents=True)
    assert read(folder, SMALLEST).model.name == str(folder / "some/model")


def test_the_template_holds_every_option_with_its_default(folder: Path) -> None:
    (folder / "recipe.yaml").write_text(TEMPLATE.read_text(encoding="utf-8"), encoding="utf-8")
    recipe = Recipe.read(folder / "recipe.yaml")
    raw = yaml.safe_load(TEMPLATE.read_text(encoding="utf-8"))
    written = {"": (recipe, raw), "data.train.": (recipe.data["train"], raw["data"]["train"])}
    for name in ("model", "training", "evaluation", "output", "card"):
        written[f"{name}."] = (getattr(recipe, name), raw[name])
    for section, keys in written.values():
        assert list(type(section).model_fields) == list(keys)
        for name, field in type(section).model_fields.items():
            default, value = field.get_default(), getattr(section, name)
            if not field.is_required() and not isinstance(value, BaseModel) and name != "loss":
                assert value == default, name


def test_losses(folder: Path) -> None:
    text = SMALLEST + "training: {seed: 3}\n"
    (only,) = read(folder, text).losses().values()
    assert isinstance(only, BinaryCrossEntropy)
    text = text.replace("binary_cross_entropy", "{name: lambda_loss, k: 7, sigma: 2e-1}")
    (only,) = read(folder, text).losses().values()
    assert isinstance(only, LambdaLoss)
    assert (only.k, only.sigma) == (7, 0.2)


def test_a_sum_of_losses_and_one_for_each_dataset(folder: Path) -> None:
    recipe = read(
        folder,
        """
        model: {name: some/model}
        data:
          one: {path: train.jsonl, loss: [{name: ranknet}, {name: margin_mse, weight: 0.5}]}
          two: {path: train.jsonl, loss: {name: mse, weight: 2}}
        output: {folder: out}
        """,
    )
    losses = recipe.losses()
    assert isinstance(losses["one"], WeightedSum)
    assert [loss.name for loss in losses["one"].losses] == ["ranknet", "margin_mse"]
    assert losses["one"].weights == [1, 0.5]
    assert isinstance(losses["two"], WeightedSum)
    assert losses["two"].weights == [2]
    assert recipe.weights() is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("training: {learning_rat: 1}",
         "line 6: training.learning_rat: unknown; did you mean learning_rate?"),
        ("learnin_rate: 1", "line 6: learnin_rate: unknown; did you mean training.learning_rate?"),
        ("dta: 1", "line 6: dta: unknown; did you mean data?"),
        ("training: {qqqq: 1}", "line 6: training.qqqq: unknown; known in training: epochs, "),
        ("training: {learning_rate: 0}", "learning_rate: must be greater than 0, received 0"),
        ("training: {learning_rate: .nan}", "must be a finite number, received nan"),
        ("training: {max_steps: '10'}", "max_steps: must be a valid integer, received '10'"),
        ("training: {max_steps: 1.5}", "training.max_steps: must be a valid integer"),
        ("training: {batch_size: 0}", "training.batch_size: must be greater than or equal to 1"),
        ("training: {layer_decay: 1.1}", "training.layer_decay: must be less than or equal to 1"),
        ("training: {eval_steps: 2.5}", "training.eval_steps: must be a share below 1, or a whole"),
        ("training: {bf16: 1}", "training.bf16: must be 'auto', received 1"),
        ("evaluation: {measures: [nDGC@10]}", "evaluation.measures: A measure must be one that"),
        ("card: {title: 2024-13-45}", "line 6: month must be in 1..12"),
        ("card:\n  title: !!int x", "line 7: invalid literal for int() with base 10: 'x'"),
        ("evaluation: {path: ~nouser/x}",
         "line 6: evaluation.path: must be a path, received '~nouser/x': Could not determine"),
        ("evaluation: {path: absent}", "evaluation.path: there is no file or folder"),
        ("evaluation: {path: train.jsonl, held_out: 0.1}", "either a path or a share"),
        ("evaluation: {max_queries: 1}", "max_queries: must be greater than or equal to 2"),
        ("evaluation: {held_out: 1}", "evaluation.held_out: must be less than 1"),
        ("card: {language: [no]}", "card.language.1: must be a valid string, received False"),
        ("card: 3", "line 6: card: must be a valid mapping"),
        ("model: {name: x}", "line 6: the key 'model' is there twice"),
        ("{", "line 6: expected <block end>, but found '{'"),
        ("x: !!python/object/apply:os.system [ls]", "could not determine a constructor"),
        ("x: &x [*y]", "found undefined alias"),
        ("? [1]\n: 2", "found unhashable key"),
    ],
)  # fmt: skip
def test_a_mistake_is_named_by_line_and_place(folder: Path, change: str, message: str) -> None:
    assert message in mistakes(folder, SMALLEST + change)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("some/model", "./absent", "line 2: model.name: there is no folder"),
        ("{name: some/model}", "{}", "line 2: model.name: is required"),
        ("path: train.jsonl", "path: nowhere.csv", "line 3: data.train.path: there is no file"),
        ("some/model", "~nouser/x", "line 2: model.name: must be a path, received '~nouser/x'"),
        ("some/model", "''", "line 2: model.name: must be a path, received ''"),
        ("path: train.jsonl", f"path: {'a' * 5000}", "data.train.path: must be a path, received"),
        ("{folder: out}", f"{{folder: {'a' * 5000}}}", "output.folder: must be a path, received"),
        ("{folder: out}", "{folder: .}", "is or contains the recipe's folder: name another"),
        ("{folder: out}", "{folder: ../..}", "is or contains the recipe's folder: name another"),
        ("{folder: out}", "{folder: /}", "/ is or contains the recipe's folder: name another"),
        ("{folder: out}", "{folder: train.jsonl}", "is or contains data.train.path: name another"),
        ("{folder: out}\n", "{folder: dev}\nevaluation: {path: dev/judged}\n",
         "is or contains evaluation.path: name another"),
        ("path: train.jsonl", "path: 3", "data.train.path: must be a path, received 3"),
        ("path: train.jsonl", "path: train.jsonl, pat: x", "pat: unknown; did you mean path?"),
        ("path: train.jsonl", "path: train.jsonl, columns: 7", "data.train.columns: must be"),
        ("{train: {path: train.jsonl}}", "{}", "line 3: data: "),
        ("loss: binary_cross_entropy", "", "a loss is required, for all data or in data.train"),
        ("binary_cross_entropy", "binary_cross_entropi", "Did you mean 'binary_cross_entropy'?"),
        ("binary_cross_entropy", "{name: ranknet, sgma: 2}",
         "line 4: loss: sgma is no option of ranknet; did you mean sigma?"),
        ("binary_cross_entropy", "{name: softmax_cross_entropy, t: 2}", "t is no option"),
        ("binary_cross_entropy", "{name: ranknet, sigma: -1}", "sigma must be a number above 0"),
        ("binary_cross_entropy", "{name: ranknet, weight: 0}", "loss.weight: must be greater"),
        ("binary_cross_entropy", "[]", "line 4: loss: "),
        ("{folder: out}", "{}", "line 5: output.folder: is required"),
        ("{train: {path: train.jsonl}}",
         "{a: {path: train.jsonl}, b: {path: train.jsonl, weight: 1}}",
         "either each dataset has a weight or none"),
    ],
)  # fmt: skip
def test_a_mistake_in_what_is_required(folder: Path, old: str, new: str, message: str) -> None:
    assert message in mistakes(folder, SMALLEST.replace(old, new))


def test_all_mistakes_are_told_at_once_in_order(folder: Path) -> None:
    text = SMALLEST + "training: {seed: -1}\ncard: {titel: x}\n"
    assert mistakes(folder, text).splitlines() == [
        ":",
        "line 6: training.seed: must be greater than or equal to 0, received -1",
        "line 7: card.titel: unknown; did you mean title?",
    ]


@pytest.mark.parametrize("content", [b"", b"- a\n- b\n", b"\xff\xfe", b"[" * 2000])
def test_no_recipe_at_all(folder: Path, content: bytes) -> None:
    path = folder / "recipe.yaml"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"recipe\.yaml"):
        Recipe.read(path)
    with pytest.raises(InputError, match="cannot be read"):
        Recipe.read(folder / "absent.yaml")
