"""The models of a server: loaded once, warmed up, each with its queue."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import numpy as np

from crossrank.cross_encoder import CrossEncoder
from crossrank.errors import UnsupportedModelError
from crossrank.scoring import Options, Scored, Window
from crossrank.server.documents import WrittenPair, all_texts, read_documents
from crossrank.server.problems import RequestError
from crossrank.server.queue import BatchFacts, BatchQueue
from crossrank.server.reading import AS_MUCH_AS_FITS, Pieces, Reading, cut, refuse_long
from crossrank.server.record import Stages, stage
from crossrank.server.redis_cache import RedisCache, is_redis
from crossrank.server.settings import Settings
from crossrank.types import AnyPair, Floats

Result = TypeVar("Result")

WARM_UP: list[AnyPair] = [("warm up", "word " * words) for words in (1, 20, 60, 120, 250)]
"""Pairs of all lengths, so that the first requests do not wait for code to be prepared."""

GREY = np.full((224, 224, 3), 128, dtype=np.uint8)
"""The same for images."""

AT_A_TIME = 2
"""Requests whose images a model may have in memory, as they become many times larger there."""


@dataclass(frozen=True)
class Answer:
    """What a model says of some pairs.

    Attributes:
        logits: ``[pairs, labels]``.
        scores: After the model's activation, ``[pairs]``, or ``[pairs, labels]`` of several labels.
        truncated: Tokens that were not read, for each pair.
        tokens: Tokens that were read, of pairs that the cache knew as well.
        cached: Pairs that the cache knew.
    """

    logits: Floats
    scores: Floats
    truncated: list[int]
    tokens: int
    cached: int


class ServedModel:
    """A model that many requests share.

    Args:
        name: What clients call it.
        model: The model.
        settings: Of the server.
        observe: Called after each batch, with the model.

    Attributes:
        explainers: Threads of explanations, which ask for scores here and wait for them.
    """

    def __init__(
        self,
        name: str,
        model: CrossEncoder,
        settings: Settings,
        observe: "Observe" = lambda *_: None,
    ) -> None:
        self.name = name
        self.model = model
        self.scorer = model.scorer()
        names: dict[str, str] = model.spec.config.get("id2label") or {}
        self.labels = [names.get(str(k), f"LABEL_{k}") for k in range(model.num_labels)]
        # Scores of several labels are probabilities, unless the model has an activation of its own.
        plain = model.num_labels > 1 and model.spec.activation == "identity"
        self._activation = "softmax" if plain else None
        # One thread: tokenizers use all cores by themselves, and computing needs them too.
        self._threads = ThreadPoolExecutor(1, thread_name_prefix="crossrank-tokenize")
        # Of their own, so that nothing else waits for explanations, which take long.
        self.explainers = ThreadPoolExecutor(2, thread_name_prefix="crossrank-explain")
        self._images = asyncio.Semaphore(AT_A_TIME)
        self.queue = BatchQueue(
            [
                partial(self.scorer.forward, backend)
                for backend in self.scorer.backends
                for _ in range(backend.concurrency)
            ],
            lambda: self.scorer.token_budget,
            max_pairs=settings.max_queue,
            max_wait=settings.max_wait_ms / 1000,
            observe=partial(observe, self),
        )

    async def score(
        self,
        pairs: Sequence[WrittenPair],
        *,
        raw: bool = False,
        reading: Reading = AS_MUCH_AS_FITS,
        stages: Stages | None = None,
    ) -> Answer:
        """Score the pairs of a request.

        Args:
            pairs: Queries and documents, one pair at least.
            raw: Give logits as scores.
            reading: What to do with long texts.
            stages: Gets the times of the stages "tokenize", "compute" and "finish".

        Raises:
            RequestError: The queue is full, the server stops, a text is too long, or a document is
                none that the model reads.
            CrossRankError: The model failed.
        """
        async with nullcontext() if all_texts(pairs) else self._images:
            return await self._score(pairs, raw, reading, {} if stages is None else stages)

    async def _score(
        self, pairs: Sequence[WrittenPair], raw: bool, reading: Reading, stages: Stages
    ) -> Answer:
        options = Options(self.model.prompt_text(), encode_known=True)
        with stage(stages, "tokenize"):
            pieces, window = await self._on_thread(self._prepare, pairs, options, reading)
        waiting = window.to_score()
        logits = self.scorer.no_logits()
        if waiting:
            with stage(stages, "compute"):
                logits = await self.queue.score(waiting)
        with stage(stages, "finish"):
            scored: Scored = await self._on_thread(self.scorer.finish, window, logits)
        best = pieces.best(scored.logits)
        return Answer(
            logits=best,
            scores=self.model.finisher("identity" if raw else self._activation)(best),
            truncated=pieces.truncated(scored.truncated),
            tokens=sum(pair.length for pair in window.all_encoded()),
            cached=sum(window.known[slot] is not None for slot in window.slots),
        )

    def _prepare(
        self, pairs: Sequence[WrittenPair], options: Options, reading: Reading
    ) -> tuple[Pieces, Window]:
        documents = read_documents(pairs, self.scorer.tokenizer, self.model.modalities)
        pieces = cut(documents, reading, self.scorer.tokenizer, options.prompt)
        window = self.scorer.prepare(pieces.pairs, options)
        refuse_long(window.all_encoded(), reading, self.model.max_length)
        return pieces, window

    async def warm_up(self) -> None:
        """Compute pairs of all lengths, whatever the cache knows."""
        pairs: list[AnyPair] = WARM_UP if self.model.supports("text") else []
        images = [("warm up", GREY)] if self.model.supports("image") else []
        await self.queue.score(self.scorer.tokenizer.encode([*pairs, *images]))

    async def close(self) -> None:
        """Answer what was taken, then free the model."""
        await self.queue.close()
        await asyncio.to_thread(self.explainers.shutdown)
        await asyncio.to_thread(self._threads.shutdown)
        self.model.close()

    async def _on_thread(self, function: Callable[..., Result], *args: Any) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._threads, function, *args)


Observe = Callable[[ServedModel, BatchFacts], object]
"""Told of each batch that a model has computed."""


class ServedModels:
    """All models of a server, by name and alias.

    Args:
        settings: Says which.
        observe: Called after each batch, with the model that computed it.
    """

    def __init__(
        self,
        settings: Settings,
        observe: Observe = lambda *_: None,
    ) -> None:
        self.settings = settings
        self._observe = observe
        self._models: dict[str, ServedModel] = {}
        self._closing = False

    def __iter__(self) -> Iterator[ServedModel]:
        return iter(self._models.values())

    @property
    def ready(self) -> bool:
        """Whether all models are loaded, and the server is not about to stop."""
        return not self._closing and len(self._models) == len(self.settings.models)

    @property
    def names(self) -> list[str]:
        """What clients may ask for, aliases included."""
        return [*self.settings.models, *self.settings.aliases]

    async def load(self) -> None:
        """Load every model that is not loaded yet, and warm it up.

        Raises:
            CrossRankError: A model cannot be loaded.
        """
        for name, source in self.settings.models.items():
            if name not in self._models:
                model = await asyncio.to_thread(_load, source, self.settings)
                _check_modalities(name, model)
                served = ServedModel(name, model, self.settings, self._observe)
                await served.warm_up()
                self._models[name] = served

    def find(self, name: str | None) -> ServedModel:
        """Find a model by the name a client used; the first one for those who name none.

        Raises:
            RequestError: There is none of this name.
        """
        wanted = name or next(iter(self.settings.models))
        wanted = self.settings.aliases.get(wanted, wanted)
        if wanted in self._models:
            return self._models[wanted]
        known = ", ".join(map(repr, self.names))
        raise RequestError(
            "model_not_found", f"This server has no model {wanted!r}. It has: {known}."
        )

    async def close(self) -> None:
        """Answer what was taken, then free all models."""
        self._closing = True
        await asyncio.gather(*(model.close() for model in self._models.values()))
        self._models.clear()


def _check_modalities(name: str, model: CrossEncoder) -> None:
    if not (model.supports("text") or model.supports("image")):
        raise UnsupportedModelError(
            f"A server needs models of texts or images, and {name} reads "
            f"{' and '.join(model.modalities)}: no wire format has such documents. Score them with "
            "crossrank.CrossEncoder."
        )


def _load(source: str, settings: Settings) -> CrossEncoder:
    cache: str | RedisCache | None = settings.cache
    if settings.cache is not None and is_redis(settings.cache):
        cache = RedisCache(settings.cache)
    return CrossEncoder(
        source,
        backend=settings.backend,  # type: ignore[arg-type]  # checked there
        precision=settings.precision,  # type: ignore[arg-type]  # checked there
        device=settings.device,
        max_length=settings.max_length,
        truncation=settings.truncation,
        cache=cache,
    )
