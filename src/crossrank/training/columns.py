"""Recognising what the columns of a dataset mean.

The conventions are those that sentence-transformers documents for training cross-encoders. What
counts is the type of the columns and their order; names count only where the table says so.

==========================================  ======================================  =============
texts                                       numbers                                 one row
==========================================  ======================================  =============
two texts                                   a number: label, labels, score, scores  a pair
``query, positive``                                                                 labels 1
``query, positive, negative``, or           teacher's logits or margins:            labels 1, 0 …
``negative_1 … negative_n``, or a list      ``teacher_scores`` or a name as above
``negatives``
a text and a list of documents              a list: label, labels, score, scores    a list
==========================================  ======================================  =============

Wherever there are labels, ``teacher_scores`` may stand beside them or in their place. Documents may
be of the features ``Image`` or ``Audio`` of ``datasets``, too, which are not decoded here.
"""

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NoReturn, get_args

from crossrank.errors import InputError
from crossrank.multimodal.media import Modality, read_media
from crossrank.training.examples import Example

LABELS = ("label", "labels", "score", "scores")
"""Names that a column of labels may have."""

TEACHER = "teacher_scores"
"""Name of a column with the logits of a teacher."""

_QUERIES = ("query", "question", "anchor")
_NEGATIVE = re.compile(r"negatives?(_?\d+)?")
_ROWS_AT_ONCE = 1000

_CONVENTIONS = (
    "two texts and a number 'label' or 'score'; query, positive; query, positive, negative "
    "(or negative_1 ... negative_n, or a list 'negatives'), if wanted with a teacher's 'scores'; "
    "query, a list of documents, and a list of 'labels'; 'teacher_scores' beside labels or in "
    "their place"
)


@dataclass(frozen=True, slots=True)
class Columns:
    """Which column plays which part.

    Attributes:
        source: The dataset, as messages call it.
        query: The column of queries.
        texts: Columns that hold one document each.
        listed: The column that holds a list of documents.
        labels: The column of labels.
        teacher: The column of a teacher's scores, which are the labels too where there are none.
        positive_first: Whether the first document has the label 1 and the others 0.
        modality: What documents are, where they are no texts.
    """

    source: str
    query: str
    texts: tuple[str, ...] = ()
    listed: str | None = None
    labels: str | None = None
    teacher: str | None = None
    positive_first: bool = False
    modality: Modality | None = None

    def example(self, row: Mapping[str, Any], number: int, dataset: int = 0) -> Example:
        """Read a row.

        Args:
            row: Values by column.
            number: Its position in the dataset, from 0; messages count from 1.
            dataset: What ``Example.dataset`` is to be.

        Raises:
            InputError: A value is missing, of the wrong type, no finite number, or there are more
                or fewer of them than documents; the message names dataset, row and column.
        """
        cell = _Cell(self.source, number, row)
        documents = tuple(cell.document(name, self.modality) for name in self.texts)
        if self.listed:
            least = 0 if self.texts else 1
            documents += cell.documents(self.listed, self.modality, least=least)
        teacher = self._teacher_scores(cell, len(documents))
        if self.positive_first:
            labels = (1.0,) + (0.0,) * (len(documents) - 1)
        else:
            labels = cell.numbers(self.labels, (len(documents),)) if self.labels else teacher or ()
        return Example(cell.text(self.query), documents, labels, teacher, dataset)

    def _teacher_scores(self, cell: "_Cell", documents: int) -> tuple[float, ...] | None:
        if self.teacher is None:
            return None
        if not self.positive_first:
            return cell.numbers(self.teacher, (documents,))
        values = cell.numbers(self.teacher, (documents, documents - 1))
        if len(values) == documents:
            return values
        # Margins between the positive and each negative: any scores with these differences do.
        first = values[0] if values else 0.0
        return (first, *(first - margin for margin in values))


