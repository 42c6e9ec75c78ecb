"""Retrieve and rerank: a fast first stage for all documents, a cross-encoder for the best."""

import asyncio
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from crossrank.errors import InputError
from crossrank.retrieval.base import Document, Hits, Retriever
from crossrank.types import Floats, Pair

STEP = 32
"""Documents that are reranked between two looks at the clock, where time is limited."""

SHINGLE = 3
"""Words of a shingle: what near-duplicates have in common."""


class Reranker(Protocol):
    """What reranks: a ``CrossEncoder``."""

    def predict(self, inputs: list[Pair], *, activation_fn: str | None = None) -> Floats:
        """Score pairs, ``[pairs]``."""
        ...


class Texts(Protocol):
    """Documents by position: a list, or texts on disk."""

    def __getitem__(self, position: int, /) -> str:
        """Give one of them."""
        ...


@dataclass(frozen=True)
class Hit:
    """A document that was found.

    Attributes:
        id: Its position in the collection, or its id in a store.
        text: The document.
        score: The cross-encoder's logit; ``None`` below the depth that was reranked.
        first_stage_rank: From 1.
        first_stage_score: The retriever's.
    """

    id: Any
    text: str
    score: float | None
    first_stage_rank: int
    first_stage_score: float


@dataclass(frozen=True)
class SearchResult:
    """What was found for a query.

    Attributes:
        query: The query.
        hits: Best first.
        depth: How many documents were reranked.
        seconds: What the stages ``retrieve`` and ``rerank`` took; of queries that were searched
            together, each one's share.
    """

    query: str
    hits: list[Hit]
    depth: int
    seconds: dict[str, float]


