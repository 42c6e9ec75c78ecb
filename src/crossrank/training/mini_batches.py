"""One training step in parts: mini-batches without padding to speak of, and exact gradients.

Losses are means over queries, so a batch is split between queries, and each part's gradient is
added as soon as it is known. Only a list that is too long to be held at once needs more: gradient
caching (Gao et al., 2021, arXiv:2101.06983) computes its scores without a graph, then the gradient
of the loss by each score, then each mini-batch again with a graph. Memory depends on the size of a
part, not on that of the batch.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from crossrank.batching import Batch, collate
from crossrank.models import ModelSpec
from crossrank.models.torch_modules.inputs import module_inputs
from crossrank.tokenization import Encoded
from crossrank.training.collation import TrainingBatch

MAX_PADDING = 0.05
"""Largest share of padding in what is computed."""

Score = Callable[[Sequence[Encoded]], Tensor]
"""Computes logits ``[pairs, labels]`` of a mini-batch."""


def plan(lengths: Sequence[int], tokens: int) -> Iterator[NDArray[np.intp]]:
    """Group sequences into few mini-batches that are nearly free of padding.

    Begins with a mini-batch for each length, and joins the neighbours that cost least as long as
    no more than ``MAX_PADDING`` of everything is padding.

    Args:
        lengths: Tokens of each sequence, some thousands at most.
        tokens: Most tokens a mini-batch has, padding included; a longer sequence goes alone.

    Yields:
        Positions in ``lengths``, longest first; every position once.

    Example:
        >>> [part.tolist() for part in plan([100, 20, 99, 20], tokens=1000)]
        [[0, 2], [1, 3]]
    """
    order = np.argsort(-np.asarray(lengths), kind="stable")
    ordered = np.asarray(lengths)[order].tolist()
    groups = list(_of_one_length(ordered, tokens))
    left = MAX_PADDING / (1 - MAX_PADDING) * sum(ordered)
    while len(groups) > 1:
        costs = [_cost(ordered, *pair, tokens) for pair in pairwise(groups)]
        place = int(np.argmin(costs))
        left -= costs[place]
        if left < 0:
            break
        groups[place : place + 2] = [range(groups[place].start, groups[place + 1].stop)]
    for group in groups:
        yield order[group.start : group.stop]


def _of_one_length(ordered: Sequence[int], tokens: int) -> Iterator[range]:
    start = 0
    for end in range(1, len(ordered) + 1):
        full = (end + 1 - start) * ordered[start] > tokens
        if end == len(ordered) or ordered[end] != ordered[start] or full:
            yield range(start, end)
            start = end


def _cost(ordered: Sequence[int], one: range, other: range, tokens: int) -> float:
    """Padding that joining two neighbours adds; infinite where they do not fit."""
    longest = ordered[one.start]
    if longest * (len(one) + len(other)) > tokens:
        return np.inf
    return float(longest - ordered[other.start]) * len(other)


@dataclass
class Scorer:
    """Scores mini-batches with a model.

    Attributes:
        model: The module, perhaps wrapped for several processes.
        spec: What its padding looks like.
        device: Where it computes.
        tokens: How many tokens had an input so far, with padding and without.
    """

    model: nn.Module
    spec: ModelSpec
    device: torch.device
    tokens: list[int] = field(default_factory=lambda: [0, 0])

    def __call__(self, encoded: Sequence[Encoded]) -> Tensor:
        """Compute logits ``[pairs, labels]``."""
        return self.forward(self.collate(encoded))

    def collate(self, encoded: Sequence[Encoded]) -> Batch:
        """Pad a mini-batch."""
        return collate(encoded, pad_token_id=self.spec.pad_token_id, side=self.spec.padding_side)

    def forward(self, batch: Batch) -> Tensor:
        """Compute the logits ``[pairs, labels]`` of what is padded."""
        self.tokens[0] += batch.input_ids.size
        self.tokens[1] += int(batch.attention_mask.sum())
        logits: Tensor = self.model(*module_inputs(batch, self.device))
        return logits


@dataclass(frozen=True)
class Step:
    """Computes the gradient of one batch.

    Attributes:
        score: Computes logits of a mini-batch.
        loss: Loss of a whole batch, given its logits ``[pairs, labels]``.
        separable: Whether the loss is a mean over queries.
        mini_batch: Most tokens that are computed at once; a part has no larger ones either way.
        part: Most tokens whose graph is held at once.
        backward: Adds a value's gradient to the parameters'.
        unsynchronised: Holds back the exchange between processes but for the last mini-batch.
        precision: What scores are computed in, so that weights are cast once for all of a part.
    """

    score: Score
    loss: Callable[[Tensor, TrainingBatch], Tensor]
    separable: bool
    mini_batch: int
    part: int
    backward: Callable[[Tensor], None]
    unsynchronised: Callable[[], AbstractContextManager[None]]
    precision: Callable[[], AbstractContextManager[None]] = nullcontext

    def run(self, batch: TrainingBatch) -> tuple[Tensor, Tensor]:
        """Add the gradient of the batch's loss to the parameters.

        Returns:
            The loss, a scalar, and the logits ``[pairs, labels]``, both without a graph.
        """
        parts = list(split(batch, self.part)) if self.separable else [np.arange(len(batch))]
        total: Tensor | None = None
        logits: list[Tensor] = []
        for number, rows in enumerate(parts):
            chosen = batch.select(rows)
            share = len(rows) / len(batch)
            last = number == len(parts) - 1
            fits = sum(pair.length for pair in chosen.encoded) <= self.part
            value, scores = (self._direct if fits else self._cached)(chosen, share, last)
            total = value if total is None else total + value
            logits.append(scores)
        assert total is not None
        return total, torch.cat(logits)

    def _direct(self, batch: TrainingBatch, share: float, last: bool) -> tuple[Tensor, Tensor]:
        """Hold the graph of the whole part."""
        with _either(last, self.unsynchronised):
            with self.precision():
                outputs = [self.score(pairs) for _, pairs in self._plan(batch)]
            logits = self._assemble(outputs, batch)
            value = self.loss(logits, batch) * share
            self.backward(value)
        return value.detach(), logits.detach()

    def _cached(self, batch: TrainingBatch, share: float, last: bool) -> tuple[Tensor, Tensor]:
        """Hold the graph of one mini-batch; everything is computed twice."""
        mini_batches = list(self._plan(batch))
        states, outputs = [], []
        with torch.no_grad(), self.precision():
            for _, pairs in mini_batches:
                states.append(_Random.now())
                outputs.append(self.score(pairs))
        logits = self._assemble(outputs, batch).requires_grad_()
        value = self.loss(logits, batch) * share
        (gradient,) = torch.autograd.grad(value, logits)
        after = _Random.now()
        for number, (rows, pairs) in enumerate(mini_batches):
            states[number].restore()  # the same dropout as the first time
            final = last and number == len(mini_batches) - 1
            with _either(final, self.unsynchronised):
                index = torch.from_numpy(rows).to(gradient.device)
                self.backward((self.score(pairs) * gradient[index]).sum())
        after.restore()
        return value.detach(), logits.detach()

    def _plan(self, batch: TrainingBatch) -> Iterator[tuple[NDArray[np.intp], list[Encoded]]]:
        for rows in plan([pair.length for pair in batch.encoded], min(self.mini_batch, self.part)):
            yield rows, [batch.encoded[row] for row in rows]

    def _assemble(self, outputs: list[Tensor], batch: TrainingBatch) -> Tensor:
        """Put the logits of mini-batches into the order of the batch."""
        order = np.concatenate([rows for rows, _ in self._plan(batch)])
        joined = torch.cat(outputs)
        return joined[torch.from_numpy(np.argsort(order)).to(joined.device)]


def split(batch: TrainingBatch, tokens: int) -> Iterator[NDArray[np.intp]]:
    """Group queries of a batch into parts; a query with more tokens makes a part of its own.

    Yields:
        Rows of the batch, in order.
    """
    sizes = np.zeros(len(batch), dtype=np.int64)
    np.add.at(sizes, batch.rows.cpu().numpy(), [pair.length for pair in batch.encoded])
    start = 0
    for end in range(1, len(batch) + 1):
        if end == len(batch) or sizes[start : end + 1].sum() > tokens:
            yield np.arange(start, end)
            start = end


@dataclass(frozen=True)
class _Random:
    """Where the random numbers stand that dropout takes."""

    cpu: Tensor
    cuda: list[Tensor]

    @classmethod
    def now(cls) -> "_Random":
        cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
        return cls(torch.get_rng_state(), cuda)

    def restore(self) -> None:
        torch.set_rng_state(self.cpu)
        if self.cuda:
            torch.cuda.set_rng_state_all(self.cuda)


def _either(
    synchronised: bool, unsynchronised: Callable[[], AbstractContextManager[None]]
) -> AbstractContextManager[None]:
    return nullcontext() if synchronised else unsynchronised()
