"""From one query and its documents to an order."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from crossrank.long_documents import LongDocuments, Span, combine, split
from crossrank.scoring import Options, Scorer
from crossrank.types import Floats, Pair


@dataclass(frozen=True)
class DocumentScores:
    """What is known of each document after scoring, in input order.

    Attributes:
        logits: ``[documents]``.
        truncated: Tokens of query and document that the model did not read.
        spans: The window that gave the logit; empty when documents are not cut into windows.
    """

    logits: Floats
    truncated: list[int]
    spans: list[Span]


def score_documents(
    scorer: Scorer,
    query: str,
    documents: Sequence[str],
    options: Options,
    *,
    how: LongDocuments = "truncate",
    window: int | None = None,
    stride: int | None = None,
    progress: Callable[[int], object] = lambda _: None,
) -> DocumentScores:
    """Score documents, whole or by windows.

    Args:
        scorer: The engine.
        query: The query.
        documents: The documents, in any number.
        options: As for pairs.
        how: What to do with long documents.
        window: Tokens a window; by default as many as fit beside the query.
        stride: Tokens between the starts of two windows; half a window by default.
        progress: Called with the number of pairs scored since the last call.
    """
    if how == "truncate":
        pairs: list[Pair] = [(query, document) for document in documents]
        logits, truncated = _score(scorer, pairs, options, progress)
        return DocumentScores(logits, truncated, [])
    room = scorer.tokenizer.room(query, options.prompt)
    size = min(window, room) if window is not None else room
    step = min(stride, size) if stride is not None else None
    spans = [
        split(document, scorer.tokenizer.offsets(document), window=size, stride=step)
        for document in documents
    ]
    if how == "first":
        spans = [found[:1] for found in spans]
    pairs = [
        (query, document[start:end])
        for document, found in zip(documents, spans, strict=True)
        for start, end in found
    ]
    logits, truncated = _score(scorer, pairs, options, progress)
    scores = _combine(logits, truncated, spans, how)
    if how == "first" and options.count_truncated:
        scores = replace(scores, truncated=_unread(scorer, documents, scores))
    return scores


def sort_documents(logits: Floats, top_k: int | None = None) -> NDArray[np.intp]:
    """Order documents by logit, highest first, ties by input order.

    Example:
        >>> sort_documents(np.float32([0.5, 2.0, 2.0, -1.0]), top_k=3).tolist()
        [1, 2, 0]
    """
    return np.argsort(-logits, kind="stable")[:top_k]


def _score(
    scorer: Scorer, pairs: list[Pair], options: Options, progress: Callable[[int], object]
) -> tuple[Floats, list[int]]:
    results = list(scorer.run(pairs, options, progress))
    logits = [result.logits[:, 0] for result in results]
    truncated = [count for result in results for count in result.truncated]
    return np.concatenate(logits) if logits else np.empty(0, dtype=np.float32), truncated


def _combine(
    logits: Floats, truncated: list[int], spans: list[list[Span]], how: LongDocuments
) -> DocumentScores:
    combined = np.empty(len(spans), dtype=np.float32)
    winners: list[Span] = []
    cut: list[int] = []
    start = 0
    for document, found in enumerate(spans):
        end = start + len(found)
        combined[document], best = combine(logits[start:end], how)
        winners.append(found[best])
        cut.append(max(truncated[start:end]))
        start = end
    return DocumentScores(combined, cut, winners)


def _unread(scorer: Scorer, documents: Sequence[str], scores: DocumentScores) -> list[int]:
    """Count what lies behind the first window as cut."""
    return [
        cut + scorer.tokenizer.count(document[span[1] :])
        for document, cut, span in zip(documents, scores.truncated, scores.spans, strict=True)
    ]