class RetrieveAndRerank:
    """Searches in two stages.

    Args:
        retriever: The first stage.
        reranker: The second stage.
        documents: The texts that the retriever's positions mean; ``None`` where what it finds has
            its text, as in ``crossrank.retrieval.stores``.
        depth: How many documents of a query are reranked. Not 1,000 by default: on TREC DL 2021
            that gave nDCG@10 .615 instead of .613, a difference of chance, for ten times the time.
        top_k: How many are returned.
        unique: Leave out documents that are nearly the same as a better one: of their runs of three
            words at least this share is common to both (Jaccard; Broder, 1997). ``None`` keeps all.

    Raises:
        InputError: An argument cannot be used.

    Example:
        >>> from crossrank import CrossEncoder
        >>> from crossrank.retrieval.bm25 import BM25
        >>> documents = ["Bread is baked in Paris.", "Paris is the capital.", "A capital letter."]
        >>> search = RetrieveAndRerank(BM25(documents), CrossEncoder(), documents, top_k=1)
        >>> [hit.text for hit in search("What is the capital, Paris?").hits]
        ['Paris is the capital.']
    """

    def __init__(
        self,
        retriever: Retriever,
        reranker: Reranker,
        documents: Texts | None = None,
        *,
        depth: int = 100,
        top_k: int = 10,
        unique: float | None = None,
    ) -> None:
        for name, value in (("depth", depth), ("top_k", top_k)):
            if value < 1:
                raise InputError(f"{name} must be at least 1, received {value!r}.")
        if unique is not None and not 0 < unique <= 1:
            raise InputError(f"unique must be above 0 and at most 1, received {unique!r}.")
        self.retriever = retriever
        self.reranker = reranker
        self.documents = documents
        self.depth = depth
        self.top_k = top_k
        self.unique = unique

    def __call__(self, query: str, *, budget_ms: float | None = None) -> SearchResult:
        """Search for one query.

        Args:
            query: The query.
            budget_ms: Rerank only as deep as can be done in so many milliseconds, the first stage
                included; what lies below keeps the first stage's order. The first 32 are
                always reranked, unless the first stage took all the time.
        """
        start = time.perf_counter()
        (found,) = self.retriever.search_many([query], max(self.depth, self.top_k))
        retrieved = time.perf_counter()
        deadline = None if budget_ms is None else start + budget_ms / 1000
        logits = self._within(query, found[: self.depth], deadline)
        seconds = {"retrieve": retrieved - start, "rerank": time.perf_counter() - retrieved}
        return self._result(query, found, logits, seconds)

    def search_many(self, queries: Sequence[str]) -> list[SearchResult]:
        """Search for many queries; their pairs are scored in one call, which is faster."""
        if not queries:
            return []
        start = time.perf_counter()
        found = self.retriever.search_many(queries, max(self.depth, self.top_k))
        retrieved = time.perf_counter()
        pairs = [
            (query, self._document(document).text)
            for query, hits in zip(queries, found, strict=True)
            for document, _ in hits[: self.depth]
        ]
        logits = self._logits(pairs)
        stages = {"retrieve": retrieved - start, "rerank": time.perf_counter() - retrieved}
        seconds = {stage: spent / len(queries) for stage, spent in stages.items()}
        ends = np.cumsum([min(len(hits), self.depth) for hits in found], dtype=np.int64)[:-1]
        parts = np.split(logits, ends)
        return [
            self._result(query, hits, part, seconds)
            for query, hits, part in zip(queries, found, parts, strict=True)
        ]

    async def search_async(self, query: str, *, budget_ms: float | None = None) -> SearchResult:
        """Await a search; it runs on a thread, so that the event loop is free."""
        return await asyncio.to_thread(self, query, budget_ms=budget_ms)

    def _within(self, query: str, hits: Hits, deadline: float | None) -> Floats:
        """Score as many documents as time allows."""
        pairs = [(query, self._document(document).text) for document, _ in hits]
        if deadline is None:
            return self._logits(pairs)
        parts: list[Floats] = []
        for start in range(0, len(pairs), STEP):
            began = time.perf_counter()
            if began >= deadline:
                break
            parts.append(self._logits(pairs[start : start + STEP]))
            if time.perf_counter() * 2 - began > deadline:
                break  # the next step would take as long, and end too late
        return np.concatenate(parts) if parts else self._logits([])

    def _document(self, found: Any) -> Document:
        if isinstance(found, Document):
            return found
        if self.documents is None:
            raise InputError(
                "The retriever finds positions, so the documents are required that they mean: "
                "RetrieveAndRerank(retriever, reranker, documents)."
            )
        return Document(found, self.documents[found])

    def _logits(self, pairs: list[Pair]) -> Floats:
        logits = np.asarray(self.reranker.predict(pairs, activation_fn="identity"))
        if logits.ndim > 1:
            raise InputError(
                "Reranking needs a model with one label, and this one has several: "
                "documents can be ordered by one score only."
            )
        return logits

    def _result(
        self, query: str, hits: Hits, logits: Floats, seconds: dict[str, float]
    ) -> SearchResult:
        order = np.argsort(-logits, kind="stable").tolist()
        ranked = (
            Hit(
                document.id,
                document.text,
                float(logits[place]) if place < len(logits) else None,
                place + 1,
                score,
            )
            for place in [*order, *range(len(logits), len(hits))]
            for found, score in [hits[place]]
            for document in [self._document(found)]
        )
        chosen = ranked if self.unique is None else _without_copies(ranked, self.unique)
        best = [hit for hit, _ in zip(chosen, range(self.top_k), strict=False)]
        return SearchResult(query, best, len(logits), seconds)


def _without_copies(hits: Iterator[Hit], share: float) -> Iterator[Hit]:
    """Leave out what is nearly the same as something better."""
    seen: list[set[Any]] = []
    for hit in hits:
        shingles = _shingles(hit.text)
        if all(len(shingles & other) < share * len(shingles | other) for other in seen):
            seen.append(shingles)
            yield hit


def _shingles(text: str) -> set[Any]:
    words = text.casefold().split()
    return {tuple(words[start : start + SHINGLE]) for start in range(max(1, len(words) - 2))}