class Examples(Sequence[Example]):
    """A dataset, read row by row as examples.

    Args:
        dataset: A ``datasets.Dataset``.
        source: The dataset's name in messages.
        number: What ``Example.dataset`` is to be, where there are several datasets.

    Raises:
        InputError: Its columns follow none of the conventions, or it has no row.

    Example:
        >>> from datasets import Dataset
        >>> rows = {"query": ["q"], "positive": ["yes"], "negative": ["no"]}
        >>> Examples(Dataset.from_dict(rows))[0]
        Example(query='q', documents=('yes', 'no'), labels=(1.0, 0.0), teacher_scores=None,
                dataset=0)
    """

    def __init__(self, dataset: Any, source: str = "the dataset", number: int = 0) -> None:
        if not hasattr(dataset, "features") or not hasattr(dataset, "__len__"):
            raise InputError(
                f"{source}: a datasets.Dataset, whose rows can be read in any order, is required; "
                f"received {type(dataset).__name__}. Save a stream of rows to a file, and load it "
                "with crossrank.training.data_files.load_data."
            )
        self.columns = recognise(dataset.features, source)
        if not len(dataset):
            raise InputError(f"{source}: at least one row is required, and there is none.")
        self.dataset = dataset.with_format("arrow")  # images and recordings as their files are
        self.number = number

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, position: Any) -> Any:
        if isinstance(position, slice):
            return [self[row] for row in range(*position.indices(len(self)))]
        row = range(len(self))[position]
        return self.columns.example(self.dataset[row].to_pylist()[0], row, self.number)

    def __iter__(self) -> Iterator[Example]:
        number = 0
        for batch in self.dataset.iter(batch_size=_ROWS_AT_ONCE):
            for row in batch.to_pylist():
                yield self.columns.example(row, number, self.number)
                number += 1


def recognise(features: Mapping[str, Any], source: str = "the dataset") -> Columns:
    """Find out what each column means.

    Args:
        features: The ``features`` of a ``datasets.Dataset``.
        source: The dataset's name in messages.

    Raises:
        InputError: The columns follow none of the conventions, or there is one too many; the
            message names the columns and the conventions.

    Example:
        >>> from datasets import Value
        >>> text, number = Value("string"), Value("float32")
        >>> recognise({"sentence1": text, "sentence2": text, "score": number}).labels
        'score'
    """
    table = _Table(source, {name: _kind(feature) for name, feature in features.items()})
    texts = table.named("text")
    single, lists, modality = table.documents()
    labels, teacher = table.numbers()
    if not texts:
        table.refuse("A column of queries is required, and none holds texts.")
    query = next((name for name in texts if name in _QUERIES), texts[0])
    documents = [name for name in single if name != query]
    if modality is not None:
        table.refuse_all_but({query, *documents, *lists})
    if lists and not documents:
        found = _list(table, query, lists, labels, teacher)
    elif not documents:
        table.refuse("A column of documents is required beside the queries.")
    elif len(documents) == 1 and not lists and (labels or teacher):
        found = _pair(table, query, documents[0], labels, teacher)
    else:
        found = _tuple(table, query, documents, lists, labels, teacher)
    return replace(found, modality=modality)


def _pair(
    table: "_Table", query: str, document: str, labels: str | None, teacher: str | None
) -> Columns:
    for name in filter(None, (labels, teacher)):
        table.require(name, "number")
    return Columns(table.source, query, (document,), labels=labels, teacher=teacher)


def _list(
    table: "_Table", query: str, lists: list[str], labels: str | None, teacher: str | None
) -> Columns:
    table.at_most_one(lists)
    if labels is None and teacher is None:
        table.refuse(
            f"{lists[0]!r} is a list of documents: a list of labels is required beside it."
        )
    for name in filter(None, (labels, teacher)):
        table.require(name, "numbers")
    return Columns(table.source, query, listed=lists[0], labels=labels, teacher=teacher)


def _tuple(
    table: "_Table",
    query: str,
    documents: list[str],
    lists: list[str],
    labels: str | None,
    teacher: str | None,
) -> Columns:
    """A positive, then negatives; numbers beside them can only be a teacher's."""
    for name in (*documents[1:], *lists):
        if not _NEGATIVE.fullmatch(name):
            table.refuse(f"{name!r} is a column too many.")
    table.at_most_one(lists)
    scores = [name for name in (labels, teacher) if name]
    table.at_most_one(scores)
    if scores and (lists or len(documents) > 2):
        table.require(scores[0], "numbers")
    return Columns(
        table.source,
        query,
        tuple(documents),
        listed=lists[0] if lists else None,
        teacher=scores[0] if scores else None,
        positive_first=True,
    )


