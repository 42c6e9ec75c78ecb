"""Dynamic batching: pairs of requests that arrive together are computed together.

The queue knows token ids and logits, and nothing of texts, models or HTTP. Whenever a worker is
free it gets the next batch:

* requests take turns of two batches, and a new one is a turn ahead of all others, so that a large
  request does not keep small ones waiting; among those that had as many turns the one that came
  first goes first, since requests alike would all end late if they were served evenly; every fourth
  batch goes to the oldest request, so that small ones cannot starve a large one;
* its longest pair decides the padding: pairs that are nearly as long come first, those of other
  requests too unless they have far more left; then its own others, then what else is not much
  shorter;
* batches have 1, 2, 4, 8 ... pairs, as everywhere in crossrank: see ``crossrank.batching.plan``;
  when little waits, no batch is larger than a worker's share of it, so that all end together.

A request that is cancelled leaves at once; what a worker has begun for it is thrown away.
"""

import asyncio
import time
from bisect import bisect_right
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np

from crossrank.batching import SHORT, power_of_two
from crossrank.server.problems import RequestError
from crossrank.tokenization import Encoded
from crossrank.types import Floats

Compute = Callable[[list[Encoded]], Floats]
"""Computes the logits ``[pairs, labels]`` of a batch; called on a thread of its own."""

TURN = 2
"""Batches that a request is served before those are that have had fewer turns."""

OLDEST_EVERY = 4
"""Every so many batches the oldest request goes first."""

NEAR, FAR = 0.9, 0.5
"""Parts of a batch's length from which pairs of other requests join it: before the other pairs of
the request that goes first, and after them. What is shorter would be mostly padding."""

PEERS = 2
"""How many times the pairs of the request that goes first another may have left for its pairs to
come before the first one's others: a large request would fill every batch."""


@dataclass(frozen=True)
class BatchFacts:
    """What was computed at once.

    Attributes:
        pairs: How many pairs.
        requests: Of how many requests.
        tokens: Their tokens.
        padded_tokens: The same with padding.
        seconds: How long it took.
    """

    pairs: int
    requests: int
    tokens: int
    padded_tokens: int
    seconds: float


@dataclass(eq=False)
class _Job:
    """The pairs of one request.

    Attributes:
        pairs: All of them.
        done: Gets the logits.
        arrived: When, by ``time.monotonic``.
        served: Padded tokens that were computed for it, and what it was credited on arrival.
        waiting: Pairs that no worker has taken, shortest first.
        lengths: Their tokens.
        results: Logits by pair.
    """

    pairs: Sequence[Encoded]
    done: asyncio.Future[Floats]
    arrived: float
    served: int
    waiting: list[int] = field(init=False)
    lengths: list[int] = field(init=False)
    results: dict[int, Floats] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.waiting = sorted(range(len(self.pairs)), key=lambda row: self.pairs[row].length)
        self.lengths = [self.pairs[row].length for row in self.waiting]

    def take(self, count: int, longest: int) -> list[int]:
        """Take the longest waiting pairs that are no longer than this."""
        end = bisect_right(self.lengths, longest)
        start = max(0, end - count)
        taken = self.waiting[start:end]
        del self.waiting[start:end], self.lengths[start:end]
        return taken

    def count(self, shortest: float, longest: int) -> int:
        """Count the waiting pairs of these lengths."""
        return bisect_right(self.lengths, longest) - bisect_right(self.lengths, shortest)


