"""Explaining through the queue: a client that goes away leaves nothing behind."""

import asyncio
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from crossrank import CrossEncoder
from crossrank.explanation.parts import Parts
from crossrank.server.explaining import MAX_PIECES, explain
from crossrank.server.serving import Answer, ServedModel
from crossrank.server.settings import Settings
from crossrank.types import Pair

PATIENCE = 60
TEXT = "Bread is baked. Paris is the capital of France. " * 40


@pytest.fixture
def served() -> Iterator[ServedModel]:
    served = ServedModel("default", CrossEncoder(), Settings())
    yield served
    asyncio.run(served.close())


def test_variants_are_one_bounded_request(
    served: ServedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = []
    score = served.score

    async def counted(pairs: Sequence[Pair]) -> Answer:
        sizes.append(len(pairs))
        return await score(pairs)

    monkeypatch.setattr(served, "score", counted)
    explanation = asyncio.run(explain(served, ("capital of France", TEXT)))
    assert explanation.method == "sentences"
    # The document, nothing, and all but each piece; then its score.
    assert sizes == [2 + MAX_PIECES, 1]


def test_who_gives_up_takes_the_variants_back(
    served: ServedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def test() -> None:
        asked, gone = asyncio.Event(), asyncio.Event()

        async def never(_: Sequence[Pair]) -> Answer:
            asked.set()
            try:
                await asyncio.Event().wait()
            finally:
                gone.set()
            raise AssertionError

        schedule = asyncio.run_coroutine_threadsafe

        def slowly(*arguments: Any) -> Any:
            future = schedule(*arguments)
            time.sleep(0.05)  # the loop is faster than the thread that waits for it
            return future

        monkeypatch.setattr(asyncio, "run_coroutine_threadsafe", slowly)
        monkeypatch.setattr(served, "score", never)
        async with asyncio.timeout(PATIENCE):
            task = asyncio.ensure_future(explain(served, ("q", "One. Two.")))
            await asked.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await gone.wait()

    asyncio.run(test())


def test_other_work_on_threads_need_not_wait_for_explanations(
    served: ServedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def test() -> None:
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))
        asked, answer = asyncio.Event(), asyncio.Event()
        score = served.score

        async def late(pairs: Sequence[Pair]) -> Answer:
            asked.set()
            await answer.wait()
            return await score(pairs)

        monkeypatch.setattr(served, "score", late)
        async with asyncio.timeout(PATIENCE):
            task = asyncio.ensure_future(explain(served, ("q", "One. Two.")))
            await asked.wait()
            try:
                assert await asyncio.wait_for(asyncio.to_thread(int, "7"), 5) == 7
            finally:
                answer.set()
            assert (await task).method == "sentences"

    asyncio.run(test())


def test_texts_are_cut_off_the_event_loop(
    served: ServedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads = set()
    sentences = Parts.sentences

    def noted(text: str, most: int) -> Parts:
        threads.add(threading.current_thread().name.rstrip("0123456789"))
        return sentences(text, most)

    monkeypatch.setattr(Parts, "sentences", noted)
    asyncio.run(explain(served, ("capital of France", TEXT)))
    assert threads == {"crossrank-explain_"}
