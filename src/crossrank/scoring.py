"""The scoring engine: any iterable of pairs in, logits out, in constant memory.

Pairs are taken in windows. While one window is scored, the next one is tokenised on another
thread. Within a window each distinct pair is scored once, pairs found in the cache are not scored
at all, and the others go to the backends in batches of similar length.
"""

import queue
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from copy import copy
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crossrank.backends.base import Backend
from crossrank.batching import Batch, TokenBudget, collate, plan
from crossrank.cache import Cache
from crossrank.errors import InputError, InvalidScoreError, OutOfMemoryError, describe
from crossrank.languages import foreign_script
from crossrank.models.spec import ModelSpec
from crossrank.tokenization import Encoded, PairTokenizer, read_text
from crossrank.types import AnyPair, Floats, Pair
from crossrank.workers import run_workers

WINDOW = 4096
"""Pairs that are looked at together."""

WINDOW_CHARACTERS = 8_000_000
"""A window also ends after this many characters, or numbers that images and recordings become, so
that long documents cannot fill the memory."""


Read = Callable[[Any, str], Any]
"""Checks a document: ``PairTokenizer.read``."""


@dataclass(frozen=True)
class Options:
    """What one call of ``predict`` asks of the engine.

    Attributes:
        prompt: Put before each query.
        batch_size: Pairs a batch; ``None`` fills batches by tokens.
        window: Pairs that are looked at together.
        count_truncated: Count every cut token, also of very long texts.
        encode_known: Tokenise pairs whose logits the cache knows, too.
    """

    prompt: str | None = None
    batch_size: int | None = None
    window: int = WINDOW
    count_truncated: bool = False
    encode_known: bool = False


@dataclass(frozen=True)
class Scored:
    """The result of one window, in the order of its pairs.

    Attributes:
        logits: ``[pairs, labels]``.
        truncated: Tokens that the model did not read, a number for each pair.
    """

    logits: Floats
    truncated: list[int]


@dataclass(frozen=True)
class Window:
    """A tokenised window: which distinct pairs it has, and what is known of them already.

    Attributes:
        pairs: The distinct pairs.
        slots: Which of them each pair of the window is.
        encoded: Their token ids. A pair whose logits are known is encoded only where the options
            ask for it.
        known: Logits that the cache knew.
        namespace: What the cache was asked with, and is told with.
    """

    pairs: list[AnyPair]
    slots: list[int]
    encoded: list[Encoded | None]
    known: list[Floats | None]
    namespace: bytes

    def unknown(self) -> list[int]:
        """The distinct pairs that are left to score."""
        return [slot for slot, logits in enumerate(self.known) if logits is None]

    def to_score(self) -> list[Encoded]:
        """The token ids of what is left to score."""
        return [_present(self.encoded[slot]) for slot in self.unknown()]

    def all_encoded(self) -> list[Encoded]:
        """The token ids of every pair, in order; all must have been encoded."""
        return [_present(self.encoded[slot]) for slot in self.slots]


