"""Reading training data: text files, Parquet, folders saved by ``datasets``, and TREC/BEIR folders.

Rows become Arrow tables on disk, so that memory does not grow with them. What their columns mean
is said in ``crossrank.training.columns``.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from datasets import Dataset

from crossrank.errors import InputError
from crossrank.evaluation.evaluation_set import RUNS, check_ids, find_file
from crossrank.evaluation.trec import read_qrels, read_run, read_texts
from crossrank.optional import require
from crossrank.text_files import is_gzip, name_of, read_csv, read_objects, read_tsv, stem_suffix
from crossrank.training.columns import TEACHER, Examples
from crossrank.training.examples import Example
from crossrank.training.row_files import Row, Rows, write_rows

Names = Mapping[str, str] | Sequence[str]
"""Columns of a file by the names they are to have; or names of the columns of a file without
any."""

QRELS = ("qrels/train.tsv", "qrels.txt")
_ROWS_AT_ONCE = 1000


def load_data(
    path: str | Path, *, store: str | Path, columns: Names | None = None, depth: int = 30
) -> Dataset:
    """Read a dataset.

    Args:
        path: A ``.jsonl``, ``.csv`` or ``.tsv`` file (each also with ``.gz``), a ``.parquet`` file,
            a folder that ``Dataset.save_to_disk`` wrote, or a folder in BEIR's layout
            (``queries.jsonl``, ``corpus.jsonl``, ``qrels.txt`` or ``qrels/train.tsv``, and the
            first stage's run in ``runs/bm25.txt`` or ``run.txt`` where there is one).
        store: An Arrow file to write and to read rows from. It must stay while they are in use.
        columns: Which columns to take, ``{"query": "question", ...}``; by default all. A list
            names the columns of a ``.csv`` or ``.tsv`` file whose first line is a row already.
        depth: From a BEIR folder, how many of the run's best documents join the judged ones of
            each query; where they are not judged their label is 0.

    Raises:
        InputError: There is no such file, or it is malformed; the message names file and line.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> _ = (folder / "faq.csv").write_text("question,answer\\nwhy?,because\\n")
        >>> named = {"query": "question", "positive": "answer"}
        >>> load_data(folder / "faq.csv", store=folder / "faq.arrow", columns=named)[0]
        {'query': 'why?', 'positive': 'because'}
    """
    source = Path(path)
    if not source.exists():
        raise InputError(f"There is no file or folder {source}.")
    if isinstance(columns, Sequence) and stem_suffix(source) not in (".csv", ".tsv"):
        raise InputError(
            f"{source}: a list of columns is for .csv and .tsv files, whose columns may have no "
            "names. Give the names that columns have: {query: question, ...}."
        )
    if source.is_dir() and (source / "state.json").is_file():
        saved: Dataset = Dataset.load_from_disk(str(source))
        return _taken_of(saved, columns, source)
    rows = _folder(source, depth) if source.is_dir() else _file(source, columns)
    if isinstance(columns, Mapping):
        rows = _taken(rows, columns, name_of(source))
    return write_rows(rows, Path(store), name_of(source))


def lists_by_query(examples: Examples, store: str | Path) -> Dataset:
    """Join all rows of a query, wherever they stand, to one list of documents.

    A document that is there several times is taken once, with its highest label. All of the data is
    held in memory.

    Args:
        examples: Rows of any layout.
        store: An Arrow file to write, as for ``load_data``.

    Example:
        >>> import tempfile
        >>> rows = {"query": ["q", "r", "q"], "document": ["a", "b", "c"], "label": [1, 1, 0]}
        >>> joined = lists_by_query(Examples(Dataset.from_dict(rows)), tempfile.mktemp())
        >>> joined[0]
        {'query': 'q', 'documents': ['a', 'c'], 'labels': [1.0, 0.0]}
    """
    source = examples.columns.source
    joined = join_by_query(examples)
    return write_rows(((source, _list_row(example)) for example in joined), Path(store), source)


def join_by_query(examples: Iterable[Example]) -> list[Example]:
    """Join the examples of each query to one, as ``lists_by_query`` does with rows."""
    lists: dict[str, dict[str, tuple[float, float | None]]] = {}
    for example in examples:
        known = lists.setdefault(example.query, {})
        teacher = example.teacher_scores or (None,) * len(example.documents)
        for document, label, score in zip(example.documents, example.labels, teacher, strict=True):
            if document not in known or known[document][0] < label:
                known[document] = (label, score)
    return [_joined(query, documents) for query, documents in lists.items()]


def _joined(query: str, documents: Mapping[str, tuple[float, float | None]]) -> Example:
    labels, teacher = zip(*documents.values(), strict=True)
    return Example(query, tuple(documents), labels, None if None in teacher else teacher)


def _list_row(example: Example) -> Row:
    row: Row = {
        "query": example.query,
        "documents": list(example.documents),
        "labels": list(example.labels),
    }
    return row | ({TEACHER: list(example.teacher_scores)} if example.teacher_scores else {})


def _file(path: Path, columns: Names | None) -> Rows:
    suffix = stem_suffix(path)
    if suffix in (".jsonl", ".ndjson"):
        return ((f"line {number}", row) for number, row in read_objects(path))
    if suffix in (".csv", ".tsv"):
        names = columns if isinstance(columns, Sequence) else None
        return _table(path, read_csv(path) if suffix == ".csv" else read_tsv(path), names)
    if suffix == ".parquet" and not is_gzip(path):
        return _parquet(path)
    raise InputError(
        f"{path}: a file that ends in .jsonl, .csv, .tsv (with .gz or without) or .parquet, or a "
        "folder, is required."
    )


def _table(path: Path, lines: Iterable[tuple[int, list[str]]], names: Sequence[str] | None) -> Rows:
    """Read rows of text; columns of labels and scores become numbers."""
    lines = iter(lines)
    if names is None:
        _, names = next(lines, (1, []))
    if len(set(names)) < len(names):
        raise InputError(f"{path}: columns of different names are required, received {names}.")
    for number, values in lines:
        place = f"line {number}"
        if len(values) != len(names):
            raise InputError(
                f"{path}, {place}: {len(names)} columns are required, {', '.join(names)}; received "
                f"{len(values)}."
            )
        yield place, dict(zip(names, values, strict=True))


def _parquet(path: Path) -> Rows:
    pyarrow = require("pyarrow", extra="parquet")
    parquet = require("pyarrow.parquet", extra="parquet")
    try:
        file = parquet.ParquetFile(path)
    except pyarrow.ArrowInvalid as error:
        raise InputError(f"{path}: a Parquet file is required: {error}") from error
    with file:
        number = 0
        for batch in file.iter_batches(_ROWS_AT_ONCE):
            for row in batch.to_pylist():
                number += 1
                yield f"row {number}", row


def _folder(folder: Path, depth: int) -> Rows:
    """Judged documents of each query, and the best of the first stage."""
    judged = find_file(folder, QRELS)
    questions, documents = (find_file(folder, [f"{name}.jsonl"]) for name in ("queries", "corpus"))
    if judged is None or questions is None or documents is None:
        raise InputError(
            f"{folder}: a folder must be one that datasets' save_to_disk wrote, or hold "
            f"queries.jsonl, corpus.jsonl and one of {', '.join(QRELS)}."
        )
    queries, corpus = read_texts(questions), read_texts(documents)
    qrels, run = read_qrels(judged), {}
    check_ids(qrels, queries, corpus, judged)
    if ranked := find_file(folder, RUNS):
        run = {query: scores for query, scores in read_run(ranked).items() if query in qrels}
        check_ids(run, queries, corpus, ranked)
    for query, grades in qrels.items():
        first_stage = sorted(run.get(query, {}).items(), key=lambda entry: -entry[1])[:depth]
        labels = dict.fromkeys((document for document, _ in first_stage), 0) | grades
        yield (
            f"query {query!r}",
            {
                "query": queries[query],
                "documents": [corpus[document] for document in labels],
                "labels": [
                    max(0, grade) for grade in labels.values()
                ],  # -1, -2: not relevant either
            },
        )


def _taken(rows: Rows, columns: Mapping[str, str], source: str) -> Rows:
    for place, row in rows:
        _require(columns, row, f"{source}, {place}")
        yield place, {ours: row[theirs] for ours, theirs in columns.items()}


def _taken_of(dataset: Dataset, columns: Names | None, source: Path) -> Dataset:
    if not isinstance(columns, Mapping):
        return dataset
    _require(columns, dataset.column_names, str(source))
    chosen = dataset.select_columns(list(columns.values()))
    return chosen.rename_columns({theirs: ours for ours, theirs in columns.items()})


def _require(columns: Mapping[str, str], known: Iterable[str], place: str) -> None:
    for theirs in columns.values():
        if theirs not in known:
            raise InputError(
                f"{place}: a column {theirs!r} is required; the columns are "
                f"{', '.join(map(repr, known)) or 'none'}."
            )
