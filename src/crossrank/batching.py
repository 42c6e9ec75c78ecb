"""Length-sorted, token-budgeted batches, and back-off when memory runs out."""

import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from heapq import heapreplace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from crossrank.tokenization import Encoded
from crossrank.types import Floats, Patches


@dataclass(frozen=True, slots=True)
class Batch:
    """Several pairs: padded token ids, int64 ``[pairs, length]`` each, and what comes with them.

    Attributes:
        input_ids: Token ids.
        attention_mask: 1 for a token, 0 for padding.
        token_type_ids: 0 for the query, 1 for the document, 0 for padding.
        features: Of documents that are images or recordings, ``[pairs, ...]``.
        positions: How many states the model computes of each pair's features.
        images: Of vision-language models, one a pair, ``None`` for a document without; empty when
            no document has one.
    """

    input_ids: NDArray[np.int64]
    attention_mask: NDArray[np.int64]
    token_type_ids: NDArray[np.int64]
    features: Floats | None = None
    positions: int = 0
    images: tuple[Patches | None, ...] = ()

    @property
    def more(self) -> list[NDArray[Any]]:
        """What the model takes after the tokens.

        Features ``[pairs, ...]``; or of all images together the patches, ``[patches, numbers]``,
        and the grids, int64 ``[images, 3]``.
        """
        images = [image for image in self.images if image is not None]
        if images:
            patches = np.concatenate([image.values for image in images])
            return [patches, np.array([image.grid for image in images], dtype=np.int64)]
        return [] if self.features is None else [self.features]

    @property
    def size(self) -> int:
        """How much there is to compute, padding included: tokens, and positions of features."""
        tokens: int = self.input_ids.shape[1]
        return len(self) * (tokens + self.positions)

    def __len__(self) -> int:
        return len(self.input_ids)

    def halves(self) -> tuple["Batch", "Batch"]:
        """Split the batch in two, to try again with less memory."""
        middle = len(self) // 2
        return self._rows(slice(None, middle)), self._rows(slice(middle, None))

    def _rows(self, rows: slice) -> "Batch":
        return Batch(
            self.input_ids[rows],
            self.attention_mask[rows],
            self.token_type_ids[rows],
            None if self.features is None else self.features[rows],
            self.positions,
            self.images[rows],
        )


def collate(
    pairs: Sequence[Encoded], *, pad_token_id: int, side: Literal["left", "right"] = "right"
) -> Batch:
    """Pad pairs to the longest of them.

    Args:
        pairs: At least one encoded pair.
        pad_token_id: Id that fills up short sequences.
        side: Where the padding goes.

    Example:
        >>> import numpy as np
        >>> pair = Encoded(np.array([1, 7, 2, 8, 2], dtype=np.int32), document_start=3)
        >>> short = Encoded(np.array([1, 2, 2], dtype=np.int32), document_start=2)
        >>> collate([pair, short], pad_token_id=0).token_type_ids
        array([[0, 0, 0, 1, 1],
               [0, 0, 1, 0, 0]])
    """
    length = max(len(pair.ids) for pair in pairs)
    input_ids = np.full((len(pairs), length), pad_token_id, dtype=np.int64)
    attention_mask = np.zeros((len(pairs), length), dtype=np.int64)
    token_type_ids = np.zeros((len(pairs), length), dtype=np.int64)
    for row, pair in enumerate(pairs):
        start = length - len(pair.ids) if side == "left" else 0
        end = start + len(pair.ids)
        input_ids[row, start:end] = pair.ids
        attention_mask[row, start:end] = 1
        token_type_ids[row, start + pair.document_start : end] = 1
    features = [pair.features for pair in pairs if pair.features is not None]
    images = tuple(pair.image for pair in pairs)
    return Batch(
        input_ids,
        attention_mask,
        token_type_ids,
        np.stack(features) if features else None,
        max(pair.positions for pair in pairs),
        images if any(images) else (),
    )


SHORT = 256
"""Most sequences that are shared out: a longer list has enough batches to keep all busy."""

START = 32
"""What starting a batch costs, in tokens: MiniLM-L6 in int8 on two cores."""

PARTS = (1.0, 0.75, 0.5, 0.35, 0.25, 0.0)
"""Largest batches that are tried: parts of the work of one stream."""


