"""Model cards: what a model was made of, how good it is, and how sure that is."""

import importlib.metadata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from crossrank.evaluation.evaluators import Outcome
from crossrank.evaluation.significance import compare
from crossrank.quantization.report import Figures
from crossrank.training.recipe import Recipe

LIBRARIES = ("crossrank", "torch", "transformers")


@dataclass(frozen=True)
class Quality:
    """What a model was measured on before and after training.

    Attributes:
        data: What that is, as a sentence.
        unit: What was averaged over: queries or pairs.
        before: With the weights that training began with.
        after: With those that it ended with.
        first_stage: What the order of the candidates is worth, where a run gives it.
    """

    data: str
    unit: str
    before: Outcome
    after: Outcome
    first_stage: Outcome | None = None

    def rows(self) -> list[list[str]]:
        """Make a table: measure, first stage, before, after, change, p."""
        return [self._row(name) for name in self.after.values]

    def _row(self, name: str) -> list[str]:
        first = [_value(self.first_stage, name)] if self.first_stage else []
        return [
            name,
            *first,
            _value(self.before, name),
            _value(self.after, name),
            *self._test(name),
        ]

    def _test(self, name: str) -> list[str]:
        if name not in self.after.each:
            return [f"{self.after.values[name] - self.before.values[name]:+.3f}", ""]
        found = compare(self.before.each[name], self.after.each[name])
        change = found.difference
        return [
            f"{change.mean:+.3f} [{change.low:+.3f}, {change.high:+.3f}]",
            f"{found.p_value:.4f}",
        ]

    def header(self) -> list[str]:
        """Name the columns of ``rows()``."""
        first = ["first stage"] if self.first_stage else []
        return ["measure", *first, "before", "after", "change", "p"]


@dataclass(frozen=True)
class TrainingReport:
    """What came of a recipe.

    Attributes:
        recipe: The recipe.
        rows: How many rows of each dataset were trained on.
        quality: What the model is worth.
        figures: Size and speed by precision.
        measured_pairs: How many pairs speed was measured on.
        machine: The processor that it was measured on.
        steps: How many steps were trained.
        best_step: The step whose weights were kept.
        settings: What the run found out for itself, e.g. the precision.
        seconds: How long training took, where it was not interrupted.
        note: Why there is no int8 file, where one was asked for.
    """

    recipe: Recipe
    rows: dict[str, int]
    quality: Quality
    figures: dict[str, Figures]
    measured_pairs: int
    machine: str
    steps: int
    best_step: int
    settings: dict[str, Any]
    seconds: float | None
    note: str | None = None


def model_card(report: TrainingReport) -> str:
    """Write the model card, Markdown with a head in YAML."""
    recipe = report.recipe
    sections = [
        f"# {recipe.card.title or recipe.output.folder.name}",
        recipe.card.description or "",
        f"A cross-encoder, trained from `{_base(recipe)}` with crossrank.",
        _use(recipe, "int8" in report.figures),
        _quality(report.quality),
        _speed(report),
        _training(report),
    ]
    return _head(recipe) + "\n" + "\n\n".join(filter(None, sections)) + "\n"


def _head(recipe: Recipe) -> str:
    entries = {
        "library_name": "crossrank",
        "pipeline_tag": "text-ranking",
        "license": recipe.card.license,
        "language": list(recipe.card.language) or None,
        "base_model": _base(recipe),
        "tags": ["cross-encoder", "reranker"],
    }
    known = {name: value for name, value in entries.items() if value is not None}
    return f"---\n{yaml.safe_dump(known, sort_keys=False, allow_unicode=True)}---\n"


def _base(recipe: Recipe) -> str:
    """Name the model that training began with; of a folder only its own name."""
    folder = Path(recipe.model.name)
    return folder.name if folder.is_absolute() else recipe.model.name


def _use(recipe: Recipe, int8: bool) -> str:
    options = ', precision="int8"' if int8 else ""
    return f"""## Use

```python
from crossrank import CrossEncoder

model = CrossEncoder("{recipe.output.folder.name}"{options})
model.rank("a query", ["a document", "another one"])
```"""


def _quality(quality: Quality) -> str:
    after = quality.after
    names = [name for name in after.each if name in quality.before.each]
    lines = [f"## Quality\n\n{quality.data}", _table(quality.header(), quality.rows())]
    lines.append(
        "Before is the model that training began with; a head that it did not have was random. "
        f"Brackets are 95 % intervals for other {quality.unit} of the same kind"
        + (f": percentile bootstrap over the {after.size} {quality.unit}." if names else ".")
    )
    if names:
        found = compare(quality.before.each[names[0]], after.each[names[0]])
        lines.append(
            "p is that of a paired randomisation test. "
            f"{names[0]} rose on {found.wins} {quality.unit} and fell on {found.losses}."
        )
    return "\n\n".join(lines)


def _speed(report: TrainingReport) -> str:
    judged = any(figures.ndcg is not None for figures in report.figures.values())
    rows = [
        [
            precision,
            f"{figures.bytes / 1e6:.1f}",
            f"{figures.pairs_per_second:.0f}",
            f"{figures.peak_bytes / 1e6:.0f}",
            *([f"{figures.ndcg:.4f}"] if figures.ndcg is not None else []),
        ]
        for precision, figures in report.figures.items()
    ]
    header = ["precision", "MB", "pairs/s", "memory, MB", *(["nDCG@10"] if judged else [])]
    told = f"Measured on {report.machine}, with {report.measured_pairs} pairs like those above."
    return "\n\n".join(filter(None, ["## Speed and size", _table(header, rows), told, report.note]))


def _training(report: TrainingReport) -> str:
    recipe = report.recipe
    data = [
        [
            name,
            entry.path.name,
            f"{report.rows[name]:,}",
            _loss(recipe, name),
            entry.license or "not stated",
        ]
        for name, entry in recipe.data.items()
    ]
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in LIBRARIES)
    unused = {"epochs"} if recipe.training.max_steps else set()
    settings = _plain(recipe.training.model_dump(exclude=unused) | report.settings)
    model = _plain(recipe.model.model_dump(exclude={"name"}))
    return "\n\n".join(
        [
            "## Training",
            _table(["data", "file", "rows", "loss", "licence"], data),
            f"{report.steps} steps{_duration(report.seconds)}. The weights of step "
            f"{report.best_step} were kept: of all checkpoints they did best in the evaluation "
            "above, whose values after training are therefore slightly optimistic.",
            f"Made with {versions}.",
            f"```yaml\n{yaml.safe_dump(model | settings, sort_keys=False)}```",
        ]
    )


def _loss(recipe: Recipe, name: str) -> str:
    """Write a loss with its options."""
    terms = []
    for term in recipe.terms()[name]:
        options = ", ".join(f"{key}={value}" for key, value in (term.model_extra or {}).items())
        weight = f"{term.weight:g} · " if term.weight != 1 else ""
        terms.append(f"{weight}{term.name}" + (f"({options})" if options else ""))
    return " + ".join(terms)


def _plain(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Keep what says something, in types that YAML has."""
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in settings.items()
        if value not in (None, ())
    }


def _value(outcome: Outcome | None, name: str) -> str:
    if outcome is None:
        return ""
    return str(outcome.interval(name) or f"{outcome.values[name]:.3f}")


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return ""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f" in {hours} h {minutes} min" if hours else f" in {minutes} min {rest} s"


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
