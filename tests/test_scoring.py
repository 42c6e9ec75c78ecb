"""The engine on a backend without weights."""

import itertools
import threading
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from crossrank.backends.constant import ConstantBackend
from crossrank.batching import Batch
from crossrank.cache import ScoreCache
from crossrank.errors import InputError, InvalidScoreError, OutOfMemoryError
from crossrank.models.spec import ModelSpec
from crossrank.scoring import Options, Scorer
from crossrank.tokenization import PairTemplate, PairTokenizer
from crossrank.types import Floats, Pair

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *(f"w{number}" for number in range(200))]


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> ModelSpec:
    folder = tmp_path_factory.mktemp("model")
    vocabulary = {word: number for number, word in enumerate(WORDS)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    return ModelSpec(
        name="constant",
        folder=folder,
        kind="sequence-classification",
        config={},
        num_labels=1,
        activation="identity",
        template=PairTemplate(),
        tokenizer_file=folder / "tokenizer.json",
        max_length=64,
        pad_token_id=0,
    )


class Recording(ConstantBackend):
    """Remembers the shape of each batch."""

    def __init__(self) -> None:
        super().__init__()
        self.shapes: list[tuple[int, ...]] = []

    def forward(self, batch: Batch) -> Floats:
        self.shapes.append(batch.input_ids.shape)
        return super().forward(batch)


def scorer(spec: ModelSpec, *backends: ConstantBackend, **settings: Any) -> Scorer:
    tokenizer = PairTokenizer(spec.tokenizer_file, spec.template, max_length=spec.max_length)
    return Scorer(spec, tokenizer, backends or (ConstantBackend(),), **settings)


def logits(engine: Scorer, pairs: Any, **options: Any) -> list[float]:
    return [
        value
        for scored in engine.run(pairs, Options(**options))
        for value in scored.logits[:, 0].tolist()
    ]


def pair(number: int, length: int = 4) -> Pair:
    """A pair whose logit is ``number % 4 / (length + 1)``: [SEP] is never shared by type."""
    shared = number % 4
    document = ["w1"] * shared + ["w2"] * (length - shared)
    return "w1", " ".join(document)


def expected(number: int, length: int = 4) -> float:
    return pytest.approx((number % 4 + 1) / (length + 1), abs=1e-6)


def test_order_is_kept_over_windows_and_batches(spec: ModelSpec) -> None:
    lengths = [4 + number % 7 for number in range(100)]
    pairs = [pair(number, length) for number, length in enumerate(lengths)]
    found = logits(scorer(spec), pairs, window=16, batch_size=3)
    assert found == [expected(number, length) for number, length in enumerate(lengths)]


def test_identical_pairs_are_scored_once(spec: ModelSpec) -> None:
    backend = Recording()
    found = logits(scorer(spec, backend), [pair(number) for number in range(1000)])
    assert found == [expected(number) for number in range(1000)]
    assert sum(rows for rows, _ in backend.shapes) == 4


def test_batches_fit_the_token_budget(spec: ModelSpec) -> None:
    backend = Recording()
    backend.token_budget = 200
    pairs = [("w1", " ".join(f"w{n % 190}" for n in range(k, k + 1 + k % 50))) for k in range(300)]
    logits(scorer(spec, backend), pairs)
    assert len(backend.shapes) > 10
    assert all(rows * length <= 200 for rows, length in backend.shapes)


def test_every_stream_gets_a_part_of_a_short_list(spec: ModelSpec) -> None:
    backend = Recording()
    backend.concurrency = 2
    pairs = [("w1", f"w{number}") for number in range(4)]
    logits(scorer(spec, backend), pairs)
    assert [rows for rows, _ in backend.shapes] == [2, 2]


def test_batch_size_is_honoured(spec: ModelSpec) -> None:
    backend = Recording()
    pairs = [("w1", f"w{number}") for number in range(50)]
    logits(scorer(spec, backend), pairs, batch_size=20)
    assert [rows for rows, _ in backend.shapes] == [20, 20, 10]


class Small(Recording):
    """Has memory for 40 tokens."""

    def forward(self, batch: Batch) -> Floats:
        if batch.input_ids.size > 40:
            raise OutOfMemoryError("too large")
        return super().forward(batch)


def test_the_budget_halves_when_memory_runs_out(spec: ModelSpec) -> None:
    backend = Small()
    engine = scorer(spec, backend)
    pairs = [(f"w{number}", "w1 w2") for number in range(100)]
    assert len(logits(engine, pairs)) == 100
    backend.shapes.clear()
    logits(engine, pairs)
    assert all(rows * length <= 40 for rows, length in backend.shapes)


def test_a_pair_too_large_for_the_device_is_an_error(spec: ModelSpec) -> None:
    with pytest.raises(OutOfMemoryError):
        logits(scorer(spec, Small()), [("w1", "w2 " * 60)])


def test_several_devices_share_the_work(spec: ModelSpec) -> None:
    barrier = threading.Barrier(2, timeout=10)

    class Meeting(ConstantBackend):
        met = False

        def forward(self, batch: Batch) -> Floats:
            if not self.met:
                self.met = True
                barrier.wait()
            return super().forward(batch)

    first, second = Meeting(), Meeting()
    pairs = [(f"w{number}", "w1 w2") for number in range(40)]
    found = logits(scorer(spec, first, second), pairs, batch_size=4)
    assert found == logits(scorer(spec), pairs)
    assert first.met
    assert second.met


def test_memory_does_not_grow_with_the_stream(spec: ModelSpec) -> None:
    engine = scorer(spec)

    def peak(count: int) -> int:
        pairs = ((f"w{number % 150}", f"w{number % 77}") for number in range(count))
        tracemalloc.start()
        for _ in engine.run(pairs, Options(window=500)):
            pass
        size = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return size

    peak(1000)
    assert peak(8000) < 1.3 * peak(2000)


def test_a_stream_is_read_at_most_two_windows_ahead(spec: ModelSpec) -> None:
    taken = itertools.count()
    last = 0

    def endless() -> Iterator[Pair]:
        nonlocal last
        for last in taken:
            yield pair(last)

    run = scorer(spec).run(endless(), Options(window=10))
    assert len(next(run).logits) == 10
    assert last <= 20


def test_the_cache_answers_for_the_backend(spec: ModelSpec, tmp_path: Path) -> None:
    cache = ScoreCache(tmp_path / "scores.sqlite")
    first, second = Recording(), Recording()
    pairs = [(f"w{number}", "w1 w2") for number in range(30)]
    cold = logits(scorer(spec, first, cache=cache), pairs)
    warm = logits(scorer(spec, second, cache=cache), [*pairs, ("w1", "w9")])
    assert warm[:30] == cold
    assert sum(rows for rows, _ in second.shapes) == 1
    cache.close()


class Meddling(Recording):
    """Sets the longest length while it computes."""

    engine: Scorer

    def forward(self, batch: Batch) -> Floats:
        self.engine.tokenizer.max_length = 64
        return super().forward(batch)


def by_length(prompt: str | None, max_length: int) -> bytes:
    return str(max_length).encode()


def test_a_length_set_while_a_window_is_computed_counts_for_the_next(
    spec: ModelSpec, tmp_path: Path
) -> None:
    cache = ScoreCache(tmp_path / "scores.sqlite")
    backend = Meddling()
    backend.engine = engine = scorer(spec, backend, cache=cache, namespace=by_length)
    engine.tokenizer.max_length = 9
    long = ("w1", "w2 " * 4 + "w1 " * 4)  # of 9 tokens 3 are special: 5 of the document are read
    assert logits(engine, [long]) == [pytest.approx(2 / 6)]  # its [SEP] counts
    assert logits(engine, [long]) == [pytest.approx(5 / 9)]
    assert [cache.get(name, [long]) for name in (b"9", b"64")] == [
        [pytest.approx(2 / 6)],
        [pytest.approx(5 / 9)],
    ]
    cache.close()


def test_a_length_set_while_a_window_is_tokenised_counts_for_the_next(
    spec: ModelSpec, tmp_path: Path
) -> None:
    class Slow(ScoreCache):
        def get(self, namespace: bytes, pairs: Any) -> Any:
            engine.tokenizer.max_length = 64
            return super().get(namespace, pairs)

    cache = Slow(tmp_path / "scores.sqlite")
    engine = scorer(spec, cache=cache, namespace=by_length)
    engine.tokenizer.max_length = 9
    long = ("w1", "w2 " * 4 + "w1 " * 4)
    assert logits(engine, [long]) == [pytest.approx(2 / 6)]
    assert cache.get(b"9", [long]) == [pytest.approx(2 / 6)]
    cache.close()


@pytest.mark.parametrize("row", [[np.nan], [np.inf], [], [1.0, 2.0]])
def test_what_cannot_be_the_models_is_computed_again(
    spec: ModelSpec, tmp_path: Path, row: list[float]
) -> None:
    cache = ScoreCache(tmp_path / "scores.sqlite")
    cache.put(b"", [pair(1)], np.float32([row]))
    assert logits(scorer(spec, cache=cache), [pair(1)]) == [expected(1)]
    assert cache.get(b"", [pair(1)]) == [expected(1)]
    cache.close()


def test_counting_what_was_cut_uses_the_cache_too(spec: ModelSpec, tmp_path: Path) -> None:
    cache = ScoreCache(tmp_path / "scores.sqlite")
    # [CLS] and two [SEP] leave 61 places, one for the query: 60 of the document's tokens are read.
    pairs = [("w1", "w2 " * length) for length in (1, 60, 61, 99)]
    counting = Options(count_truncated=True)
    (cold,) = scorer(spec, Recording(), cache=cache).run(pairs, counting)
    backend = Recording()
    (warm,) = scorer(spec, backend, cache=cache).run([*pairs, ("w1", "w2 " * 80)], counting)
    assert cold.truncated == [0, 0, 1, 39]
    assert warm.truncated == [0, 0, 1, 39, 20]
    assert warm.logits[:4].tolist() == cold.logits.tolist()
    assert [rows for rows, _ in backend.shapes] == [1]
    cache.close()


@pytest.mark.parametrize(
    ("item", "message"),
    [
        (None, "index 5 must be a pair .* received None"),
        (3.5, "index 5 must be a pair .* received float 3.5"),
        (b"bytes", "index 5 must"),
        ("one string", "index 5 must be a pair .* received str 'one string'"),
        (("a", "b", "c"), "index 5 must have two elements, query and document, received 3"),
        (("a", None), "document of the pair at index 5 must be a string, received None"),
        ((1, "b"), "query of the pair at index 5 must be a string, received int 1"),
        ({"query": "a", "document": "b"}, "query of the pair at index 5"),
    ],
)
def test_a_bad_item_in_a_stream_is_named(spec: ModelSpec, item: Any, message: str) -> None:
    pairs = [pair(number) for number in range(5)]
    with pytest.raises(InputError, match=message):
        logits(scorer(spec), iter([*pairs, item, *pairs]), window=3)


class Broken(ConstantBackend):
    """Answers NaN for documents of one token."""

    def forward(self, batch: Batch) -> Floats:
        values = super().forward(batch)
        values[batch.attention_mask.sum(axis=1) == 5] = np.nan
        return values


def test_nan_names_the_pair(spec: ModelSpec) -> None:
    pairs = [("w1", "w2 w3"), ("w1", "w4 w5"), ("w1", "w2"), ("w1", "w2 w3")]
    with pytest.raises(InvalidScoreError, match=r"nan.*index 2"):
        logits(scorer(spec, Broken()), pairs, window=2)


@pytest.mark.parametrize("shape", [(-1,), (-1, 3)])
def test_logits_of_another_shape_are_not_broadcast(spec: ModelSpec, shape: tuple[int]) -> None:
    class Odd(ConstantBackend):
        def forward(self, batch: Batch) -> Floats:
            return np.repeat(super().forward(batch), abs(shape[-1])).reshape(shape)

    with pytest.raises(
        InvalidScoreError, match=r"shape \[1, 1\] are required, .* leave num_labels"
    ):
        logits(scorer(spec, Odd()), [("w1", "w2")])


def test_an_error_in_a_backend_stops_the_others(spec: ModelSpec) -> None:
    class Failing(ConstantBackend):
        concurrency = 2
        calls = 0

        def forward(self, batch: Batch) -> Floats:
            self.calls += 1
            raise RuntimeError("broken")

    backend = Failing()
    with pytest.raises(RuntimeError, match="broken"):
        logits(scorer(spec, backend), [(f"w{n}", "w1") for n in range(100)], batch_size=1)
    assert backend.calls <= 4
