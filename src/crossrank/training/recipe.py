"""The recipe of a training run: every option in one file."""

import difflib
import inspect
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)

from crossrank.evaluation.measures import measure
from crossrank.losses import LOSSES, Loss, WeightedSum, make_loss
from crossrank.models.folders import refuse_loss
from crossrank.training.yaml_models import Section, read_yaml

TEMPLATE = Path(__file__).parent / "recipe.yaml"
"""A recipe with every option explained."""


def _beside_recipe(value: Any, info: ValidationInfo) -> Any:
    """Make a path of a text; a relative one begins at the recipe's folder."""
    if not isinstance(value, str) or not value:
        raise ValueError(f"must be a path, received {value!r}")
    try:
        path: Path = _folder(info) / Path(value).expanduser()
        path.exists()
    except (OSError, RuntimeError) as error:  # too long; of a user who is not known
        raise ValueError(f"must be a path, received {value!r:.80}: {error!s:.80}") from error
    return path


def _folder(info: ValidationInfo) -> Path:
    folder: Path = (info.context or {}).get("folder", Path())
    return folder


def _existing(value: Path) -> Path:
    if not value.exists():
        raise ValueError(f"there is no file or folder {value}")
    return value


def _model_name(value: str, info: ValidationInfo) -> str:
    folder: Path = _beside_recipe(value, info)
    if folder.is_dir():
        return str(folder)
    if value.startswith((".", "~", "/")):
        raise ValueError(f"there is no folder {folder}; name a folder or a hub id")
    return value


def _loss_terms(value: Any) -> Any:
    """A name, or one term, is a sum of one term."""
    if isinstance(value, str):
        value = {"name": value}
    return [value] if isinstance(value, dict) else value


def _tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


NewPath = Annotated[Path, BeforeValidator(_beside_recipe)]
ExistingPath = Annotated[Path, BeforeValidator(_beside_recipe), AfterValidator(_existing)]
Strings = Annotated[tuple[str, ...], BeforeValidator(_tuple)]
Columns = dict[str, str] | list[str] | None
Count = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(gt=0, le=1)]


class LossTerm(Section):
    """A loss, its options beside its name, and its weight in the sum."""

    model_config = ConfigDict(extra="allow")

    name: str
    weight: Annotated[float, Field(gt=0)] = 1.0

    @model_validator(mode="after")
    def _check(self) -> Self:
        _ = self.loss
        return self

    @cached_property
    def loss(self) -> Loss:
        """The loss itself."""
        options = self.model_extra or {}
        if self.name in LOSSES:
            parameters = inspect.signature(LOSSES[self.name]).parameters.values()
            known = ["weight"] + [
                p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)
            ]
            for name in options:
                if name not in known:
                    near = difflib.get_close_matches(name, known, n=1)
                    hint = f"; did you mean {near[0]}?" if near else ""
                    raise ValueError(f"{name} is no option of {self.name}{hint}")
        return make_loss(self.name, **options)


LossTerms = Annotated[list[LossTerm], Field(min_length=1), BeforeValidator(_loss_terms)]


class LoRASection(Section):
    """Low-rank adaptation, see :class:`crossrank.training.model.LoRA`."""

    rank: Count = 16
    alpha: Annotated[float, Field(gt=0)] = 32.0
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0


class ModelSection(Section):
    """What to start from."""

    name: Annotated[str, AfterValidator(_model_name)]
    revision: str | None = None
    num_labels: Count | None = None
    max_length: Count | None = None
    truncation: Literal["longest_first", "only_document"] | None = None
    lora: LoRASection | None = None


class DataSection(Section):
    """A dataset, see :func:`crossrank.training.data_files.load_data`."""

    path: ExistingPath
    columns: Columns = None
    by_query: bool = False
    depth: Count = 30
    weight: Annotated[float, Field(gt=0)] | None = None
    loss: LossTerms | None = None
    license: str | None = None