class Scorer:
    """Scores pairs with one model on one or more devices.

    Args:
        spec: The model.
        tokenizer: Its tokenizer.
        backends: The loaded model, once for each device.
        cache: Where logits are remembered between calls.
        namespace: Gives the cache's key for everything but the texts, from the prompt and the
            longest length.
    """

    def __init__(
        self,
        spec: ModelSpec,
        tokenizer: PairTokenizer,
        backends: Sequence[Backend],
        cache: Cache | None = None,
        namespace: Callable[[str | None, int], bytes] = lambda *_: b"",
    ) -> None:
        self.spec = spec
        self.tokenizer = tokenizer
        self.backends = backends
        self.cache = cache
        self.namespace = namespace
        self._warned_of_script = not spec.languages
        self._budgets = {id(backend): TokenBudget(backend.token_budget) for backend in backends}

    def run(
        self,
        pairs: Iterable[Any],
        options: Options,
        progress: Callable[[int], object] = lambda _: None,
    ) -> Iterator[Scored]:
        """Score an iterable of pairs, window by window.

        Args:
            pairs: Pairs of what the model reads. Read on the caller's thread, one window ahead.
            options: What the caller asks for.
            progress: Called with the number of pairs that have been scored since the last call.

        Yields:
            One result a window, in input order.

        Raises:
            InputError: An item is no pair, or cannot be read; the message names its index.
            InvalidScoreError: The model answered NaN or infinity.
        """
        windows = _windows(pairs, options.window, self.tokenizer.read)
        with ThreadPoolExecutor(1, thread_name_prefix="crossrank-tokenize") as ahead:
            pending: Future[Window] | None = None
            start = 0
            while True:
                current = pending
                window = next(windows, None)
                pending = ahead.submit(self.prepare, window, options) if window else None
                if current is not None:
                    prepared = current.result()
                    yield self._score(prepared, options, progress, start)
                    start += len(prepared.slots)
                if pending is None:
                    return

    def prepare(self, pairs: Sequence[AnyPair], options: Options) -> Window:
        """Find the distinct pairs of a window, look them up in the cache, tokenise the others."""
        positions: dict[AnyPair, int] = {}
        slots = [positions.setdefault(pair, len(positions)) for pair in pairs]
        distinct = list(positions)
        self._warn_of_foreign_script(distinct)
        tokenizer = copy(self.tokenizer)  # its max_length may be set at any time
        known: list[Floats | None] = [None] * len(distinct)
        namespace = b""
        if self.cache is not None:
            namespace = self.namespace(options.prompt, tokenizer.max_length)
            found = self.cache.get(namespace, _as_texts(distinct))
            known = [row if self._is_ours(row) else None for row in found]
        window = Window(distinct, slots, [None] * len(distinct), known, namespace)
        # The cache knows logits, not what was cut: to count that, every pair is tokenised.
        every = options.count_truncated or options.encode_known
        wanted = range(len(distinct)) if every else window.unknown()
        encoded = tokenizer.encode(
            [distinct[slot] for slot in wanted],
            prompt=options.prompt,
            count_all=options.count_truncated,
        )
        for slot, pair in zip(wanted, encoded, strict=True):
            window.encoded[slot] = pair
        return window

    def finish(self, window: Window, computed: Floats, *, start: int = 0) -> Scored:
        """Put computed and known logits together, check them, and let the cache remember.

        Args:
            window: As ``prepare`` gave it.
            computed: Logits ``[pairs, labels]`` of ``window.to_score()``.
            start: How many pairs came before the window, for messages.

        Raises:
            InvalidScoreError: The model answered NaN or infinity, or logits of another shape.
        """
        todo = window.unknown()
        logits = np.empty((len(window.pairs), self.spec.num_labels), dtype=np.float32)
        for slot, values in enumerate(window.known):
            if values is not None:
                logits[slot] = values
        logits[todo] = self._of_width(computed, len(todo))
        self._check(logits, window, start)
        if self.cache is not None and todo:
            pairs = [window.pairs[slot] for slot in todo]
            self.cache.put(window.namespace, _as_texts(pairs), computed)
        cut = [
            pair.truncated_query + pair.truncated_document if pair else 0 for pair in window.encoded
        ]
        return Scored(logits[window.slots], [cut[slot] for slot in window.slots])

    def _score(
        self, window: Window, options: Options, progress: Callable[[int], object], start: int
    ) -> Scored:
        pairs = window.to_score()
        copies = np.bincount(window.slots, minlength=len(window.pairs))
        waiting = copies[window.unknown()]
        progress(int(copies.sum() - waiting.sum()))
        computed = np.empty((len(pairs), self.spec.num_labels), dtype=np.float32)

        def keep(rows: NDArray[np.intp], values: Floats) -> None:
            computed[rows] = self._of_width(values, len(rows))
            progress(int(waiting[rows].sum()))

        self.forward_all(pairs, options, keep)
        return self.finish(window, computed, start=start)

    def forward_all(
        self,
        pairs: Sequence[Encoded],
        options: Options,
        keep: Callable[[NDArray[np.intp], Floats], None],
    ) -> None:
        """Send pairs to the backends in batches, each to the first that is free.

        Args:
            pairs: The token ids of pairs, or of single texts.
            options: What the caller asks for.
            keep: Told which pairs a batch had, and what the model answered; on any thread.
        """
        workers = [backend for backend in self.backends for _ in range(backend.concurrency)]
        batches: queue.SimpleQueue[NDArray[np.intp]] = queue.SimpleQueue()
        lengths = [pair.length for pair in pairs]
        share = -(-sum(lengths) // len(self.backends))  # of a short list, every device gets a part
        budget = min(self.token_budget, share)
        streams = len(workers) if len(workers) > len(self.backends) else 1
        size = options.batch_size
        for rows in plan(lengths, budget=budget, batch_size=size, streams=streams):
            batches.put(rows)
        stop = threading.Event()

        def work(backend: Backend) -> None:
            while not stop.is_set():
                try:
                    rows = batches.get_nowait()
                except queue.Empty:
                    return
                keep(rows, self.forward(backend, [pairs[row] for row in rows]))

        run_workers(work, workers[: max(1, batches.qsize())], stop)

    def no_logits(self) -> Floats:
        """Logits of no pairs."""
        return np.empty((0, self.spec.num_labels), dtype=np.float32)

    @property
    def token_budget(self) -> int:
        """Tokens a batch may have on any of the devices, padding included."""
        return min(self._budgets[id(backend)].tokens for backend in self.backends)

    def forward(self, backend: Backend, pairs: Sequence[Encoded]) -> Floats:
        """Compute the logits ``[pairs, labels]`` of one batch on one device."""
        spec = self.spec
        batch = collate(pairs, pad_token_id=spec.pad_token_id, side=spec.padding_side)
        return self._forward(backend, batch)

    def _forward(self, backend: Backend, batch: Batch) -> Floats:
        """Compute a batch, in halves when the device has no memory for the whole."""
        try:
            return backend.forward(batch)
        except OutOfMemoryError:
            if len(batch) == 1:
                raise
            self._budgets[id(backend)].halve(batch.size)
        return np.concatenate([self._forward(backend, half) for half in batch.halves()])

    def _warn_of_foreign_script(self, pairs: list[AnyPair]) -> None:
        """Say once when a text is in a script that the model was not made for."""
        if self._warned_of_script:
            return
        texts = (text for text in chain.from_iterable(pairs) if isinstance(text, str))
        script = foreign_script(texts, self.spec.languages)
        if script is not None:
            self._warned_of_script = True
            warnings.warn(
                f"A text in {script} script was received, and the model {self.spec.name!r} was "
                f"made for these languages: {', '.join(self.spec.languages)}. Its scores for "
                "such text mean little.",
                UserWarning,
                stacklevel=2,
            )

    def _is_ours(self, row: Floats | None) -> bool:
        """Say whether logits of a cache, to which others may write too, can be this model's."""
        return row is not None and len(row) == self.spec.num_labels and bool(np.isfinite(row).all())

    def _of_width(self, logits: Floats, pairs: int) -> Floats:
        """Refuse what numpy would broadcast."""
        if logits.shape != (pairs, self.spec.num_labels):
            raise InvalidScoreError(
                f"Logits of the shape [{pairs}, {self.spec.num_labels}] are required, and "
                f"{self.spec.name} answers {list(logits.shape)}: leave num_labels out, or give the "
                "number of labels that the model has."
            )
        return logits

    def _check(self, logits: Floats, window: Window, start: int) -> None:
        bad = np.flatnonzero(~np.isfinite(logits).all(axis=1))
        if len(bad):
            index = start + window.slots.index(int(bad[0]))
            raise InvalidScoreError(
                f"The model answered {logits[bad[0]].tolist()} for the pair at index {index}: a "
                "finite number is required. The weights may be damaged, or the precision too low "
                "for this model; try precision='fp32'."
            )


def _present(pair: Encoded | None) -> Encoded:
    assert pair is not None  # what has no known logits was encoded
    return pair


def _as_texts(pairs: Sequence[AnyPair]) -> list[Pair]:
    """What the cache knows pairs by: an image or a recording by its digest."""
    return [(query, str(document)) for query, document in pairs]


def _windows(pairs: Iterable[Any], size: int, read: Read) -> Iterator[list[AnyPair]]:
    """Cut an iterable into checked windows of at most ``size`` pairs."""
    checked = (check_pair(item, index, read) for index, item in enumerate(pairs))
    while True:
        window: list[AnyPair] = []
        characters = 0
        for pair in islice(checked, size):
            window.append(pair)
            characters += len(pair[0]) + len(pair[1])
            if characters > WINDOW_CHARACTERS:
                break
        if not window:
            return
        yield window


def check_pair(item: Any, index: int, read: Read | None = None) -> AnyPair:
    """Make sure that an item is a pair.

    Args:
        item: A tuple or list of two strings, or of a query and another document.
        index: Its position, for the message.
        read: ``PairTokenizer.read`` of the model; by default documents are strings, too.

    Raises:
        InputError: It is something else.

    Example:
        >>> check_pair(["a query", "a document"], 0)
        ('a query', 'a document')
        >>> check_pair(("a query", None), 7)
        Traceback (most recent call last):
        ...
        crossrank.errors.InputError: The document of the pair at index 7 must be a string, ...
    """
    if isinstance(item, str) or not hasattr(item, "__len__") or not hasattr(item, "__getitem__"):
        raise InputError(
            f"The item at index {index} must be a pair (query, document) of strings, "
            f"received {describe(item)}."
        )
    if len(item) != 2:
        raise InputError(
            f"The pair at index {index} must have two elements, query and document, "
            f"received {len(item)}."
        )
    try:
        query, document = item[0], item[1]
    except (KeyError, TypeError):
        query = document = None
    where = f"of the pair at index {index}"
    query = read_text(query, f"The query {where}")
    return query, (read or read_text)(document, f"The document {where}")
