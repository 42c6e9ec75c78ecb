"""Measuring a model on queries and documents in a dict."""

from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import Any, Protocol

import numpy as np

from crossrank.errors import InputError, InvalidScoreError
from crossrank.evaluation.measures import measure
from crossrank.evaluation.tables import to_grade
from crossrank.types import Pair, Qrels, Run

MEASURES = ("NDCG@10", "MAP", "MRR")


class Scorer(Protocol):
    """What scores pairs, as ``CrossEncoder`` does."""

    def predict(self, pairs: Sequence[Pair], /, *, activation_fn: str) -> Any:
        """Score pairs: one number each."""


def evaluate_reranker(
    model: Scorer,
    test_queries: Mapping[str, Sequence[Any]],
    relevance_labels: Mapping[str, Sequence[int]] | None = None,
) -> dict[str, float]:
    """Measure how well a model ranks the documents of each query.

    The order in which documents are given has no influence. Documents of equal score are ordered
    by a hash of their texts, which is fair on average; copies of one text that have different
    grades, with the better one last. A query without a relevant document counts as 0.

    Args:
        model: A ``CrossEncoder`` with one label, or what has its ``predict``. It is asked for raw
            logits.
        test_queries: For each query its documents, ``[{"text": ..., "relevance": ...}, ...]``;
            with ``relevance_labels``, a list of texts (or of dicts whose relevance is not read).
        relevance_labels: For each query a grade for each document. Grades are whole numbers;
            above 0 is relevant, and more is better.

    Returns:
        ``{"NDCG@10": ..., "MAP": ..., "MRR": ...}``: trec_eval's measures, averaged over queries.

    Raises:
        InputError: There is no query, one has no documents, or a document has no text or no grade.
        InvalidScoreError: The model answered NaN.
        MissingDependencyError: ir-measures is not installed.

    Example:
        >>> from crossrank import CrossEncoder
        >>> documents = [{"text": "Bread is baked.", "relevance": 0},
        ...              {"text": "Paris is the capital.", "relevance": 1}]
        >>> evaluate_reranker(CrossEncoder(), {"capital of France": documents})
        {'NDCG@10': 1.0, 'MAP': 1.0, 'MRR': 1.0}
    """
    lists = {
        query: _in_fair_order(query, _documents(query, documents, relevance_labels))
        for query, documents in test_queries.items()
    }
    if not lists:
        raise InputError("test_queries must have at least one query, received none.")
    if unknown := [query for query in relevance_labels or () if query not in lists]:
        raise InputError(
            f"relevance_labels has a query that is not among the others: {unknown[0]!r}."
        )
    pairs = [(query, text) for query, documents in lists.items() for text, _ in documents]
    scores = iter(_scores(model, pairs))
    run: Run = {}
    qrels: Qrels = {}
    for query, documents in enumerate(lists.values()):
        # Measures order equal scores by id: by the fair order.
        ids = [f"{place:09}" for place in range(len(documents))]
        run[str(query)] = dict(zip(ids, scores, strict=False))
        qrels[str(query)] = {i: grade for i, (_, grade) in zip(ids, documents, strict=True)}
    return measure(run, qrels, MEASURES)


def _documents(
    query: str, documents: Sequence[Any], labels: Mapping[str, Sequence[int]] | None
) -> list[tuple[str, int]]:
    """Texts and grades of a query."""
    if isinstance(documents, str | Mapping) or not len(documents):
        raise InputError(f"The query {query!r} needs a list of documents, received {documents!r}.")
    grades = None if labels is None else labels.get(query, ())
    if grades is not None and len(grades) != len(documents):
        raise InputError(
            f"relevance_labels must have a grade for each of the {len(documents)} documents of the "
            f"query {query!r}, received {len(grades)}."
        )
    found = []
    for number, entry in enumerate(documents):
        fields = entry if isinstance(entry, Mapping) else {"text": entry}
        grade = fields.get("relevance") if grades is None else grades[number]
        try:
            if not isinstance(fields.get("text"), str):
                raise ValueError(f"a text must be a string, received {fields.get('text')!r:.80}")
            found.append(
                (fields["text"], to_grade(int(grade) if isinstance(grade, bool) else grade))
            )
        except ValueError as error:
            raise InputError(f"Document {number} of the query {query!r}: {error}.") from None
    return found


def _in_fair_order(query: str, documents: list[tuple[str, int]]) -> list[tuple[str, int]]:
    def key(document: tuple[str, int]) -> tuple[bytes, int]:
        text, grade = document
        salted = f"{query}\n{text}".encode("utf-8", "surrogatepass")
        return blake2b(salted, digest_size=16).digest(), -grade

    return sorted(documents, key=key)


def _scores(model: Scorer, pairs: list[Pair]) -> list[float]:
    scores = np.asarray(model.predict(pairs, activation_fn="identity"), dtype=np.float64)
    if scores.shape not in ((len(pairs),), (len(pairs), 1)):
        raise InputError(
            f"A model that gives one score a pair is required; for {len(pairs)} pairs it answered "
            f"an array of shape {scores.shape}."
        )
    if np.isnan(scores).any():
        pair = pairs[int(np.isnan(scores).argmax())]
        raise InvalidScoreError(f"The model answered NaN for the pair {pair!r:.200}.")
    found: list[float] = scores.reshape(-1).tolist()
    return found
