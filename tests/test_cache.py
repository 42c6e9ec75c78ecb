"""The score cache: what goes in comes out, whatever happens to the file."""

import multiprocessing
import os
import sqlite3
import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crossrank import cache as cache_module
from crossrank.cache import ScoreCache, pair_key
from crossrank.errors import CacheError, InputError
from crossrank.types import Floats, Pair

Open = Callable[..., ScoreCache]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "scores.sqlite"


@pytest.fixture
def open_cache(path: Path) -> Iterator[Open]:
    caches: list[ScoreCache] = []

    def opener(where: Path = path, **options: int) -> ScoreCache:
        caches.append(ScoreCache(where, **options))
        return caches[-1]

    yield opener
    for cache in caches:
        cache.close()


def some_pairs(start: int, stop: int) -> list[Pair]:
    return [("query", f"document {number}") for number in range(start, stop)]


def logits_of(start: int, stop: int) -> Floats:
    return np.arange(start, stop, dtype=np.float32)[:, None] / 3


def kept(cache: ScoreCache, start: int, stop: int, namespace: bytes = b"m") -> list[int]:
    """The numbers of the pairs that are in the cache; their logits must be right."""
    numbers = []
    for number, logits in enumerate(cache.get(namespace, some_pairs(start, stop)), start):
        if logits is not None:
            assert logits.tolist() == logits_of(number, number + 1)[0].tolist()
            numbers.append(number)
    return numbers


def test_logits_come_back_bit_for_bit(open_cache: Open) -> None:
    cache = open_cache()
    logits = np.array([[1.5, -0.0, 1e-42], [np.inf, np.nan, 3.4e38]], np.float32)
    cache.put(b"m", [("q", "a"), ("q", "b")], logits)
    first, absent, second = cache.get(b"m", [("q", "a"), ("a", "q"), ("q", "b")])
    assert first is not None
    assert second is not None
    assert absent is None
    assert first.dtype == second.dtype == np.float32
    assert first.tobytes() + second.tobytes() == logits.tobytes()


def test_rows_are_stored_as_little_endian_fp32(open_cache: Open, path: Path) -> None:
    open_cache().put(b"m", [("q", "d")], np.array([[1.0, -2.0]], np.float32))
    with sqlite3.connect(path) as connection:
        (blob,) = connection.execute("SELECT logits FROM scores").fetchone()
    connection.close()
    assert blob == bytes.fromhex("0000803f000000c0")


def test_namespaces_are_apart_and_a_second_put_wins(open_cache: Open) -> None:
    cache = open_cache()
    pair = [("q", "d")]
    cache.put(b"one", pair, np.array([[1.0]], np.float32))
    cache.put(b"two", pair, np.array([[2.0]], np.float32))
    cache.put(b"one", pair, np.array([[3.0]], np.float32))
    found = [*cache.get(b"one", pair), *cache.get(b"two", pair), *cache.get(b"", pair)]
    assert [None if logits is None else logits.tolist() for logits in found] == [[3.0], [2.0], None]


def test_entries_outlive_the_process(open_cache: Open) -> None:
    cache = open_cache()
    cache.put(b"m", some_pairs(0, 5), logits_of(0, 5))
    cache.close()
    assert cache.get(b"m", some_pairs(0, 5)) == [None] * 5
    cache.put(b"m", some_pairs(5, 6), logits_of(5, 6))
    assert kept(open_cache(), 0, 6) == [0, 1, 2, 3, 4]


def test_an_empty_call_does_nothing(open_cache: Open) -> None:
    cache = open_cache()
    cache.put(b"m", [], np.empty((0, 1), np.float32))
    assert cache.get(b"m", []) == []


parts = st.tuples(st.binary(max_size=4), st.text(max_size=4), st.text(max_size=4))
surrogates = st.text(st.characters(categories=["Cs", "Lu", "So"]), max_size=3)


@given(parts, parts)
def test_keys_differ_where_any_part_differs(one: tuple, two: tuple) -> None:
    assert (pair_key(one[0], one[1:]) == pair_key(two[0], two[1:])) == (one == two)


