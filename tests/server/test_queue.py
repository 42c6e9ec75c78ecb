"""Dynamic batching: no pair lost, none answered with another's logits, nobody starved."""

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crossrank.server.problems import RequestError
from crossrank.server.queue import BatchFacts, BatchQueue
from crossrank.tokenization import Encoded
from crossrank.types import Floats

start = asyncio.ensure_future
NEVER = 10
"""Seconds after which a test that hangs fails."""


def pair(number: int, length: int) -> Encoded:
    """A pair whose logit is ``number``."""
    ids = np.full(length, 1, dtype=np.int32)
    ids[0] = number
    return Encoded(ids, length)


def first_token(pairs: Sequence[Encoded]) -> Floats:
    return np.float32([[p.ids[0]] for p in pairs])


class Gate:
    """A worker that waits to be let go, and remembers its batches."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.entered = threading.Semaphore(0)
        self.go = threading.Semaphore(0)

    def __call__(self, pairs: list[Encoded]) -> Floats:
        self.batches.append([int(p.ids[0]) for p in pairs])
        self.entered.release()
        assert self.go.acquire(timeout=NEVER)
        return first_token(pairs)

    async def busy(self) -> None:
        """Wait until a batch is being computed."""
        assert await asyncio.to_thread(self.entered.acquire, timeout=NEVER)


def run(test: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(NEVER):
            await test()

    asyncio.run(bounded())


@settings(max_examples=30, deadline=None)
@given(
    requests=st.lists(
        st.tuples(
            st.lists(st.integers(1, 60), min_size=1, max_size=12),  # lengths
            st.floats(0, 0.004),  # when it comes
            st.none() | st.floats(0, 0.004),  # when its client gives up
        ),
        min_size=1,
        max_size=12,
    ),
    workers=st.integers(1, 3),
    budget=st.integers(1, 200),
    wait=st.sampled_from([0.0, 0.001]),
)
def test_every_request_gets_its_own_logits_whatever_else_happens(
    requests: list[tuple[list[int], float, float | None]], workers: int, budget: int, wait: float
) -> None:
    computed: list[int] = []
    lock = threading.Lock()

    def work(pairs: list[Encoded]) -> Floats:
        with lock:
            computed.extend(int(p.ids[0]) for p in pairs)
        time.sleep(0.0002)
        return first_token(pairs)

    async def client(
        queue: BatchQueue, first: int, lengths: list[int], delay: float, patience: float | None
    ) -> None:
        await asyncio.sleep(delay)
        pairs = [pair(first + row, length) for row, length in enumerate(lengths)]
        try:
            async with asyncio.timeout(patience):
                logits = await queue.score(pairs)
        except TimeoutError:
            return
        assert logits.ravel().tolist() == [first + row for row in range(len(lengths))]

    async def test() -> None:
        queue = BatchQueue([work] * workers, lambda: budget, max_wait=wait)
        clients = [
            client(queue, 1000 * (number + 1), *request) for number, request in enumerate(requests)
        ]
        await asyncio.gather(*clients)
        assert queue.waiting == 0
        assert queue.requests == 0
        await queue.close()
        assert len(computed) == len(set(computed)), "a pair was computed twice"

    run(test)


def test_the_budget_is_asked_for_anew() -> None:
    """A device that had no memory for a batch gets smaller ones from then on."""
    budgets = iter([40, 40])

    async def test() -> None:
        gate = Gate()
        queue = BatchQueue([gate], token_budget=lambda: next(budgets, 20))
        asked = start(queue.score([pair(1, 10) for _ in range(8)]))
        gate.go.release(400)
        await asked
        assert [len(batch) for batch in gate.batches] == [4, 2, 2]
        await queue.close()

    run(test)


def test_a_large_request_does_not_keep_small_ones_waiting() -> None:
    async def test() -> None:
        gate = Gate()
        queue = BatchQueue([gate], token_budget=lambda: 40)
        large = start(queue.score([pair(1, 10) for _ in range(400)]))
        await gate.busy()
        small = start(queue.score([pair(2, 10) for _ in range(4)]))
        await asyncio.sleep(0)
        for _ in range(2):
            gate.go.release()
            await gate.busy()
        gate.go.release(400)
        await small
        assert [2, 2, 2, 2] in gate.batches[1:3]
        assert not large.done()
        await large
        assert len(gate.batches) == 101
        await queue.close()

    run(test)


def test_small_requests_do_not_starve_a_large_one() -> None:
    async def test() -> None:
        gate = Gate()
        queue = BatchQueue([gate], token_budget=lambda: 40)
        large = start(queue.score([pair(1, 10) for _ in range(8)]))
        await gate.busy()
        small = [start(queue.score([pair(2, 10) for _ in range(4)])) for _ in range(20)]
        await asyncio.sleep(0)
        gate.go.release(30)
        await large
        assert gate.batches.index([1, 1, 1, 1], 1) <= 4
        assert not all(request.done() for request in small)
        await asyncio.gather(*small)
        await queue.close()

    run(test)


def test_a_small_request_is_served_whole_before_a_large_one_goes_on() -> None:
    async def test() -> None:
        gate = Gate()
        queue = BatchQueue([gate], token_budget=lambda: 40)
        large = start(queue.score([pair(1, 10) for _ in range(400)]))
        for _ in range(4):
            await gate.busy()
            gate.go.release()
        await gate.busy()
        small = start(queue.score([pair(2, 10) for _ in range(6)]))  # 4 pairs, then 2
        await asyncio.sleep(0)
        gate.go.release(400)
        await small
        assert gate.batches[5:7] == [[2, 2, 2, 2], [2, 2, 1, 1]]
        await large
        await queue.close()

    run(test)


def test_requests_alike_are_answered_in_the_order_in_which_they_came() -> None:
    async def test() -> None:
        requests = [[pair(number, 10) for _ in range(8)] for number in range(1, 7)]
        batches = await batches_of(requests, token_budget=lambda: 40)
        # Served in turns, the first would wait for nearly all that the others have.
        assert batches == [[9], *([number] * 4 for number in range(1, 7) for _ in range(2))]

    run(test)


async def batches_of(requests: Sequence[Sequence[Encoded]], **options: Any) -> list[list[int]]:
    """The batches of requests that wait together, after that of a first pair, which is 9."""
    gate = Gate()
    queue = BatchQueue([gate], **options)
    first = start(queue.score([pair(9, 1)]))
    await gate.busy()
    others = [start(queue.score(request)) for request in requests]
    await asyncio.sleep(0)
    gate.go.release(20)
    await asyncio.gather(first, *others)
    await queue.close()
    return [sorted(batch) for batch in gate.batches]


def test_requests_share_batches_and_only_pairs_of_similar_length_do() -> None:
    async def test() -> None:
        facts: list[BatchFacts] = []
        requests = [[pair(number, length)] for number, length in enumerate([20, 18, 4, 16, 19])]
        batches = await batches_of(requests, token_budget=lambda: 160, observe=facts.append)
        # 20 tokens allow 8 pairs; four of the five are long enough to join.
        assert batches == [[9], [0, 1, 3, 4], [2]]
        assert (facts[1].pairs, facts[1].requests) == (4, 4)
        assert (facts[1].tokens, facts[1].padded_tokens) == (73, 80)

    run(test)


def test_pairs_of_nearly_the_same_length_come_together_whoever_asks() -> None:
    async def test() -> None:
        requests = [
            [pair(10 * request + n, length) for n, length in enumerate(lengths)]
            for request, lengths in enumerate([[100, 50, 60, 50], [98, 95, 55]], 1)
        ]
        batches = await batches_of(requests, token_budget=lambda: 400)
        # The rest of the batch is the first request's: its 60 before the 55 of the other one.
        assert batches[:2] == [[9], [10, 12, 20, 21]]

    run(test)


def test_a_large_request_does_not_fill_the_batches_of_a_small_one() -> None:
    async def test() -> None:
        small, large = [pair(1, 60), pair(2, 30)], [pair(number, 59) for number in range(10, 20)]
        batches = await batches_of([small, large], token_budget=lambda: 400)
        assert {1, 2} <= set(batches[1])

    run(test)


def test_a_short_request_is_shared_out_among_the_workers() -> None:
    async def test() -> None:
        gate = Gate()
        queue = BatchQueue([gate, gate], token_budget=lambda: 1000)
        request = start(queue.score([pair(number, 50) for number in range(10)]))
        gate.go.release(10)
        await request
        await queue.close()
        # Half of what waits each time: neither has much left when the other ends.
        assert [len(batch) for batch in gate.batches] == [4, 2, 2, 1, 1]

    run(test)


def test_what_images_and_recordings_become_counts_as_tokens() -> None:
    async def test() -> None:
        gate = Gate()
        gate.go.release(10)
        facts: list[BatchFacts] = []
        queue = BatchQueue([gate], token_budget=lambda: 40, observe=facts.append)
        await queue.score([replace(pair(n, 2), positions=18) for n in range(4)])
        await queue.close()
        assert [len(batch) for batch in gate.batches] == [2, 2]
        assert [(fact.tokens, fact.padded_tokens) for fact in facts] == [(40, 40)] * 2

    run(test)


def test_what_is_cancelled_leaves_at_once() -> None:
    async def test() -> None:
        gate = Gate()
        queue = BatchQueue([gate], token_budget=lambda: 10)
        first = start(queue.score([pair(1, 10)]))
        await gate.busy()
        second = start(queue.score([pair(2, 10)] * 50))
        await asyncio.sleep(0)
        assert queue.waiting == 50
        second.cancel()
        await asyncio.wait([second])
        assert queue.waiting == 0
        gate.go.release(2)
        assert (await first).tolist() == [[1.0]]
        await queue.close()
        assert gate.batches == [[1]]

    run(test)


def test_a_full_queue_refuses_and_an_empty_one_takes_any_request() -> None:
    async def test() -> None:
        gate = Gate()
        queue = BatchQueue([gate], token_budget=lambda: 1, max_pairs=3)
        large = start(queue.score([pair(1, 1) for _ in range(5)]))
        await gate.busy()
        with pytest.raises(RequestError, match="4 pairs wait already, and at most 3 may") as error:
            await queue.score([pair(2, 1)])
        assert error.value.status == 429
        gate.go.release(5)
        assert len(await large) == 5
        await queue.close()

    run(test)


def test_a_queue_that_closes_answers_what_it_took_and_takes_no_more() -> None:
    async def test() -> None:
        gate = Gate()
        queue = BatchQueue([gate], token_budget=lambda: 1)
        taken = start(queue.score([pair(n, 1) for n in (5, 6, 7)]))
        await gate.busy()
        closing = start(queue.close())
        await asyncio.sleep(0)
        with pytest.raises(RequestError, match="about to stop"):
            await queue.score([pair(2, 1)])
        gate.go.release(3)
        assert (await taken).ravel().tolist() == [5, 6, 7]
        await closing

    run(test)


def test_a_worker_that_fails_fails_the_requests_of_its_batch_and_no_others() -> None:
    def work(pairs: list[Encoded]) -> Floats:
        if any(p.ids[0] == 13 for p in pairs):
            raise MemoryError("no room")
        return first_token(pairs)

    async def test() -> None:
        queue = BatchQueue([work], token_budget=lambda: 1)
        bad = start(queue.score([pair(n, 1) for n in (1, 13, 2)]))
        good = start(queue.score([pair(n, 1) for n in (3, 4)]))
        with pytest.raises(MemoryError, match="no room"):
            await bad
        assert (await good).ravel().tolist() == [3, 4]
        assert queue.requests == 0
        await queue.close()

    run(test)


def test_a_worker_waits_for_more_pairs_if_told_to_and_no_longer_than_that() -> None:
    async def test() -> None:
        gate = Gate()
        gate.go.release(10)
        queue = BatchQueue([gate], token_budget=lambda: 4, max_wait=0.2)
        began = time.monotonic()
        first = start(queue.score([pair(1, 1)]))
        await asyncio.sleep(0.02)
        await asyncio.gather(first, queue.score([pair(n, 1) for n in (2, 3, 4)]))
        assert time.monotonic() - began < 0.15, "a full batch was kept waiting"
        await queue.score([pair(5, 1)])
        assert time.monotonic() - began >= 0.2
        assert [sorted(batch) for batch in gate.batches] == [[1, 2, 3, 4], [5]]
        await queue.close()

    run(test)
