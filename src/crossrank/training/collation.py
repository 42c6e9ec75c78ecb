"""Lists of documents to one batch of token ids, labels and a mask."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from crossrank.tokenization import Encoded, PairTokenizer
from crossrank.training.examples import Example


@dataclass(frozen=True)
class TrainingBatch:
    """Queries with lists of documents, which may differ in length.

    Attributes:
        encoded: Every pair, query by query, not padded.
        rows: The query of each pair, ``[pairs]``.
        columns: The place of each pair in its query's list, ``[pairs]``.
        labels: 0 where there is no document, ``[queries, documents]``.
        mask: True for a document, ``[queries, documents]``.
        teacher_scores: 0 where there is no document, ``[queries, documents]``; ``None`` unless
            every query of the batch has them.
    """

    encoded: list[Encoded]
    rows: Tensor
    columns: Tensor
    labels: Tensor
    mask: Tensor
    teacher_scores: Tensor | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def to(self, device: torch.device | str, non_blocking: bool = False) -> "TrainingBatch":
        """Move the tensors; token ids stay, mini-batches move them."""
        return replace(
            self,
            rows=self.rows.to(device, non_blocking=non_blocking),
            columns=self.columns.to(device, non_blocking=non_blocking),
            labels=self.labels.to(device, non_blocking=non_blocking),
            mask=self.mask.to(device, non_blocking=non_blocking),
            teacher_scores=None
            if self.teacher_scores is None
            else self.teacher_scores.to(device, non_blocking=non_blocking),
        )

    def select(self, queries: NDArray[np.intp]) -> "TrainingBatch":
        """Take consecutive queries."""
        first, end = int(queries[0]), int(queries[-1]) + 1
        kept = (self.rows >= first) & (self.rows < end)
        places = kept.nonzero()[:, 0].tolist()
        return TrainingBatch(
            encoded=[self.encoded[place] for place in places],
            rows=self.rows[kept] - first,
            columns=self.columns[kept],
            labels=self.labels[first:end],
            mask=self.mask[first:end],
            teacher_scores=None if self.teacher_scores is None else self.teacher_scores[first:end],
        )


class Collator:
    """Makes batches of examples.

    Args:
        tokenizer: Pairs to token ids.
        in_batch_negatives: Documents of other queries that each list gets besides, labelled 0.
    """

    def __init__(self, tokenizer: PairTokenizer, in_batch_negatives: int = 0) -> None:
        self.tokenizer = tokenizer
        self.in_batch_negatives = in_batch_negatives

    def __call__(self, examples: Sequence[Example]) -> TrainingBatch:
        """Make a batch of at least one example."""
        if self.in_batch_negatives:
            examples = list(with_in_batch_negatives(examples, self.in_batch_negatives))
        pairs = [(example.query, text) for example in examples for text in example.documents]
        sizes = torch.tensor([len(example.documents) for example in examples])
        places = torch.arange(int(sizes.max()))
        mask = places < sizes[:, None]
        rows, columns = mask.nonzero(as_tuple=True)
        teacher = [example.teacher_scores for example in examples]
        return TrainingBatch(
            encoded=self.tokenizer.encode(pairs),
            rows=rows,
            columns=columns,
            labels=_table([example.labels for example in examples], mask),
            mask=mask,
            teacher_scores=_table([scores or () for scores in teacher], mask)
            if all(teacher)
            else None,
        )


def with_in_batch_negatives(examples: Sequence[Example], count: int) -> Iterator[Example]:
    """Add documents of other queries to each list, labelled 0.

    First the first documents of the queries that follow, in a circle, then their second ones and
    so on; never a text that is in the list already, nor one that belongs to the same query.

    Yields:
        The examples with up to ``count`` more documents, as far as the batch has them.

    Example:
        >>> batch = [Example("q", ("a",), (1.0,)), Example("r", ("b", "c"), (1.0, 0.0))]
        >>> [added.documents for added in with_in_batch_negatives(batch, 2)]
        [('a', 'b', 'c'), ('b', 'c', 'a')]
    """
    own: dict[str, set[str]] = {}
    for example in examples:
        own.setdefault(example.query, set()).update(example.documents)
    depth = max(len(example.documents) for example in examples)
    for number, example in enumerate(examples):
        others = [examples[(number + step) % len(examples)] for step in range(1, len(examples))]
        candidates = dict.fromkeys(
            other.documents[place]
            for place in range(depth)
            for other in others
            if place < len(other.documents)
        )
        added = tuple(text for text in candidates if text not in own[example.query])[:count]
        yield replace(
            example,
            documents=example.documents + added,
            labels=example.labels + (0.0,) * len(added),
        )


def _table(values: Sequence[Sequence[float]], mask: Tensor) -> Tensor:
    """Lay lists out as ``[queries, documents]``, with 0 behind short ones."""
    table = torch.zeros(mask.shape)
    table[mask] = torch.tensor([value for row in values for value in row], dtype=table.dtype)
    return table
