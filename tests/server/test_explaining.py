"""Explaining through the queue: a client that goes away leaves nothing behind."""

import asyncio
from collections.abc import Iterator, Sequence

import pytest

from crossrank import CrossEncoder
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

        monkeypatch.setattr(served, "score", never)
        async with asyncio.timeout(PATIENCE):
            task = asyncio.ensure_future(explain(served, ("q", "One. Two.")))
            await asked.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await gone.wait()

    asyncio.run(test())