@given(surrogates, surrogates, surrogates, surrogates)
def test_lone_surrogates_have_keys_too(one: str, two: str, three: str, four: str) -> None:
    same = (one, two) == (three, four)
    assert (pair_key(b"m", (one, two)) == pair_key(b"m", (three, four))) == same


@given(st.text(max_size=6), st.integers(0, 6), st.integers(0, 6))
def test_moving_the_border_between_texts_changes_the_key(text: str, cut: int, other: int) -> None:
    pairs = [(text[:at], text[at:]) for at in (cut, other)]
    keys = [pair_key(b"m", pair) for pair in pairs]
    assert (keys[0] == keys[1]) == (pairs[0] == pairs[1])


def test_the_oldest_entries_go_first(open_cache: Open, path: Path) -> None:
    cache = open_cache(max_entries=10)
    for number in range(25):
        cache.put(b"m", some_pairs(number, number + 1), logits_of(number, number + 1))
    assert kept(cache, 0, 25) == list(range(15, 25))
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT count(*) FROM scores").fetchone() == (10,)
    connection.close()


def test_one_batch_larger_than_the_cache_stays_within_it(open_cache: Open) -> None:
    cache = open_cache(max_entries=10)
    cache.put(b"m", some_pairs(0, 1000), logits_of(0, 1000))
    assert kept(cache, 0, 1000) == list(range(990, 1000))


def test_an_entry_in_use_survives_any_number_of_writes(open_cache: Open) -> None:
    cache = open_cache(max_entries=10)
    for number in range(100):
        cache.put(b"m", some_pairs(number, number + 1), logits_of(number, number + 1))
        assert kept(cache, 0, 1) == [0]
    assert set(range(95, 100)) < set(kept(cache, 0, 100))


def test_use_is_remembered_by_close(open_cache: Open) -> None:
    cache = open_cache(max_entries=10)
    cache.put(b"m", some_pairs(0, 10), logits_of(0, 10))
    assert kept(cache, 0, 2) == [0, 1]
    cache.close()
    cache = open_cache(max_entries=10)
    cache.put(b"m", some_pairs(10, 15), logits_of(10, 15))
    assert {0, 1} < set(kept(cache, 0, 15))


def test_reading_recent_entries_writes_nothing(open_cache: Open, path: Path) -> None:
    cache = open_cache(max_entries=100)
    cache.put(b"m", some_pairs(0, 50), logits_of(0, 50))
    before = path.with_name(path.name + "-wal").read_bytes()
    for _ in range(20):
        assert len(kept(cache, 0, 50)) == 50
    assert path.with_name(path.name + "-wal").read_bytes() == before


def test_renewals_do_not_pile_up_without_writes(
    open_cache: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache_module, "MOST_RENEWALS", 3)
    cache = open_cache(max_entries=10)
    cache.put(b"m", some_pairs(0, 10), logits_of(0, 10))
    assert len(kept(cache, 0, 4)) == 4
    other = open_cache(max_entries=10)
    other.put(b"m", some_pairs(10, 15), logits_of(10, 15))
    assert {0, 1, 2, 3} < set(kept(other, 0, 15))