def plan(
    lengths: Sequence[int], *, budget: int, batch_size: int | None = None, streams: int = 1
) -> Iterator[NDArray[np.intp]]:
    """Group sequences of similar length.

    Longest first, so that the batches that need most memory, and most time, come first. Filled by
    tokens, batches have 1, 2, 4, 8 ... sequences: engines prepare code for every shape they meet
    and keep it, so the fewer shapes there are, the less memory a long stream takes.

    Args:
        lengths: Tokens of each sequence.
        budget: Most tokens a batch may have, padding included. A single longer sequence makes a
            batch of its own.
        batch_size: When given, exactly this many sequences a batch, whatever the budget.
        streams: How many batches the processor computes at the same time. A short list is shared
            out so that all of them end at about the same time.

    Yields:
        Positions in ``lengths``; every position once.

    Example:
        >>> [batch.tolist() for batch in plan([3, 9, 4, 8], budget=18)]
        [[1, 3], [2, 0]]
        >>> [batch.tolist() for batch in plan([64] * 6, budget=1024, streams=2)]
        [[0, 1], [2, 3], [4], [5]]
    """
    order = np.argsort(-np.asarray(lengths, dtype=np.int64), kind="stable")
    sizes: Iterable[tuple[int, int]]
    if batch_size is None and streams > 1 and len(order) <= SHORT:
        sizes = _shared_out([lengths[row] for row in order], budget, streams)
    else:
        sizes = _filled([lengths[row] for row in order], budget, batch_size)
    for start, size in sizes:
        yield order[start : start + size]


def _filled(
    lengths: Sequence[int], budget: int, batch_size: int | None
) -> Iterator[tuple[int, int]]:
    """Yield start and size of batches that are as large as may be."""
    start = 0
    while start < len(lengths):
        longest = max(1, lengths[start])
        size = batch_size
        if size is None:
            size = power_of_two(min(max(1, budget // longest), len(lengths) - start))
        yield start, size
        start += size


def _shared_out(lengths: Sequence[int], budget: int, streams: int) -> list[tuple[int, int]]:
    """Give start and size of batches, dearest first, with which the last stream ends earliest.

    For several limits on what one batch may cost, the cheapest batches are found, and the small
    ones halved as long as that helps; the best of these plans is taken.
    """
    share = sum(lengths) / streams

    def end(batches: Sequence[tuple[int, int]]) -> int:
        busy = [0] * streams
        for start, size in batches:  # each goes to the first stream that is free
            heapreplace(busy, busy[0] + START + size * lengths[start])
        return max(busy)

    def halved(batches: list[tuple[int, int]]) -> list[tuple[int, int]]:
        while any(size > 1 for _, size in batches):
            place = max(place for place, (_, size) in enumerate(batches) if size > 1)
            start, half = batches[place][0], batches[place][1] // 2
            parts = [(start, half), (start + half, half)]
            changed = [*batches[:place], *parts, *batches[place + 1 :]]
            if end(changed) >= end(batches):
                break
            batches = changed
        return batches

    limits = (min(budget, share * part) for part in PARTS)
    return min((halved(_cheapest(lengths, limit)) for limit in limits), key=end)


def _cheapest(lengths: Sequence[int], limit: float) -> list[tuple[int, int]]:
    """Give start and size of the cheapest batches of at most ``limit`` tokens, dearest first.

    Cost is tokens, padding included, and ``START`` a batch. The cheapest way to batch the first n
    sequences is one last batch after the cheapest way to batch those before it.
    """
    cost, last = [0], [0]
    for end in range(1, len(lengths) + 1):
        sizes = (1 << power for power in range(end.bit_length()))
        cost_of = {
            size: cost[end - size] + START + size * lengths[end - size]
            for size in sizes
            if size == 1 or size * lengths[end - size] <= limit
        }
        last.append(min(cost_of, key=cost_of.__getitem__))
        cost.append(cost_of[last[-1]])
    batches, end = [], len(lengths)
    while end:
        end -= (size := last[end])
        batches.append((end, size))
    return sorted(batches, key=lambda batch: (-batch[1] * lengths[batch[0]], batch[0]))


def power_of_two(limit: int) -> int:
    """The largest power of two that is no larger."""
    return 1 << (limit.bit_length() - 1)


class TokenBudget:
    """How many tokens a batch may have; halves when memory runs out.

    Args:
        tokens: Where to start.
    """

    def __init__(self, tokens: int) -> None:
        self._tokens = max(1, tokens)
        self._lock = threading.Lock()

    @property
    def tokens(self) -> int:
        """The budget now."""
        return self._tokens

    def halve(self, failed: int) -> None:
        """Note that a batch of ``failed`` tokens did not fit."""
        with self._lock:
            self._tokens = max(1, min(self._tokens, failed // 2))
