"""Runs, judgements and texts as JSONL, Parquet, topics and named tuples."""

import gzip
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from crossrank.errors import InputError
from crossrank.evaluation.tables import qrels_of, run_of
from crossrank.evaluation.trec import (
    read_qrels,
    read_run,
    read_texts,
    write_qrels,
    write_run,
    write_texts,
)

RUN = {"q 1": {"é": 0.1, "b\tb": -math.inf}, "2": {"é": 3.0}}
QRELS = {"q 1": {"é": 2, "b": 0}, "#2": {"é": -1}}
TEXTS = {"1": "one\ntwo", "zwei": "", "三": "três"}
KINDS = ["{}.jsonl", "{}.jsonl.gz", "{}.ndjson", "{}.parquet"]


def parquet(path: Path, columns: dict[str, list[Any]]) -> Path:
    pyarrow = pytest.importorskip("pyarrow", reason="the extra 'parquet' is not installed")
    pytest.importorskip("pyarrow.parquet").write_table(pyarrow.table(columns), path)
    return path


@pytest.mark.parametrize("name", KINDS)
def test_records_come_back_exactly(tmp_path: Path, name: str) -> None:
    if name.endswith(".parquet"):
        pytest.importorskip("pyarrow", reason="the extra 'parquet' is not installed")
    run, qrels, texts = (tmp_path / name.format(kind) for kind in ("run", "qrels", "texts"))
    write_run(run, RUN)
    write_qrels(qrels, QRELS)
    write_texts(texts, TEXTS)
    assert read_run(run) == RUN
    assert read_qrels(qrels) == QRELS
    assert read_texts(texts) == TEXTS


def test_the_columns_are_those_of_ir_measures(tmp_path: Path) -> None:
    write_run(tmp_path / "run.jsonl", {"q": {"a": 1.0, "b": 2.0}})
    write_qrels(tmp_path / "qrels.jsonl.gz", {"q": {"a": 1}})
    assert (tmp_path / "run.jsonl").read_text().splitlines() == [
        '{"query_id": "q", "doc_id": "b", "score": 2.0}',
        '{"query_id": "q", "doc_id": "a", "score": 1.0}',
    ]
    written = gzip.decompress((tmp_path / "qrels.jsonl.gz").read_bytes())
    assert json.loads(written) == {"query_id": "q", "doc_id": "a", "relevance": 1}


def test_beir_judgements_as_parquet(tmp_path: Path) -> None:
    columns = {"query-id": ["q", "q"], "corpus-id": [1, 2], "score": [1.0, 0.0], "more": [0, 0]}
    assert read_qrels(parquet(tmp_path / "test.parquet", columns)) == {"q": {"1": 1, "2": 0}}


def test_texts_as_parquet_have_their_title_before_them(tmp_path: Path) -> None:
    columns = {"_id": ["1", "2"], "title": ["A", None], "text": ["b", "c"]}
    assert read_texts(parquet(tmp_path / "corpus.parquet", columns)) == {"1": "A b", "2": "c"}


def row(**fields: Any) -> str:
    return json.dumps({"query_id": "q", "doc_id": "d"} | fields)


@pytest.mark.parametrize(
    ("read", "second", "message"),
    [
        (read_run, row(score=0.5), "line 2: 'd' was there before"),
        (read_run, row(doc_id="e", score=math.nan), "line 2: a score must be a number.* nan"),
        (read_run, row(doc_id="e", score="0.5"), "line 2: a score must be a number.*'0.5'"),
        (read_run, row(doc_id="e", score=True), "line 2: a score must be a number"),
        (read_run, row(doc_id="e", score=10**400), "line 2: int too large"),
        (read_run, row(doc_id=None, score=1), "line 2: an id must be text, received None"),
        (read_run, row(doc_id="", score=1), "line 2: an id must be text, received ''"),
        (read_run, row(relevance=1), r"line 2: columns \['query_id', 'doc_id', 'score'\] are req"),
        (read_run, "{", "line 2: one JSON object a line is required"),
        (read_qrels, row(doc_id="e", relevance=0.5), "line 2: a grade must be a whole number"),
        (read_qrels, row(doc_id="e", relevance=None), "line 2: a grade must be a whole number"),
        (read_qrels, row(doc_id="e"), "line 2: columns .*relevance.* or .*corpus-id.*there are"),
    ],
)
def test_a_bad_record_is_named(
    tmp_path: Path, read: Callable[[Path], object], second: str, message: str
) -> None:
    file = tmp_path / "file.jsonl"
    file.write_text(f"{row(score=1, relevance=1)}\n{second}\n")
    with pytest.raises(InputError, match=rf"file\.jsonl, {message}"):
        read(file)


