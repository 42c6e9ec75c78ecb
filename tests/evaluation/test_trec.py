"""Files of judgements, runs and texts are read as they are meant, or the bad line is named."""

import gzip
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crossrank.errors import InputError
from crossrank.evaluation.trec import read_qrels, read_run, read_texts, write_qrels, write_run

words = st.text(st.characters(codec="utf-8", exclude_categories=["Z", "C"]), min_size=1, max_size=5)
queries = words.filter(lambda word: not word.startswith("#"))
runs = st.dictionaries(
    queries, st.dictionaries(words, st.floats(allow_nan=False), min_size=1), max_size=3
)
judgements = st.dictionaries(
    queries, st.dictionaries(words, st.integers(-2, 4), min_size=1), max_size=3
)
same_folder = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


@same_folder
@given(run=runs, name=st.sampled_from(["run", "run.gz"]))
def test_a_run_comes_back_exactly(tmp_path: Path, run: dict, name: str) -> None:
    write_run(tmp_path / name, run)
    assert read_run(tmp_path / name) == run


@same_folder
@given(qrels=judgements, name=st.sampled_from(["qrels", "qrels.gz"]))
def test_judgements_come_back_exactly(tmp_path: Path, qrels: dict, name: str) -> None:
    write_qrels(tmp_path / name, qrels)
    assert read_qrels(tmp_path / name) == qrels


def test_a_run_is_written_in_ranked_order_with_ties_as_given(tmp_path: Path) -> None:
    write_run(tmp_path / "run", {"q": {"b": 0.5, "z": 2.0, "a": 0.5}}, tag="mine")
    expected = "q Q0 z 1 2.0 mine\nq Q0 b 2 0.5 mine\nq Q0 a 3 0.5 mine\n"
    assert (tmp_path / "run").read_text() == expected


def test_the_same_content_gives_the_same_compressed_file(tmp_path: Path) -> None:
    for name in ("one.gz", "two.gz"):
        write_qrels(tmp_path / name, {"q": {"d": 1}})
    assert (tmp_path / "one.gz").read_bytes() == (tmp_path / "two.gz").read_bytes()


def test_compression_is_seen_from_the_content(tmp_path: Path) -> None:
    (tmp_path / "qrels.txt").write_bytes(gzip.compress(b"q\t0\td\t3\n\n", mtime=0))
    assert read_qrels(tmp_path / "qrels.txt") == {"q": {"d": 3}}


def test_windows_line_ends_and_blank_lines_do_not_matter(tmp_path: Path) -> None:
    (tmp_path / "run").write_bytes(b"\r\nq Q0 d 1 1e-3 tag\r\n \r\n")
    assert read_run(tmp_path / "run") == {"q": {"d": 0.001}}


