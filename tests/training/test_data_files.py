"""Data files: every format gives the same rows, and every mistake is named by file and line."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

datasets = pytest.importorskip("datasets", reason="the extra 'train' is not installed")

from crossrank.errors import InputError  # noqa: E402
from crossrank.training.columns import Examples  # noqa: E402
from crossrank.training.data_files import lists_by_query, load_data  # noqa: E402

ROWS = [
    {"query": "why?", "document": 'because, "perhaps"', "label": 1.0},
    {"query": "why?", "document": "Zwölf\tBoxkämpfer", "label": 0.0},
    {"query": "when?", "document": "", "label": 0.5},
]


def jsonl(rows: list[dict[str, Any]]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


CSV = 'query,document,label\nwhy?,"because, ""perhaps""",1\nwhy?,Zwölf\tBoxkämpfer,0\nwhen?,,.5\n'


def write_parquet(path: Path) -> None:
    datasets.Dataset.from_list(ROWS).to_parquet(path)


WRITERS: dict[str, Callable[[Path], Any]] = {
    "rows.jsonl": lambda path: path.write_text(jsonl(ROWS)),
    "rows.jsonl.gz": lambda path: path.write_bytes(gzip.compress(jsonl(ROWS).encode())),
    "rows.csv": lambda path: path.write_text(CSV),
    "rows.csv.gz": lambda path: path.write_bytes(gzip.compress(CSV.encode())),
    "rows.parquet": write_parquet,
    "folder": lambda path: datasets.Dataset.from_list(ROWS).save_to_disk(path),
}


def load(path: Path, **options: Any) -> Any:
    return load_data(path, store=path.parent / "store" / "rows.arrow", **options)


def loaded(folder: Path, name: str, text: str, **options: Any) -> Any:
    (folder / name).write_text(text, encoding="utf-8")
    return load(folder / name, **options)


@pytest.mark.parametrize("name", WRITERS)
def test_every_format_gives_the_same_rows(tmp_path: Path, name: str) -> None:
    WRITERS[name](tmp_path / name)
    assert load(tmp_path / name).to_list() == ROWS


def test_rows_are_mapped_from_the_file_that_was_named(tmp_path: Path) -> None:
    dataset = loaded(tmp_path, "rows.jsonl", jsonl(ROWS))
    assert [entry["filename"] for entry in dataset.cache_files] == [
        str(tmp_path / "store" / "rows.arrow")
    ]


def test_many_rows(tmp_path: Path) -> None:
    rows = [{"query": f"q{n}", "positive": "p", "negatives": ["n"] * (n % 3)} for n in range(2500)]
    assert loaded(tmp_path, "rows.jsonl", jsonl(rows)).to_list() == rows


def test_columns_are_taken_and_renamed(tmp_path: Path) -> None:
    columns = {"query": "question", "document": "answer", "label": "relevance"}
    text = "id,question,answer,relevance\n7,why?,because,1\n"
    expected = [{"query": "why?", "document": "because", "label": 1.0}]
    assert loaded(tmp_path, "rows.csv", text, columns=columns).to_list() == expected
    folder = tmp_path / "folder"
    row = {"id": 7, "question": "why?", "answer": "because", "relevance": 1.0}
    datasets.Dataset.from_list([row]).save_to_disk(folder)
    assert load(folder, columns=columns).to_list() == expected
    with pytest.raises(InputError, match=r"rows\.csv, line 2: a column 'answer' is required"):
        loaded(tmp_path, "rows.csv", "question,reply\nwhy?,because\n", columns=columns)
    with pytest.raises(InputError, match="folder: a column 'label' is required"):
        load(folder, columns={"label": "label"})


