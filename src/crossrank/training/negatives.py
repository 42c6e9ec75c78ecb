"""Hard negatives: documents that look relevant to a query, and are not."""

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from itertools import chain
from pathlib import Path
from typing import Any, Literal

import numpy as np

from crossrank.cross_encoder import CrossEncoder
from crossrank.errors import InputError
from crossrank.retrieval.base import Retriever
from crossrank.retrieval.on_disk import RetrieverName, check_retriever, open_retriever
from crossrank.retrieval.texts import StoredTexts
from crossrank.scoring import check_pair
from crossrank.training.selection import Selection
from crossrank.types import Pair

Layout = Literal["n-tuple", "labeled-list"]

BLOCK = 1024
"""Pairs whose queries are searched together."""


@dataclass(frozen=True, slots=True)
class Mined:
    """A pair and its negatives.

    Attributes:
        query: The query.
        positive: A document that is relevant to it.
        negatives: Hardest first; fewer than were wanted where there are no more.
    """

    query: str
    positive: str
    negatives: tuple[str, ...]

    def row(self, layout: Layout, num_negatives: int) -> dict[str, Any] | None:
        """Make a row of a dataset, in sentence-transformers' column conventions.

        Args:
            layout: ``"n-tuple"`` has the columns query, positive, negative_1, negative_2 ...;
                ``"labeled-list"`` has query, documents and labels, the positive first.
            num_negatives: How many were wanted.

        Returns:
            ``None`` where there are not enough: all of them for an n-tuple, one for a list.

        Example:
            >>> Mined("q", "p", ("n",)).row("labeled-list", 2)
            {'query': 'q', 'documents': ['p', 'n'], 'labels': [1, 0]}
            >>> Mined("q", "p", ("n",)).row("n-tuple", 1)
            {'query': 'q', 'positive': 'p', 'negative_1': 'n'}
        """
        if len(self.negatives) < (num_negatives if layout == "n-tuple" else 1):
            return None
        if layout == "n-tuple":
            columns = {f"negative_{n}": text for n, text in enumerate(self.negatives, 1)}
            return {"query": self.query, "positive": self.positive, **columns}
        return {
            "query": self.query,
            "documents": [self.positive, *self.negatives],
            "labels": [1] + [0] * len(self.negatives),
        }


def mine_negatives(
    pairs: Iterable[Pair],
    documents: Iterable[str] | None = None,
    *,
    folder: str | Path,
    retriever: RetrieverName = "bm25",
    bi_encoder: str | Path | None = None,
    cross_encoder: CrossEncoder | None = None,
    selection: Selection | None = None,
    skip: int = 0,
    progress: Callable[[str], object] = lambda step: None,
) -> Iterator[Mined]:
    """Find hard negatives for pairs of a query and a relevant document.

    Each query is searched for in the documents. What is found, without any positive of that query
    (equal texts count as the same document), are the candidates; ``selection`` says which of them
    to take. Its limits compare scores, and the most precise score there is decides: the
    cross-encoder's, else the bi-encoder's (cosine), else BM25's. A cross-encoder so filters out
    what is likely to be relevant and not labelled.

    Documents, index and vectors lie in files, so a million of them need little memory.

    Args:
        pairs: Queries and positives. A query may come with several positives, in several pairs.
        documents: Where to look for negatives; the positives of all pairs by default.
        folder: Where files are kept; made when it is missing. A later call with the same
            documents and the same bi-encoder uses its index and its vectors again, also when they
            were not finished.
        retriever: ``"bm25"``, ``"dense"`` or ``"both"``, fused by reciprocal ranks.
        bi_encoder: A folder or hub id in sentence-transformers' layout; for dense and both.
        cross_encoder: Scores candidates and positives, as its ``predict`` does.
        selection: Which candidates to take: by default the best three.
        skip: Leave out this many pairs; they still count as positives. Give a multiple of
            ``BLOCK`` to get exactly what a call without ``skip`` gives from there on.
        progress: Told what is going on.

    Yields:
        One entry a pair, in order.

    Raises:
        InputError: An argument cannot be used, or there are no pairs or no documents.
        MissingDependencyError: bm25s, or what a bi-encoder needs, is not installed.

    Example:
        >>> import tempfile
        >>> pairs = [("red fruit", "a red apple"), ("yellow fruit", "a yellow banana")]
        >>> documents = ["a red car", "blue sky", "a red apple", "red yellow paint"]
        >>> selection = Selection(num_negatives=1)
        >>> folder = tempfile.mkdtemp()
        >>> mined = mine_negatives(pairs, documents, folder=folder, selection=selection)
        >>> [entry.negatives for entry in mined]
        [('a red car',), ('red yellow paint',)]
    """
    chosen = selection or Selection()
    check_retriever(retriever, bi_encoder)
    _check_filter(cross_encoder, chosen)
    home = Path(folder)
    home.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as files:
        progress("Reading pairs and documents")
        known = files.enter_context(_StoredPairs.write(home / "pairs", pairs))
        if not len(known):
            raise InputError("At least one pair of a query and a positive is required.")
        texts = _distinct(known.positives() if documents is None else documents)
        collection = files.enter_context(StoredTexts.write(home / "documents", texts))
        if not len(collection):
            raise InputError("At least one document is required to look for negatives in.")
        found = open_retriever(home, collection, retriever, bi_encoder, progress=progress)
        progress(f"Mining for {len(known) - skip} pairs")
        miner = _Miner(known, collection, found, cross_encoder, chosen)
        for start in range(skip, len(known), BLOCK):
            yield from miner.mine(range(start, min(start + BLOCK, len(known))))


