"""Explaining scores on a server: variants of a document go through the queue like any request."""

import asyncio
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError, Future
from typing import Any

from crossrank.explanation.explain import Wanted, explain_pair
from crossrank.explanation.explanation import Explanation, Method
from crossrank.explanation.parts import Parts
from crossrank.scoring import Options, Scored, Scorer
from crossrank.server.serving import Answer, ServedModel
from crossrank.types import Pair

MAX_PIECES = 32
"""Pieces of a document, each of which costs a variant to score."""


async def explain(served: ServedModel, pair: Pair) -> Explanation:
    """Say which sentences of a document make its score; of a single one, which words.

    Raises:
        RequestError: The queue is full, or the server stops.
        CrossRankError: The model failed.
    """
    scorer = _QueuedScorer(served)
    try:
        return await asyncio.get_running_loop().run_in_executor(
            served.explainers, scorer.explain, pair
        )
    finally:
        scorer.give_up()


class _QueuedScorer(Scorer):
    """Scores pairs in a model's queue, for code on another thread than the event loop's.

    The prompt is the model's own, as for all requests.
    """

    def __init__(self, served: ServedModel) -> None:
        scorer = served.scorer
        super().__init__(
            scorer.spec, scorer.tokenizer, scorer.backends, scorer.cache, scorer.namespace
        )
        self._served = served
        self._loop = asyncio.get_running_loop()
        self._lock = threading.Lock()
        self._pending: Future[Answer] | None = None
        self._given_up = False

    def explain(self, pair: Pair) -> Explanation:
        """Explain a pair, on a thread."""
        several = len(Parts.sentences(pair[1], most=2)) > 1
        method: Method = "sentences" if several else "tokens"
        model = self._served.model
        return explain_pair(
            self,
            pair,
            Wanted(method, max_pieces=MAX_PIECES),
            prompt=model.prompt_text(),
            finish=model.finisher(),
        )

    def run(
        self,
        pairs: Iterable[Any],
        options: Options,
        progress: Callable[[int], object] = lambda _: None,
    ) -> Iterator[Scored]:
        """Score pairs as one request."""
        with self._lock:  # the loop may begin to score, and its client give up, in the middle of it
            if self._given_up:
                raise CancelledError
            self._pending = asyncio.run_coroutine_threadsafe(
                self._served.score(list(pairs)), self._loop
            )
        answer = self._pending.result()
        yield Scored(answer.logits, answer.truncated)

    def give_up(self) -> None:
        """Take what still waits out of the queue: nobody waits for it any more."""
        with self._lock:
            self._given_up = True
            if self._pending is not None:
                self._pending.cancel()