def test_a_file_without_names_of_columns(tmp_path: Path) -> None:
    names = ["query", "document", "label"]
    text = 'why?\t"because"\t1\nwhen?\tat "noon"\t0\n'
    assert loaded(tmp_path, "rows.tsv", text, columns=names).to_list() == [
        {"query": "why?", "document": "because", "label": 1.0},
        {"query": "when?", "document": 'at "noon"', "label": 0.0},
    ]
    with pytest.raises(InputError, match=r"line 1: 3 columns are required, .*received 2"):
        loaded(tmp_path, "rows.tsv", "why?\tbecause\n", columns=names)
    with pytest.raises(InputError, match=r"a list of columns is for \.csv and \.tsv"):
        loaded(tmp_path, "rows.jsonl", jsonl(ROWS), columns=names)


def test_lone_surrogates_are_replaced(tmp_path: Path) -> None:
    text = '{"query": "a \\ud800", "positive": "\\ud83d\\ude00"}\n'
    expected = {"query": "a \ufffd", "positive": "😀"}
    assert loaded(tmp_path, "rows.jsonl", text)[0] == expected


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("r.jsonl", "", r"r\.jsonl: at least one row is required"),
        ("r.csv", "query,document,label\n", r"r\.csv: at least one row is required"),
        ("r.jsonl", '{"query": "q"', r"r\.jsonl, line 1: one JSON object a line is required"),
        (
            "r.jsonl",
            '{"query": "q", "d": "a"}\n\n{"query": "q"}\n',
            r"r\.jsonl, line 3: the columns of the first row are required, query, d; received q",
        ),
        (
            "r.jsonl",
            '{"query": "q", "label": 1}\n{"query": "q", "label": NaN}\n',
            r"r\.jsonl, line 2, column 'label': a finite number is required, received nan",
        ),
        (
            "r.jsonl",
            '{"query": "q", "label": 1}\n{"query": null, "label": 1}\n',
            r"line 2, column 'query': a text is required, received None",
        ),
        (
            "r.jsonl",
            '{"query": "q", "docs": ["a"], "labels": [1]}\n'
            '{"query": "q", "docs": ["a", 3], "labels": [1, 1]}\n',
            r"line 2, column 'docs': a list of texts is required, received \['a', 3\]",
        ),
        (
            "r.csv",
            "query,document,label\nq,d,entailment\n",
            r"line 2, column 'label': .* received 'entailment'\. Encode classes as 0, 1, 2",
        ),
        ("r.csv", "query,query\na,b\n", "columns of different names are required"),
        ("r.jsonl", '{"query": {"text": "q"}}\n', r"line 1, column 'query': a text or a list"),
        ("r.parquet", "no parquet", r"r\.parquet: a Parquet file is required"),
        ("r.xlsx", "", r"a file that ends in \.jsonl, \.csv, \.tsv"),
    ],
)
def test_mistakes_are_named_by_file_and_line(
    tmp_path: Path, name: str, text: str, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        loaded(tmp_path, name, text)


def test_rows_that_are_in_use_survive_another_writer(tmp_path: Path) -> None:
    store = tmp_path / "rows.arrow"
    first, second = ([{"query": f"{name}{n}"} for n in range(3000)] for name in "ab")
    for name, rows in (("a", first), ("b", second[:1])):
        (tmp_path / f"{name}.jsonl").write_text(jsonl(rows))
    used = load_data(tmp_path / "a.jsonl", store=store)
    assert load_data(tmp_path / "b.jsonl", store=store).to_list() == second[:1]
    assert used.to_list() == first
    assert {path.name for path in tmp_path.iterdir()} == {"a.jsonl", "b.jsonl", "rows.arrow"}


@pytest.mark.parametrize(
    ("label", "hint"),
    [(str(2**53 + 1), r"2\^53"), ("-" + "9" * 400, r"2\^53"), ("1e999", "received inf")],
)
def test_labels_that_are_too_large(tmp_path: Path, label: str, hint: str) -> None:
    row = '{"query": "q", "document": "d", "label": %s}\n'
    with pytest.raises(InputError, match=rf"line 2, column 'label': a finite number.*{hint}"):
        loaded(tmp_path, "r.jsonl", row % 2**53 + row % label)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="There is no file or folder"):
        load(tmp_path / "absent.jsonl")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"hold queries\.jsonl, corpus\.jsonl and one of"):
        load(tmp_path / "empty")