def _check_filter(cross_encoder: CrossEncoder | None, selection: Selection) -> None:
    if cross_encoder is None:
        return
    if not selection.has_limit:
        raise InputError(
            "A cross-encoder filters by a margin or a limit of scores, and received none: add e.g. "
            "relative_margin=0.05."
        )
    if cross_encoder.num_labels != 1:
        raise InputError(
            f"A cross-encoder with one label is required, received {cross_encoder.num_labels}."
        )


@dataclass(frozen=True)
class _Miner:
    """Mines block by block."""

    pairs: "_StoredPairs"
    documents: StoredTexts
    retriever: Retriever
    cross_encoder: CrossEncoder | None
    selection: Selection

    def mine(self, rows: range) -> Iterator[Mined]:
        """Mine for consecutive pairs."""
        pairs = [self.pairs[row] for row in rows]
        candidates = self._candidates(list(dict.fromkeys(query for query, _ in pairs)))
        wanted = self._score(pairs) if self.selection.has_margin else [None] * len(pairs)
        for row, pair, positive in zip(rows, pairs, wanted, strict=True):
            found = candidates[pair[0]]
            places = self.selection.choose([score for _, score in found], positive, row)
            yield Mined(*pair, tuple(found[place][0] for place in places))

    def _candidates(self, queries: list[str]) -> dict[str, list[tuple[str, float]]]:
        """Text and score of the documents between the two ranks, for each query."""
        positives = [self.pairs.positives_of(query) for query in queries]
        # However many positives are among the best, enough other documents are found.
        depth = self.selection.depth + max(map(len, positives))
        found: dict[str, list[tuple[str, float]]] = {}
        hits_of = self.retriever.search_many(queries, depth)
        for query, excluded, hits in zip(queries, positives, hits_of, strict=True):
            texts: dict[str, float] = {}
            for position, score in hits:
                texts.setdefault(self.documents[position], score)
            others = [item for item in texts.items() if item[0] not in excluded]
            found[query] = others[self.selection.range_min : self.selection.depth]
        return found if self.cross_encoder is None else self._rescored(found)

    def _rescored(
        self, found: dict[str, list[tuple[str, float]]]
    ) -> dict[str, list[tuple[str, float]]]:
        pairs = [(query, text) for query, texts in found.items() for text, _ in texts]
        scores = iter(self._score(pairs))
        return {query: [(text, next(scores)) for text, _ in t] for query, t in found.items()}

    def _score(self, pairs: Sequence[Pair]) -> list[float]:
        """Score pairs by what decides about limits."""
        if self.cross_encoder is None:
            scores: list[float] = self.retriever.score(pairs).tolist()
        else:
            scores = self.cross_encoder.predict(pairs, show_progress_bar=False).tolist()
        return scores


class _StoredPairs:
    """Pairs on disk; those of a query are found without reading the others.

    Memory holds 16 bytes a pair: a digest of its query, sorted, and its number.
    """

    def __init__(self, texts: StoredTexts) -> None:
        self._texts = texts  # query, positive, query, positive ...
        keys = np.fromiter((_key(self[row][0]) for row in range(len(self))), dtype=np.uint64)
        self._rows = np.argsort(keys, kind="stable")
        self._keys = keys[self._rows]

    @classmethod
    @contextlib.contextmanager
    def write(cls, path: Path, pairs: Iterable[Pair]) -> Iterator["_StoredPairs"]:
        checked = (check_pair(pair, index) for index, pair in enumerate(pairs))
        with StoredTexts.write(path, chain.from_iterable(checked)) as texts:
            yield cls(texts)

    def __len__(self) -> int:
        return len(self._texts) // 2

    def __getitem__(self, row: int) -> Pair:
        return self._texts[2 * row], self._texts[2 * row + 1]

    def positives(self) -> Iterator[str]:
        return (self[row][1] for row in range(len(self)))

    def positives_of(self, query: str) -> set[str]:
        key = np.uint64(_key(query))
        start, end = (np.searchsorted(self._keys, key, side) for side in ("left", "right"))
        pairs = (self[row] for row in self._rows[start:end].tolist())
        return {positive for other, positive in pairs if other == query}


def _key(text: str) -> int:
    return int.from_bytes(_digest(text)[:8], "little")


def _distinct(texts: Iterable[str]) -> Iterator[str]:
    """Leave out texts that came before; memory holds a digest of each."""
    seen: set[bytes] = set()
    for text in texts:
        digest = _digest(text) if isinstance(text, str) else b""  # refused where it is stored
        if digest not in seen:
            seen.add(digest)
            yield text


def _digest(text: str) -> bytes:
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()