class BatchQueue:
    """Computes pairs of many requests in common batches. Lives on one event loop.

    Args:
        workers: Each computes one batch at a time.
        token_budget: Gives the most tokens that a batch may have, padding included: fewer once a
            device had no memory for more.
        max_pairs: Most pairs that may wait; a request that would exceed it is refused, unless
            nothing waits.
        max_wait: Seconds that a worker stays idle for more pairs while those that wait do not
            fill a batch.
        observe: Called after each batch.

    Example:
        >>> async def lengths() -> list[float]:
        ...     work = lambda pairs: np.float32([[len(p.ids)] for p in pairs])
        ...     queue = BatchQueue([work], lambda: 512)
        ...     pairs = [Encoded(np.arange(n, dtype=np.int32), n) for n in (3, 5)]
        ...     return (await queue.score(pairs)).ravel().tolist()
        >>> asyncio.run(lengths())
        [3.0, 5.0]
    """

    def __init__(
        self,
        workers: Sequence[Compute],
        token_budget: Callable[[], int],
        *,
        max_pairs: int = 100_000,
        max_wait: float = 0.0,
        observe: Callable[[BatchFacts], object] = lambda _: None,
    ) -> None:
        self.token_budget = token_budget
        self.max_pairs = max_pairs
        self.max_wait = max_wait
        self._observe = observe
        self._turn = TURN * token_budget()
        self._workers = len(workers)
        self._free = list(workers)
        self._threads = ThreadPoolExecutor(len(workers), thread_name_prefix="crossrank-forward")
        self._jobs: list[_Job] = []
        self._alarm: asyncio.TimerHandle | None = None
        self._idle = asyncio.Event()
        self._idle.set()
        self._closing = False
        self._batches = 0
        self._served = 0  # what the request that was served least had been: a clock

    @property
    def waiting(self) -> int:
        """How many pairs wait for a worker."""
        return sum(len(job.waiting) for job in self._jobs)

    @property
    def requests(self) -> int:
        """How many requests have not got all their logits."""
        return len(self._jobs)

    async def score(self, pairs: Sequence[Encoded]) -> Floats:
        """Compute the logits ``[pairs, labels]`` of a request, one pair at least.

        Raises:
            RequestError: The queue is full, or closed.
        """
        if self._closing:
            raise RequestError(
                "stopping", "The server is about to stop and takes no more requests."
            )
        waiting = self.waiting
        if waiting and waiting + len(pairs) > self.max_pairs:
            raise RequestError(
                "overloaded",
                f"{waiting} pairs wait already, and at most {self.max_pairs} may: try again later.",
            )
        done: asyncio.Future[Floats] = asyncio.get_running_loop().create_future()
        turns = self._served // self._turn - 1  # one fewer than anybody, and all of the next
        job = _Job(pairs, done, time.monotonic(), turns * self._turn)
        self._jobs.append(job)
        self._idle.clear()
        try:
            self._dispatch()
            return await done
        finally:
            self._leave(job)

    async def close(self) -> None:
        """Take no more requests, answer those that were taken, and end the threads."""
        self._closing = True
        await self._idle.wait()
        await asyncio.to_thread(self._threads.shutdown)

    def _leave(self, job: _Job) -> None:
        self._jobs.remove(job)
        if not self._jobs:
            self._idle.set()

    def _dispatch(self) -> None:
        """Give every free worker a batch, as long as there is something to compute."""
        while self._free and (jobs := [job for job in self._jobs if job.waiting]):
            if self._should_wait(jobs):
                return
            self._start(self._free.pop(), self._next_batch(jobs))

    def _should_wait(self, jobs: Sequence[_Job]) -> bool:
        """Say whether more pairs may come before these are computed; set an alarm if so."""
        if not self.max_wait or _tokens(jobs) >= self.token_budget():
            return False
        left = min(job.arrived for job in jobs) + self.max_wait - time.monotonic()
        if left <= 0:
            return False
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm = asyncio.get_running_loop().call_later(left, self._dispatch)
        return True

    def _next_batch(self, jobs: Sequence[_Job]) -> list[tuple[_Job, int]]:
        """Take the pairs to compute next from those that wait."""
        self._batches += 1
        # Stable: first come, first served.
        order = sorted(jobs, key=lambda job: job.served // self._turn)
        if self._batches % OLDEST_EVERY == 0:
            order.sort(key=lambda job: job is not jobs[0])
        self._served = max(self._served, min(job.served for job in jobs))
        first, *others = order
        longest = first.lengths[-1]
        peers = [job for job in order if len(job.waiting) <= PEERS * len(first.waiting)]
        later = [(first, 0.0), *((job, FAR * longest) for job in others)]
        found = sum(job.count(shortest, longest) for job, shortest in later)
        room = power_of_two(min(max(1, self._budget(jobs) // max(1, longest)), found))
        batch: list[tuple[_Job, int]] = []
        for job, shortest in [*((job, NEAR * longest) for job in peers), *later]:
            count = min(job.count(shortest, longest), room - len(batch))
            taken = job.take(count, longest)
            job.served += longest * len(taken)
            batch += [(job, row) for row in taken]
        return batch

    def _budget(self, jobs: Sequence[_Job]) -> int:
        """How many tokens the next batch may have."""
        if self._workers == 1 or self.waiting > SHORT:
            return self.token_budget()
        return min(self.token_budget(), -(-_tokens(jobs) // self._workers))

    def _start(self, worker: Compute, batch: list[tuple[_Job, int]]) -> None:
        pairs = [job.pairs[row] for job, row in batch]
        began = time.perf_counter()
        future = asyncio.get_running_loop().run_in_executor(self._threads, worker, pairs)

        def finish(future: asyncio.Future[Floats]) -> None:
            self._free.append(worker)
            self._deliver(batch, future)
            self._observe(_facts(batch, time.perf_counter() - began))
            self._dispatch()

        future.add_done_callback(finish)

    def _deliver(self, batch: list[tuple[_Job, int]], future: asyncio.Future[Floats]) -> None:
        error = future.exception()
        for place, (job, row) in enumerate(batch):
            if job.done.done():
                continue  # cancelled, or failed with an earlier batch
            if error is not None:
                job.done.set_exception(error)
                job.take(len(job.waiting), job.lengths[-1] if job.lengths else 0)
                continue
            job.results[row] = future.result()[place]
            if len(job.results) == len(job.pairs):
                job.done.set_result(np.stack([job.results[row] for row in range(len(job.pairs))]))


def _tokens(jobs: Sequence[_Job]) -> int:
    """Count the tokens that wait."""
    return sum(sum(job.lengths) for job in jobs)


def _facts(batch: list[tuple[_Job, int]], seconds: float) -> BatchFacts:
    lengths = [job.pairs[row].length for job, row in batch]
    requests = len({id(job) for job, _ in batch})
    return BatchFacts(len(batch), requests, sum(lengths), max(lengths) * len(batch), seconds)