def test_threads_share_a_cache(open_cache: Open) -> None:
    cache = open_cache()
    failures: list[Exception] = []

    def work(start: int) -> None:
        try:
            for first in range(start, start + 200, 20):
                cache.put(b"m", some_pairs(first, first + 20), logits_of(first, first + 20))
                assert len(kept(cache, first, first + 20)) == 20
        except Exception as error:  # noqa: BLE001 - whatever it is, the test shows it
            failures.append(error)

    threads = [threading.Thread(target=work, args=(200 * number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert kept(cache, 0, 800) == list(range(800))


def write_hundreds(path: Path, start: int) -> None:
    warnings.simplefilter("error")
    cache = ScoreCache(path)
    for first in range(start, start + 500, 10):
        cache.put(b"m", some_pairs(first, first + 10), logits_of(first, first + 10))
        assert len(kept(cache, first, first + 10)) == 10
    cache.close()


def test_processes_write_at_once(open_cache: Open, path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=write_hundreds, args=(path, at)) for at in (0, 500, 1000)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    assert kept(open_cache(), 0, 1500) == list(range(1500))


def test_many_open_a_new_file_at_once(path: Path) -> None:
    start = threading.Barrier(6)
    failures: list[Exception] = []

    def work() -> None:
        for number in range(60):
            start.wait()
            try:
                ScoreCache(path.with_name(f"{number}.sqlite")).close()
            except CacheError as error:
                failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_forked_process_opens_the_file_anew(open_cache: Open) -> None:
    cache = open_cache()
    cache.put(b"m", some_pairs(0, 3), logits_of(0, 3))

    def use_inherited() -> None:
        assert kept(cache, 0, 3) == [0, 1, 2]
        cache.put(b"m", some_pairs(3, 6), logits_of(3, 6))
        cache.close()

    worker = multiprocessing.get_context("fork").Process(target=use_inherited)
    worker.start()
    worker.join()
    assert worker.exitcode == 0
    cache.put(b"m", some_pairs(6, 9), logits_of(6, 9))
    assert kept(cache, 0, 9) == list(range(9))


@pytest.mark.parametrize("damage", ["garbage", "truncated", "foreign header"])
def test_a_damaged_file_is_set_aside(open_cache: Open, path: Path, damage: str) -> None:
    cache = open_cache()
    cache.put(b"m", some_pairs(0, 2000), logits_of(0, 2000))
    cache.close()
    whole = path.read_bytes()
    path.write_bytes(
        {
            "garbage": b"not a database at all, " * 1000,
            "truncated": whole[: len(whole) // 2],
            "foreign header": b"\0" * 100 + whole[100:],
        }[damage]
    )

    def use() -> ScoreCache:
        cache = open_cache()
        cache.get(b"m", some_pairs(0, 2000))
        cache.put(b"m", some_pairs(0, 2000), logits_of(0, 2000))
        return cache

    with pytest.warns(UserWarning, match=r"renamed to scores\.sqlite\.corrupt") as caught:
        cache = use()
    assert len(caught) == 1
    assert caught[0].filename == __file__
    assert kept(cache, 0, 2000) == list(range(2000))
    assert path.with_name("scores.sqlite.corrupt").exists()


def test_a_file_damaged_while_open_is_replaced_for_all_who_use_it(
    open_cache: Open, path: Path
) -> None:
    caches = [open_cache(), open_cache()]
    caches[0].put(b"m", some_pairs(0, 2000), logits_of(0, 2000))
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    path.write_bytes(b"garbage" * (path.stat().st_size // 7))

    def use() -> None:
        for number, cache in enumerate(caches):
            cache.get(b"m", some_pairs(0, 2000))
            cache.put(b"m", some_pairs(number, number + 1), logits_of(number, number + 1))

    with pytest.warns(UserWarning, match="damaged") as caught:
        use()
    assert len(caught) == 1
    assert [kept(cache, 0, 3) for cache in caches] == [[0, 1], [0, 1]]


@pytest.mark.parametrize("value", ["x'010203'", "'text'", "CAST(x'ff000000' AS TEXT)", "7", "NULL"])
def test_a_damaged_row_is_not_known(open_cache: Open, path: Path, value: str) -> None:
    cache = open_cache()
    cache.put(b"m", some_pairs(0, 3), logits_of(0, 3))
    with sqlite3.connect(path) as connection:
        # The same table without NOT NULL, which damage does not heed.
        connection.execute("CREATE TABLE copy (id INTEGER PRIMARY KEY, key BLOB UNIQUE, logits)")
        connection.execute("INSERT INTO copy SELECT * FROM scores")
        connection.execute("DROP TABLE scores")
        connection.execute("ALTER TABLE copy RENAME TO scores")
        key = pair_key(b"m", some_pairs(1, 2)[0])
        connection.execute(f"UPDATE scores SET logits = {value} WHERE key = ?", (key,))
    connection.close()
    assert kept(cache, 0, 3) == [0, 2]
    cache.put(b"m", some_pairs(1, 2), logits_of(1, 2))
    assert kept(cache, 0, 3) == [0, 1, 2]


@pytest.mark.parametrize(
    ("definition", "damaged"),
    [(b"PRIMARY KEY", b"PRIMARY_KEY"), (b"NOT NULL UNIQUE", b"NOT NULL UNIQU\xff")],
)
def test_a_damaged_definition_of_the_table_is_set_aside(
    open_cache: Open, path: Path, definition: bytes, damaged: bytes
) -> None:
    cache = open_cache()
    cache.put(b"m", some_pairs(0, 3), logits_of(0, 3))
    cache.close()
    content = path.read_bytes()
    assert content.count(definition) == 1
    path.write_bytes(content.replace(definition, damaged))
    with pytest.warns(UserWarning, match=r"renamed to scores\.sqlite\.corrupt"):
        open_cache().get(b"m", some_pairs(0, 3))
    assert kept(open_cache(), 0, 3) == []


def test_earlier_damaged_files_are_kept(open_cache: Open, path: Path) -> None:
    for content in (b"first garbage" * 100, b"second garbage" * 100):
        path.write_bytes(content)
        with pytest.warns(UserWarning, match="renamed"):
            open_cache().close()
    names = sorted(file.name for file in path.parent.glob("*.corrupt*"))
    assert names == ["scores.sqlite.corrupt", "scores.sqlite.corrupt-2"]


def test_a_full_disk_turns_the_cache_off(open_cache: Open, path: Path) -> None:
    cache = open_cache()
    cache.put(b"m", some_pairs(0, 10), logits_of(0, 10))
    # SQLite's own limit gives the same "database or disk is full" as a full disk.
    assert cache._connection is not None
    cache._connection.execute("PRAGMA max_page_count = 20")
    with pytest.warns(UserWarning, match="full.*off from here on") as caught:
        cache.put(b"m", some_pairs(10, 5000), logits_of(10, 5000))
    assert len(caught) == 1
    assert caught[0].filename == __file__
    # Off means quiet: warnings are errors here.
    cache.put(b"m", some_pairs(10, 20), logits_of(10, 20))
    assert cache.get(b"m", some_pairs(0, 10)) == [None] * 10
    assert kept(open_cache(), 0, 5000) == list(range(10))


def test_a_locked_file_turns_the_cache_off(
    open_cache: Open, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache_module, "BUSY_SECONDS", 0.05)
    cache = open_cache()
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    with pytest.warns(UserWarning, match="locked.*off from here on"):
        cache.put(b"m", some_pairs(0, 1), logits_of(0, 1))
    with pytest.warns(UserWarning, match="locked.*off from here on"):
        late = open_cache()
    holder.close()
    assert late.get(b"m", some_pairs(0, 1)) == [None]


def test_a_file_that_became_read_only_turns_the_cache_off(open_cache: Open) -> None:
    cache = open_cache()
    cache.put(b"m", some_pairs(0, 1), logits_of(0, 1))
    assert cache._connection is not None
    cache._connection.execute("PRAGMA query_only = ON")
    with pytest.warns(UserWarning, match="readonly.*off from here on"):
        cache.put(b"m", some_pairs(1, 2), logits_of(1, 2))


def test_folders_are_made(open_cache: Open, tmp_path: Path) -> None:
    cache = open_cache(tmp_path / "deep" / "down" / "scores")
    cache.put(b"m", some_pairs(0, 1), logits_of(0, 1))
    assert kept(cache, 0, 1) == [0]


def test_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CacheError, match=r"must be a file that can be written.*directory"):
        ScoreCache(tmp_path)


@pytest.mark.parametrize("name", ["file/scores", "nul\0", "x" * 300])
def test_a_path_that_cannot_be_written_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(CacheError, match="can be written"):
        ScoreCache(tmp_path / name)


def test_a_database_of_something_else_is_left_alone(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE precious (data)")
    connection.close()
    content = path.read_bytes()
    with pytest.raises(CacheError, match="something else made"):
        ScoreCache(path)
    assert path.read_bytes() == content


def test_bad_options_are_refused(open_cache: Open, path: Path) -> None:
    with pytest.raises(InputError, match="max_entries must be at least 1, received 0"):
        ScoreCache(path, max_entries=0)
    with pytest.raises(InputError, match=r"shape \[2, labels\], received \[3, 1\]"):
        open_cache().put(b"m", some_pairs(0, 2), logits_of(0, 3))
