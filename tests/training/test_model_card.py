"""Model cards: what they say follows from the report, and their head is YAML."""

from pathlib import Path
from typing import Any

import pytest

for package in ("torch", "datasets", "pydantic", "yaml"):
    pytest.importorskip(package, reason="the extra 'train' is not installed")
import yaml  # noqa: E402

from crossrank.evaluation.evaluators import Outcome  # noqa: E402
from crossrank.quantization.report import Figures  # noqa: E402
from crossrank.training.model_card import Quality, TrainingReport, model_card  # noqa: E402
from crossrank.training.recipe import Recipe  # noqa: E402

BETTER = [0.2, 0.4] * 10, [0.7, 0.8] * 10


def outcome(values: list[float]) -> Outcome:
    return Outcome({"nDCG@10": sum(values) / len(values)}, len(values), {"nDCG@10": values})


QUALITY = Quality("On 20 queries.", "queries", outcome(BETTER[0]), outcome(BETTER[1]))
FIGURES = {
    "fp32": Figures(90_900_000, 1.0, 85.4, 400_000_000, 0.7511),
    "int8": Figures(24_000_000, 0.5, 301.7, 200_000_000, 0.7502),
}


@pytest.fixture
def recipe(tmp_path: Path) -> Recipe:
    (tmp_path / "secret-folder").mkdir()
    (tmp_path / "secret-folder/faq.csv").touch()
    (tmp_path / "recipe.yaml").write_text(
        """
model: {name: some/encoder, max_length: 128}
data:
  faq: {path: secret-folder/faq.csv, license: "CC BY-SA 4.0"}
  more: {path: secret-folder/faq.csv, loss: ranknet}
loss: [{name: lambda_loss, k: 10}, {name: margin_mse, weight: 0.5}]
output: {folder: shop-reranker}
card: {title: "Shop: reranker", language: [en, "no"], license: apache-2.0, description: For a shop.}
"""
    )
    return Recipe.read(tmp_path / "recipe.yaml")


def card(recipe: Recipe, **changes: Any) -> str:
    known: dict[str, Any] = {
        "recipe": recipe,
        "rows": {"faq": 12_345, "more": 7},
        "quality": QUALITY,
        "figures": FIGURES,
        "measured_pairs": 600,
        "machine": "a processor, 2 cores",
        "steps": 40,
        "best_step": 30,
        "settings": {"bf16": False, "padding": 0.031},
        "seconds": 3725.0,
    }
    return model_card(TrainingReport(**(known | changes)))


def test_the_head(recipe: Recipe) -> None:
    _, head, _ = card(recipe).split("---\n", 2)
    assert yaml.safe_load(head) == {
        "library_name": "crossrank",
        "pipeline_tag": "text-ranking",
        "license": "apache-2.0",
        "language": ["en", "no"],
        "base_model": "some/encoder",
        "tags": ["cross-encoder", "reranker"],
    }


def test_what_is_not_known_is_left_out_of_the_head(tmp_path: Path, recipe: Recipe) -> None:
    (tmp_path / "base").mkdir()
    bare = recipe.model_copy(
        update={
            "card": type(recipe.card)(),
            "model": type(recipe.model)(name=str(tmp_path / "base")),
        }
    )
    text = card(bare)
    _, head, _ = text.split("---\n", 2)
    assert {"license", "language"}.isdisjoint(yaml.safe_load(head))
    assert yaml.safe_load(head)["base_model"] == "base"
    assert "# shop-reranker\n" in text


def test_the_body(recipe: Recipe) -> None:
    text = card(recipe)
    for part in [
        "# Shop: reranker\n\nFor a shop.",
        'model = CrossEncoder("shop-reranker", precision="int8")',
        "On 20 queries.",
        # 0.3 and 0.75 on average; every query gains .5 or .4, so p is 1 of 10,001 draws.
        "| nDCG@10 | 0.300 [0.",
        "| +0.450 [+0.4",
        "| 0.0001 |",
        "nDCG@10 rose on 20 queries and fell on 0.",
        "| fp32 | 90.9 | 85 | 400 | 0.7511 |\n| int8 | 24.0 | 302 | 200 | 0.7502 |",
        "Measured on a processor, 2 cores, with 600 pairs",
        "| faq | faq.csv | 12,345 | lambda_loss(k=10) + 0.5 · margin_mse | CC BY-SA 4.0 |",
        "| more | faq.csv | 7 | ranknet | not stated |",
        "40 steps in 1 h 2 min. The weights of step 30 were kept",
        "max_length: 128\n",
        "learning_rate: 2.0e-05\n",
        "bf16: false\n",
    ]:
        assert part in text, part
    assert "secret-folder" not in text


def test_without_a_ranking_or_an_int8_file(recipe: Recipe) -> None:
    quality = Quality(
        "On 100 pairs.",
        "pairs",
        Outcome({"spearman": 0.1}, 103),
        Outcome({"spearman": 0.8}, 103),
    )
    figures = {"fp32": Figures(90_900_000, 1.0, 85.4, 400_000_000, None)}
    text = card(recipe, quality=quality, figures=figures, seconds=None, note="No int8: too lossy.")
    assert "| spearman | 0.100 [-0.096, 0.288] | 0.800 [0.703, 0.868] | +0.700 |  |" in text
    assert "nDCG@10" not in text
    assert "randomisation" not in text
    assert 'CrossEncoder("shop-reranker")' in text
    assert "| fp32 | 90.9 | 85 | 400 |\n" in text
    assert "No int8: too lossy." in text
    assert "40 steps. The weights" in text


def test_the_first_stage_is_a_column_where_it_is_known(recipe: Recipe) -> None:
    quality = Quality(
        "On 20 queries.", "queries", QUALITY.before, QUALITY.after, outcome([0.5] * 20)
    )
    text = card(recipe, quality=quality)
    assert "| measure | first stage | before | after | change | p |" in text
    assert "| nDCG@10 | 0.500 [0.500, 0.500] | 0.300" in text
