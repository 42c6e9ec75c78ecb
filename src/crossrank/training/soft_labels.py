"""Soft labels: what a teacher says of the documents of a dataset."""

import math
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
from datasets import Dataset

from crossrank.cache import ScoreCache
from crossrank.cross_encoder import CrossEncoder
from crossrank.errors import InputError
from crossrank.retrieval.dense import BiEncoder
from crossrank.training.columns import TEACHER, Examples
from crossrank.training.data_files import lists_by_query
from crossrank.training.examples import Example
from crossrank.training.row_files import Rows, write_rows
from crossrank.types import Floats, Pair


class Teacher(Protocol):
    """What a student learns from."""

    def score(self, pairs: Sequence[Pair]) -> Floats:
        """Score pairs, ``[pairs]``."""
        ...

    def close(self) -> None:
        """Free its memory, and close the file that remembers scores."""


Scale = Literal["logits", "probabilities"]

COSINE_SCALE = 20.0
"""Cosines lie so close together that a student's logits should spread more: sentence-transformers
multiplies them by as much."""

_ROWS_AT_ONCE = 256
_SMALLEST = 1e-6  # a probability of exactly 0 or 1 has no logit


class CrossEncoderTeacher:
    """A cross-encoder's logits.

    Args:
        model: Give it a ``cache``, and no pair is scored twice, also by a later process.

    Raises:
        InputError: It has several labels.
    """

    def __init__(self, model: CrossEncoder) -> None:
        if model.num_labels != 1:
            raise InputError(
                f"A teacher with one label is required, and this model has {model.num_labels}."
            )
        self.model = model

    def score(self, pairs: Sequence[Pair]) -> Floats:
        """Compute the logits of pairs, ``[pairs]``."""
        logits: Floats = self.model.predict(
            pairs, activation_fn="identity", show_progress_bar=False
        )
        return logits

    def close(self) -> None:
        """Close the model and its cache."""
        self.model.close()


class BiEncoderTeacher:
    """The products of a bi-encoder's vectors.

    Args:
        model: The bi-encoder.
        cache: Remembers what was scored.
        scale: What the products are multiplied by.
    """

    def __init__(self, model: BiEncoder, cache: ScoreCache, *, scale: float = COSINE_SCALE) -> None:
        self._model = model
        self._cache = cache
        self._scale = np.float32(scale)

    def score(self, pairs: Sequence[Pair]) -> Floats:
        """Compute the scaled products, ``[pairs]``."""
        namespace = self._model.digest.encode()
        found = self._cache.get(namespace, pairs)
        missing = [pair for pair, known in zip(pairs, found, strict=True) if known is None]
        computed = self._model.score(missing)[:, None]
        self._cache.put(namespace, missing, computed)
        rest = iter(computed)
        rows = [next(rest) if known is None else known for known in found]
        return np.concatenate(rows) * self._scale

    def close(self) -> None:
        """Close the cache."""
        self._cache.close()


def soft_labels(
    examples: Examples,
    teacher: Teacher,
    store: Path,
    *,
    progress: Callable[[int], object] = lambda _: None,
) -> Dataset:
    """Let a teacher score every document of a dataset.

    Args:
        examples: Queries and documents; labels are not looked at.
        teacher: Scores them.
        store: An Arrow file to write.
        progress: Told how many pairs were scored since the last call.

    Returns:
        Rows ``query``, ``documents``, ``teacher_scores``.

    Raises:
        InputError: The teacher does not answer with one finite score a pair, or a row is broken.
    """
    return write_rows(_taught(iter(examples), teacher, progress), store, examples.columns.source)


def lists_alone(examples: Examples, store: Path) -> Dataset:
    """Lay a dataset out as lists whose scores say nothing, for a student that needs none.

    Args:
        examples: Queries and documents.
        store: An Arrow file to write.

    Returns:
        Rows ``query``, ``documents``, ``teacher_scores``.

    Raises:
        InputError: A row is broken.
    """
    rows = (
        (f"row {number}", _row(example, [0.0] * len(example.documents)))
        for number, example in enumerate(examples, 1)
    )
    return write_rows(rows, store, examples.columns.source)


def given_scores(examples: Examples, store: Path, scale: Scale = "logits") -> Dataset:
    """Read a dataset whose labels, or teacher scores, are those of a teacher.

    Args:
        examples: Rows of any layout. Where a row is one pair, the rows of a query are joined.
        store: An Arrow file to write.
        scale: ``"probabilities"`` lie between 0 and 1, and are turned back into logits: margins
            between probabilities close to 0 or 1 say nothing.

    Returns:
        Rows ``query``, ``documents``, ``teacher_scores``.

    Raises:
        InputError: There are no scores, or a probability is not between 0 and 1.
    """
    columns = examples.columns
    if columns.teacher is None and columns.labels is None:
        raise InputError(f"{columns.source}: a column {TEACHER!r} is required, and there is none.")
    examples = join_pairs(examples, store.with_name(f"{store.stem}-joined.arrow"))

    def rows() -> Rows:
        for number, example in enumerate(examples, 1):
            scores: Sequence[float] = example.teacher_scores or example.labels
            if scale == "probabilities":
                scores = [_logit(score, columns.source, number) for score in scores]
            yield f"row {number}", _row(example, scores)

    return write_rows(rows(), store, columns.source)


def join_pairs(examples: Examples, store: Path) -> Examples:
    """Join the rows of a query where each is one pair; other rows stay as they are.

    Args:
        examples: Rows of any layout. Those that are joined are held in memory.
        store: An Arrow file to write.
    """
    columns = examples.columns
    if columns.listed is not None or len(columns.texts) > 1:
        return examples
    return Examples(lists_by_query(examples, store), columns.source)


def _taught(
    examples: Iterator[Example], teacher: Teacher, progress: Callable[[int], object]
) -> Rows:
    done = 0
    while block := list(islice(examples, _ROWS_AT_ONCE)):
        pairs = [(example.query, text) for example in block for text in example.documents]
        scores = np.asarray(teacher.score(pairs))
        if scores.shape != (len(pairs),):
            raise InputError(
                f"A teacher must answer with one score a pair, {len(pairs)} here; received an "
                f"array of the shape {list(scores.shape)}."
            )
        if not np.isfinite(scores).all():
            query, document = pairs[int(np.flatnonzero(~np.isfinite(scores))[0])]
            raise InputError(
                f"A teacher must answer with finite scores, and has another one for the query "
                f"{query!r:.60} and the document {document!r:.60}."
            )
        remaining = iter(scores.tolist())
        for example in block:
            done += 1
            yield f"row {done}", _row(example, [next(remaining) for _ in example.documents])
        progress(len(pairs))


def _row(example: Example, scores: Sequence[float]) -> dict[str, object]:
    return {
        "query": example.query,
        "documents": list(example.documents),
        TEACHER: list(scores),
    }


def _logit(probability: float, source: str, number: int) -> float:
    if not 0 <= probability <= 1:
        raise InputError(
            f"{source}, row {number}: a probability must be between 0 and 1, received "
            f"{probability:g}. Say that the scores are logits if they are."
        )
    clipped = min(max(probability, _SMALLEST), 1 - _SMALLEST)
    return math.log(clipped / (1 - clipped))