def test_a_bad_row_of_parquet_is_named(tmp_path: Path) -> None:
    scores = {"query_id": ["q"] * 3, "doc_id": ["a", "b", "c"], "score": [1.0, 2.0, math.nan]}
    with pytest.raises(InputError, match=r"nan\.parquet, row 3: a score must be a number"):
        read_run(parquet(tmp_path / "nan.parquet", scores))
    with pytest.raises(InputError, match=r"few\.parquet: columns .*there are 'query_id'"):
        read_run(parquet(tmp_path / "few.parquet", {"query_id": ["q"]}))
    (tmp_path / "bad.parquet").write_text("q Q0 d 1 1.0 t")
    with pytest.raises(InputError, match=r"bad\.parquet: a Parquet file is required"):
        read_run(tmp_path / "bad.parquet")
    with pytest.raises(InputError, match=r"none\.parquet cannot be read"):
        read_run(tmp_path / "none.parquet")


class Scored(NamedTuple):
    query_id: str
    doc_id: str
    score: Any


def test_named_tuples_of_ir_measures() -> None:
    ir_measures = pytest.importorskip("ir_measures", reason="needs the extra demo")
    scored = [ir_measures.ScoredDoc("q", "a", 1), ir_measures.ScoredDoc("r", "a", 0.5)]
    judged = [ir_measures.Qrel("q", "a", 1), ir_measures.Qrel("q", "b", 0)]
    run, qrels = run_of(iter(scored)), qrels_of(iter(judged))
    assert (run, qrels) == ({"q": {"a": 1.0}, "r": {"a": 0.5}}, {"q": {"a": 1, "b": 0}})
    # And back: it takes both as they are.
    assert list(ir_measures.util.RunConverter(run).as_namedtuple_iter()) == scored
    assert list(ir_measures.util.QrelsConverter(qrels).as_namedtuple_iter()) == judged


@pytest.mark.parametrize(
    ("second", "message"),
    [
        (Scored("q", "a", 2.0), "The run, entry 2: 'a' was there before"),
        (Scored("q", "b", math.nan), "The run, entry 2: a score must be a number"),
        (Scored("q", "b", None), "The run, entry 2: a score must be a number, received None"),
    ],
)
def test_a_bad_entry_is_named(second: Scored, message: str) -> None:
    with pytest.raises(InputError, match=message):
        run_of([Scored("q", "a", 1.0), second])


TOPICS = """
<top>
<num> Number: 301
<title> International
  Organized Crime

<desc> Description:
Identify organizations <that> participate.
</top>

<TOP><num>302</num><title>Topic: Poliomyelitis and Post-Polio</title></TOP>
"""


def test_topics_of_trec(tmp_path: Path) -> None:
    (tmp_path / "topics.301-450.gz").write_bytes(gzip.compress(TOPICS.encode()))
    assert read_texts(tmp_path / "topics.301-450.gz") == {
        "301": "International Organized Crime",
        "302": "Poliomyelitis and Post-Polio",
    }


def test_tabbed_queries(tmp_path: Path) -> None:
    content = '1\t"to be or" not\r\n\n2\t"whole"\n'
    for name in ("queries.tsv", "queries"):
        (tmp_path / name).write_text(content)
        assert read_texts(tmp_path / name) == {"1": '"to be or" not', "2": '"whole"'}


def test_tabbed_queries_come_back_exactly(tmp_path: Path) -> None:
    texts = {"1": " a  b ", "#": "{}"}
    write_texts(tmp_path / "queries.tsv", texts)
    assert read_texts(tmp_path / "queries.tsv") == texts


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("<top>\n<num> 1\n<title> a\n</top>\n<top>\n<num> 2\n", "line 5: a topic must read"),
        ("<top><num> 1 <title> a\n<top>\n<num> 2 <title> b </top>", "line 1: a topic must read"),
        ("\n<top>\n<num> 1\n</top>\n", "line 2: a topic must read .*<title>"),
        ("<top><title> a </top>", "line 1: a topic must read"),
        ("<html></html>", "line 1: a topic must read '<top>"),
        ("<top><num>1<title>a</top>\n<top><num>1<title>b</top>", "line 2: '1' was there before"),
        ("1\ta\n2 b\n", "line 2: a line must read 'id TAB text', received '2 b"),
        ("1\ta\tb\n", "line 1: a line must read 'id TAB text'"),
        ("\ta\n", "line 1: an id must be text"),
    ],
)
def test_bad_queries_are_named(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "queries").write_text(content)
    with pytest.raises(InputError, match=rf"queries, {message}"):
        read_texts(tmp_path / "queries")


@pytest.mark.parametrize(
    ("name", "texts", "message"),
    [
        ("texts.txt", {}, r"end in \.jsonl, \.tsv or \.parquet, received .*texts\.txt"),
        ("texts.tsv", {"1": "a\tb"}, r"cannot hold tabulators and line ends, received 'a\\tb'"),
        ("texts.tsv", {"1\n": "a"}, "cannot hold tabulators and line ends"),
    ],
)
def test_texts_that_cannot_be_written(
    tmp_path: Path, name: str, texts: dict[str, str], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        write_texts(tmp_path / name, texts)
    assert list(tmp_path.iterdir()) == []
