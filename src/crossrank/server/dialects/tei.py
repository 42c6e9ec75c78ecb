"""text-embeddings-inference: ``POST /rerank`` with ``texts``, and ``POST /predict``."""

from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, Field, RootModel

from crossrank.server.dialects.base import Body, Dialect, Schema, Scores, Task
from crossrank.server.problems import Kind, RequestError
from crossrank.server.reading import AS_MUCH_AS_FITS, Reading
from crossrank.types import Pair

ERROR_TYPES: dict[Kind, str] = {
    "empty": "Empty",
    "invalid": "Tokenizer",
    "overloaded": "Overloaded",
    "stopping": "Unhealthy",
    "timeout": "Unhealthy",
    "failed": "Backend",
}
"""What TEI calls an error; the others are validation errors."""


class TEIOptions(Schema):
    """What both requests may say."""

    raw_scores: bool = Field(default=False, description="Whether scores are logits.")
    truncate: bool | None = Field(default=None, description="If false, long pairs are refused.")
    truncation_direction: str | None = Field(
        default=None,
        pattern=r"^([Ll][Ee][Ff][Tt]|[Rr][Ii][Gg][Hh][Tt])$",
        description="With left, texts that do not fit are refused.",
    )

    def reading(self) -> Reading:
        """Say what to do with long texts."""
        if self.truncate is False:
            return Reading(whole="truncate is false")
        if (self.truncation_direction or "").lower() == "left":
            return Reading(whole="only the end can be cut off (truncation_direction 'right')")
        return AS_MUCH_AS_FITS


class TEIProblem(BaseModel):
    """An error."""

    error: str
    error_type: str


class TEIErrors(Dialect[Body]):
    """A dialect with TEI's errors."""

    problem = TEIProblem
    status: ClassVar[dict[Kind, int]] = {"failed": 424}

    def write_error(self, error: RequestError) -> TEIProblem:
        """``error`` and its type."""
        return TEIProblem(error=str(error), error_type=ERROR_TYPES.get(error.kind, "Validation"))


class TEIRerank(TEIOptions):
    """A request to rank texts."""

    query: str
    texts: list[str] = Field(json_schema_extra={"minItems": 1})
    return_text: bool = False


class TEIRank(BaseModel):
    """A text's place in a ranking."""

    index: int
    score: float
    text: str | None = None


class TEIRanks(RootModel[list[TEIRank]]):
    """A ranking, best first."""


class TEI(TEIErrors[TEIRerank]):
    """What text-embeddings-inference speaks when it ranks."""

    name: ClassVar[str] = "tei"
    paths: ClassVar[tuple[str, ...]] = ("/rerank",)
    schema = TEIRerank
    reply = TEIRanks
    example: ClassVar[dict[str, Any]] = {
        "query": "capital of France",
        "texts": ["Bread is baked.", "Paris is the capital of France."],
    }

    def claims(self, body: dict[str, Any]) -> bool:
        """``texts`` are TEI's."""
        return "texts" in body

    def read(self, body: TEIRerank) -> Task:
        """Understand a request."""
        if not body.texts:
            raise RequestError("empty", "`texts` cannot be empty.")
        return Task(
            [(body.query, text) for text in body.texts],
            raw=body.raw_scores,
            reading=body.reading(),
        )

    def write(self, body: TEIRerank, scores: Scores) -> TEIRanks:
        """A plain list, best first."""
        return TEIRanks(
            [
                TEIRank(
                    index=index,
                    score=scores.values[index],
                    text=body.texts[index] if body.return_text else None,
                )
                for index in scores.order
            ]
        )


PairOfTexts = Annotated[list[str], Field(min_length=2, max_length=2)]


class TEIPredict(TEIOptions):
    """A request to classify one pair or several."""

    inputs: PairOfTexts | Annotated[list[PairOfTexts], Field(min_length=1)] = Field(
        description="A pair, or a list of pairs. Single texts cannot be classified."
    )

    @property
    def single(self) -> bool:
        """Whether one pair came by itself."""
        return isinstance(self.inputs[0], str)


class TEILabel(BaseModel):
    """A label and its score."""

    score: float
    label: str


class TEIPredictions(RootModel[list[TEILabel] | list[list[TEILabel]]]):
    """The labels of the pair, or of each pair, best first."""


class TEIPrediction(TEIErrors[TEIPredict]):
    """What text-embeddings-inference speaks when it classifies."""

    name: ClassVar[str] = "tei-predict"
    paths: ClassVar[tuple[str, ...]] = ("/predict",)
    schema = TEIPredict
    reply = TEIPredictions
    example: ClassVar[dict[str, Any]] = {
        "inputs": [["capital of France", "Bread is baked."], ["capital of France", "Paris."]]
    }

    def read(self, body: TEIPredict) -> Task:
        """Understand a request."""
        inputs: list[Any] = [body.inputs] if body.single else body.inputs
        pairs: list[Pair] = [(query, document) for query, document in inputs]
        return Task(
            pairs,
            sort=False,
            raw=body.raw_scores,
            several_labels=True,
            reading=body.reading(),
        )

    def write(self, body: TEIPredict, scores: Scores) -> TEIPredictions:
        """The labels of each pair, best first."""
        found = [_labelled(values, scores.labels) for values in scores.values]
        return TEIPredictions(found[0] if body.single else found)


def _labelled(values: float | list[float], labels: list[str]) -> list[TEILabel]:
    """Name the scores of one pair.

    Example:
        >>> _labelled([0.25, 0.75], ["no", "yes"])
        [TEILabel(score=0.75, label='yes'), TEILabel(score=0.25, label='no')]
    """
    listed = values if isinstance(values, list) else [values]
    named = [TEILabel(score=s, label=label) for s, label in zip(listed, labels, strict=True)]
    return sorted(named, key=lambda entry: -entry.score)