@pytest.fixture
def beir(tmp_path: Path) -> Path:
    folder = tmp_path / "beir"
    (folder / "qrels").mkdir(parents=True)
    (folder / "queries.jsonl").write_text('{"_id": "q1", "text": "why?"}\n')
    corpus = [{"_id": f"d{n}", "title": "", "text": f"text {n}"} for n in range(5)]
    (folder / "corpus.jsonl").write_text(jsonl(corpus))
    (folder / "qrels/train.tsv").write_text(
        "query-id\tcorpus-id\tscore\nq1\td0\t2\nq1\td1\t-1\nq1\td3\t1\n"
    )
    return folder


def test_a_beir_folder_gives_judged_documents_and_the_best_of_the_run(beir: Path) -> None:
    judged = {"query": "why?", "documents": ["text 0", "text 1", "text 3"], "labels": [2, 0, 1]}
    assert load(beir).to_list() == [judged]
    (beir / "run.txt").write_text("".join(f"q1 Q0 d{n} {n} {n}.0 x\n" for n in range(5)))
    row = load(beir, depth=2)[0]  # the run's best are d4 and d3
    assert dict(zip(row["documents"], row["labels"], strict=True)) == {
        "text 4": 0,
        "text 3": 1,
        "text 0": 2,
        "text 1": 0,
    }


def test_a_beir_folder_may_be_compressed(beir: Path, tmp_path: Path) -> None:
    plain = list(load_data(beir, store=tmp_path / "plain.arrow"))
    for name in ("queries.jsonl", "corpus.jsonl"):
        (beir / f"{name}.gz").write_bytes(gzip.compress((beir / name).read_bytes()))
        (beir / name).unlink()
    assert list(load_data(beir, store=tmp_path / "small.arrow")) == plain


def test_ids_that_a_beir_folder_has_no_text_for(beir: Path) -> None:
    (beir / "run.txt").write_text("q1 Q0 d9 1 1.0 x\n")
    with pytest.raises(InputError, match=r"run\.txt: the document 'd9' is not in corpus\.jsonl"):
        load(beir)
    (beir / "qrels/train.tsv").write_text("query-id\tcorpus-id\tscore\nq2\td0\t2\n")
    with pytest.raises(InputError, match=r"train\.tsv: the query 'q2' is not in queries\.jsonl"):
        load(beir)


def test_rows_of_a_query_become_one_list(tmp_path: Path) -> None:
    rows = {
        "query": ["q", "r", "q", "q"],
        "document": ["a", "b", "c", "a"],
        "label": [0.0, 1.0, 0.0, 2.0],
        "teacher_scores": [-1.0, 5.0, 3.0, 4.0],
    }
    joined = lists_by_query(Examples(datasets.Dataset.from_dict(rows)), tmp_path / "rows.arrow")
    assert joined.to_list() == [
        {"query": "q", "documents": ["a", "c"], "labels": [2, 0], "teacher_scores": [4, 3]},
        {"query": "r", "documents": ["b"], "labels": [1], "teacher_scores": [5]},
    ]


def test_triplets_of_a_query_become_one_list(tmp_path: Path) -> None:
    rows = {"query": ["q", "q"], "positive": ["a", "a"], "negative": ["b", "c"]}
    joined = lists_by_query(Examples(datasets.Dataset.from_dict(rows)), tmp_path / "rows.arrow")
    assert joined.to_list() == [{"query": "q", "documents": ["a", "b", "c"], "labels": [1, 0, 0]}]


def test_real_files(crossrank_data: Path, tmp_path: Path) -> None:
    path = crossrank_data / "answer-selection/wikiqa-test.tsv"
    names = ["query", "document", "label"]
    dataset = load_data(path, store=tmp_path / "rows.arrow", columns=names)
    lists = lists_by_query(Examples(dataset), tmp_path / "lists.arrow")
    assert sum(map(len, lists["documents"])) <= len(dataset)
    assert len(lists) == len(set(dataset["query"]))
    assert sum(map(sum, lists["labels"])) > 200