@dataclass(frozen=True, slots=True)
class _Table:
    """The columns of a dataset, by what they hold.

    That is: text, image, audio, number, their plurals for lists of them, or other.
    """

    source: str
    kinds: dict[str, str] = field(default_factory=dict)

    def named(self, kind: str) -> list[str]:
        return [name for name, own in self.kinds.items() if own == kind and not is_target(name)]

    def documents(self) -> tuple[list[str], list[str], Modality | None]:
        """The columns of single documents, queries among them if they are texts; of lists; what of.

        Where there are images or recordings, texts are queries.
        """
        for modality in get_args(Modality):
            single, lists = self.named(modality), self.named(f"{modality}s")
            if single or lists:
                return single, lists, modality
        return self.named("text"), self.named("texts"), None

    def numbers(self) -> tuple[str | None, str | None]:
        """The columns of labels and of teacher scores."""
        for name, kind in self.kinds.items():
            if kind == "other":
                self.refuse(f"{name!r} holds neither texts nor numbers nor lists of them.")
            if is_target(name) and kind not in ("number", "numbers"):
                self.refuse(f"{name!r} must hold numbers. Encode classes as 0, 1, 2 and so on.")
            if not is_target(name) and kind in ("number", "numbers"):
                self.refuse(f"{name!r} is a column too many.")
        labels = [name for name in self.kinds if name in LABELS]
        self.at_most_one(labels)
        return labels[0] if labels else None, TEACHER if TEACHER in self.kinds else None

    def refuse_all_but(self, known: set[str]) -> None:
        """Refuse texts, images and recordings in columns that are not known."""
        for name, kind in self.kinds.items():
            if name not in known and not kind.startswith("number"):
                self.refuse(f"{name!r} is a column too many.")

    def at_most_one(self, names: Sequence[str]) -> None:
        if len(names) > 1:
            self.refuse(f"{names[1]!r} is a column too many beside {names[0]!r}.")

    def require(self, name: str, kind: str) -> None:
        if self.kinds[name] != kind:
            wanted = "one number" if kind == "number" else "a list of numbers, one a document,"
            self.refuse(f"{name!r} must hold {wanted} in each row.")

    def refuse(self, problem: str) -> NoReturn:
        received = ", ".join(f"{name!r} ({kind})" for name, kind in self.kinds.items())
        raise InputError(
            f"{self.source}: {problem} Received the columns {received or '(none)'}; known are: "
            f"{_CONVENTIONS}. Rename or remove columns, e.g. with dataset.remove_columns."
        )


@dataclass(frozen=True, slots=True)
class _Cell:
    """The values of one row, checked as they are taken out."""

    source: str
    number: int
    row: Mapping[str, Any]

    def text(self, column: str) -> str:
        value = self.row[column]
        if not isinstance(value, str):
            self._refuse(column, "a text is required", value)
        return value

    def document(self, column: str, modality: Modality | None) -> Any:
        if modality is None:
            return self.text(column)
        return read_media(self.row[column], modality, self._place(column))

    def documents(self, column: str, modality: Modality | None, *, least: int) -> tuple[Any, ...]:
        values = self.row[column]
        if not isinstance(values, list) or len(values) < least:
            self._refuse(column, "a list of documents is required", values)
        if modality is not None:
            return tuple(read_media(value, modality, self._place(column)) for value in values)
        for value in values:
            if not isinstance(value, str):
                self._refuse(column, "each document must be a text", value)
        return tuple(values)

    def numbers(self, column: str, sizes: Iterable[int]) -> tuple[float, ...]:
        values = self.row[column]
        if not isinstance(values, list):
            values = [values]
        if len(values) not in sizes:
            wanted = " or ".join(map(str, sizes))
            self._refuse(column, f"as many numbers as documents, {wanted}, are required", values)
        for value in values:
            if not isinstance(value, int | float) or not math.isfinite(value):
                self._refuse(column, "a finite number is required", value)
        return tuple(map(float, values))

    def _place(self, column: str) -> str:
        return f"{self.source}, row {self.number + 1}, column {column!r}"

    def _refuse(self, column: str, wanted: str, value: Any) -> NoReturn:
        raise InputError(f"{self._place(column)}: {wanted}, received {value!r:.80}.")


def is_target(name: str) -> bool:
    """Say whether a column of this name holds labels or a teacher's scores."""
    return name in LABELS or name == TEACHER


def _kind(feature: Any) -> str:
    """Say what a column holds, by its feature."""
    inner = getattr(feature, "feature", None)
    if inner is not None:
        kind = _kind(inner)
        return kind + "s" if kind in ("text", "number", "image", "audio") else "other"
    dtype = str(getattr(feature, "dtype", None))
    if type(feature).__name__ in ("Image", "Audio"):
        return type(feature).__name__.lower()
    if dtype in ("string", "large_string", "string_view"):
        return "text"
    return "number" if re.match("bool|u?int|float", dtype) else "other"