class TrainingSection(Section):
    """How to train, see ``CrossEncoderTrainingArguments``."""

    epochs: Annotated[float, Field(gt=0)] = 1.0
    max_steps: Count | None = None
    batch_size: Count = 16
    gradient_accumulation_steps: Count = 1
    learning_rate: Annotated[float, Field(gt=0)] = 2e-5
    warmup: Annotated[float, Field(ge=0)] = 0.1
    scheduler: Literal["linear", "cosine", "constant_with_warmup"] = "linear"
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    max_grad_norm: Annotated[float, Field(gt=0)] = 1.0
    layer_decay: Share = 1.0
    freeze_layers: Annotated[int, Field(ge=-1)] = -1
    in_batch_negatives: Annotated[int, Field(ge=0)] = 0
    eval_steps: Annotated[float, Field(gt=0)] = 0.25
    early_stopping_patience: Count | None = None
    collapse_patience: Count = 100
    bf16: Literal["auto"] | bool = "auto"
    gradient_checkpointing: bool = False
    mini_batch_tokens: Count | None = None
    part_tokens: Count | None = None
    workers: Annotated[int, Field(ge=0)] = 0
    loggers: Strings = ()
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 42

    @field_validator("eval_steps", "warmup")
    @classmethod
    def _share_or_count(cls, value: float) -> float:
        if value >= 1 and value != int(value):
            raise ValueError(f"must be a share below 1, or a whole number of steps: {value}")
        return value


class EvaluationSection(Section):
    """What to measure on."""

    path: ExistingPath | None = None
    columns: Columns = None
    held_out: Annotated[float, Field(gt=0, lt=1)] = 0.1
    max_queries: Annotated[int, Field(ge=2)] = 200
    depth: Count = 50
    measures: Annotated[Strings, Field(min_length=1)] = ("nDCG@10", "RR@10", "AP")

    @field_validator("measures")
    @classmethod
    def _known(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        measure({"query": {"document": 1.0}}, {"query": {"document": 1}}, names)
        return names


class OutputSection(Section):
    """What to write."""

    folder: NewPath
    int8: bool = True
    max_ndcg_loss: Annotated[float, Field(ge=0, le=1)] | None = None


class CardSection(Section):
    """What the model card says that cannot be measured."""

    title: str | None = None
    description: str | None = None
    language: Strings = ()
    license: str | None = None


class Recipe(Section):
    """A training run.

    Attributes:
        model: What to start from.
        data: Datasets by name.
        loss: What to minimise on datasets that do not say it themselves.
        training: How.
        evaluation: What to measure on.
        output: What to write.
        card: What the model card says besides.
    """

    model: ModelSection
    data: Annotated[dict[str, DataSection], Field(min_length=1)]
    loss: LossTerms | None = None
    training: TrainingSection = TrainingSection()
    evaluation: EvaluationSection = EvaluationSection()
    output: OutputSection
    card: CardSection = CardSection()

    @classmethod
    def read(cls, path: str | Path) -> Self:
        """Read a recipe; nothing that it names is loaded.

        Raises:
            InputError: It cannot be used; the message names every mistake by line and place.
        """
        return read_yaml(Path(path), cls)

    @model_validator(mode="after")
    def _check(self, info: ValidationInfo) -> Self:
        without = [name for name, data in self.data.items() if not (data.loss or self.loss)]
        if without:
            raise ValueError(f"a loss is required, for all data or in data.{without[0]}")
        weighted = [name for name, data in self.data.items() if data.weight is not None]
        if weighted and len(weighted) < len(self.data):
            raise ValueError("either each dataset has a weight or none has")
        if self.evaluation.path and "held_out" in self.evaluation.model_fields_set:
            raise ValueError("evaluation has either a path or a share that is held_out")
        refuse_loss(self.output.folder, _folder(info), "the recipe's folder")
        for name, data in self.data.items():
            refuse_loss(self.output.folder, data.path, f"data.{name}.path")
        if self.evaluation.path:
            refuse_loss(self.output.folder, self.evaluation.path, "evaluation.path")
        return self

    def losses(self) -> dict[str, Loss | WeightedSum]:
        """Give each dataset its loss."""
        return {name: _sum(data.loss or self.loss or []) for name, data in self.data.items()}

    def terms(self) -> dict[str, Sequence[LossTerm]]:
        """Give each dataset the terms of its loss, as they were written."""
        return {name: data.loss or self.loss or [] for name, data in self.data.items()}

    def weights(self) -> dict[str, float] | None:
        """How often each dataset is drawn from, where the recipe says so."""
        weights = {name: data.weight for name, data in self.data.items()}
        known = {name: weight for name, weight in weights.items() if weight is not None}
        return known or None


def _sum(terms: Sequence[LossTerm]) -> Loss | WeightedSum:
    if len(terms) == 1 and terms[0].weight == 1:
        return terms[0].loss
    return WeightedSum([(term.loss, term.weight) for term in terms])