def test_trec_eval_passes_over_comments_and_what_follows_the_tag(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("# by hand\nq#1 Q0 d#1 7 1.5 tag and more\n")
    (tmp_path / "qrels").write_text("#one two three 1\nq 0 #d 1\n")
    assert read_run(tmp_path / "run") == {"q#1": {"d#1": 1.5}}
    assert read_qrels(tmp_path / "qrels") == {"q": {"#d": 1}}
    with pytest.raises(InputError, match="no query can have the id '#q'"):
        write_run(tmp_path / "run", {"#q": {"d": 1.0}})


def test_a_byte_order_mark_is_no_part_of_an_id(tmp_path: Path) -> None:
    (tmp_path / "qrels").write_bytes(b"\xef\xbb\xbfq 0 d 1\n")
    assert read_qrels(tmp_path / "qrels") == {"q": {"d": 1}}


def test_judgements_are_written_for_beir(tmp_path: Path) -> None:
    write_qrels(tmp_path / "test.tsv", {"q": {"d": 1}})
    assert (tmp_path / "test.tsv").read_text() == "query-id\tcorpus-id\tscore\nq\td\t1\n"
    assert read_qrels(tmp_path / "test.tsv") == {"q": {"d": 1}}


def test_beir_judgements_have_a_header(tmp_path: Path) -> None:
    (tmp_path / "test.tsv").write_text("query-id\tcorpus-id\tscore\n1\t31715818\t1\n")
    assert read_qrels(tmp_path / "test.tsv") == {"1": {"31715818": 1}}


def test_texts_have_their_title_before_them(tmp_path: Path) -> None:
    lines = [
        '{"_id": "1", "title": "T\\u00e9", "text": "x y", "metadata": {}}',
        '{"_id": 2, "title": "", "text": "z"}',
        '{"_id": "3", "text": ""}',
    ]
    (tmp_path / "corpus.jsonl").write_text("\n".join(lines))
    assert read_texts(tmp_path / "corpus.jsonl") == {"1": "Té x y", "2": "z", "3": ""}


@pytest.mark.parametrize(
    ("read", "content", "message"),
    [
        (read_run, "q Q0 d 1 2.5 t\nq Q0 e 2 2.5\n", "run, line 2: .*'q Q0 e 2 2.5'"),
        (read_run, "q Q0 two words 1 2.5 t\n", "line 1: a line must read 'query Q0 document"),
        (read_run, "q Q0 d 1 high t\n", "line 1: a line must read 'query Q0 document"),
        (read_run, "q Q0 d 1 nan t\n", "line 1: .*nan"),
        (read_run, "\nq Q0 d 1 2 t\nq Q0 d 2 1 t\n", "line 3: 'd' was there before"),
        (read_qrels, "q 0 d 1\nq d 1\n", "line 2: a line must read 'query 0 document grade'"),
        (read_qrels, "q 0 d 1.5\n", "line 1: "),
        (read_qrels, "q 0 d 1\nq 0 d 0\n", "line 2: 'd' was there before"),
        (read_qrels, "query-id corpus-id score\nq 0 d 1\n", "line 2: .*'query document grade'"),
        (read_texts, '{"_id": "1", "text": "x"}\n{"_id": "2"}\n', "line 2: "),
        (read_texts, "not json\n", "line 1: .*not json"),
        (read_texts, "[1]\n", "line 1: "),
        (read_texts, '{"_id": "1", "text": 5}\n', "line 1: "),
        (read_texts, '{"_id": "1", "text": "x"}\n{"_id": 1, "text": "x"}\n', "line 2: '1' was"),
    ],
)
def test_a_bad_line_is_named(
    tmp_path: Path, read: Callable[[Path], object], content: str, message: str
) -> None:
    (tmp_path / "run").write_text(content)
    with pytest.raises(InputError, match=message):
        read(tmp_path / "run")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, " cannot be read: .*No such file"),
        (
            gzip.compress(b"q 0 d 1\nq 0 \xff 1\n", mtime=0),
            ", line 2: text in UTF-8 is required.*0xff",
        ),
        (gzip.compress(b"q 0 d 1\n", mtime=0)[:-12], ", after line 0: damaged gzip"),
        (b"\x1f\x8bnot gzip", ", after line 0: damaged gzip"),
    ],
)
def test_a_damaged_file_is_named(tmp_path: Path, content: bytes | None, message: str) -> None:
    if content is not None:
        (tmp_path / "qrels.gz").write_bytes(content)
    with pytest.raises(InputError, match=rf"qrels\.gz{message}"):
        read_qrels(tmp_path / "qrels.gz")


@pytest.mark.parametrize("bad", ["", "two words", " d", "d\n", "a\u00a0b"])
def test_ids_with_white_space_are_refused(tmp_path: Path, bad: str) -> None:
    with pytest.raises(InputError, match="must be one word"):
        write_qrels(tmp_path / "qrels", {"q": {bad: 1}})
    with pytest.raises(InputError, match="must be one word"):
        write_run(tmp_path / "run", {bad: {"d": 1.0}})
    with pytest.raises(InputError, match="the tag must be one word"):
        write_run(tmp_path / "run", {"q": {"d": 1.0}}, tag=bad)
    assert list(tmp_path.iterdir()) == []


def test_real_collections_are_read(crossrank_data: Path) -> None:
    folder = crossrank_data / "trec-dl" / "dl19"
    texts = read_texts(folder / "corpus.jsonl")
    run = read_run(folder / "runs" / "bm25.txt")
    assert len(texts) == 14_581
    assert len(read_texts(folder / "queries.jsonl")) == len(run) == 43
    assert all(document in texts for ranking in run.values() for document in ranking)
    assert len(read_qrels(crossrank_data / "scifact" / "qrels" / "test.tsv")) == 300


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    "content",
    [
        '\n{"_id": "1", "text": "one"}\n{"_id": "2", "text": "two"}\n',
        "1\tone\n2\ttwo\n",
        "<top><num> 1 <title> one </top>\n<top><num> 2 <title> two </top>\n",
    ],
)
def test_texts_of_every_format_may_come_by_a_pipe(tmp_path: Path, content: str) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=lambda: pipe.write_text(content), daemon=True)
    writer.start()
    assert read_texts(pipe) == {"1": "one", "2": "two"}
    writer.join(5)
