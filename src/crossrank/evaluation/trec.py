"""Reading and writing the files of retrieval evaluation; a file's name says what it holds.

* ``.jsonl`` and ``.parquet``: records with ``query_id``, ``doc_id`` and ``score`` (of runs) or
  ``relevance`` (of qrels).
* Other runs, as trec_eval reads them: ``query Q0 document rank score tag``.
* Other judgements (qrels), as trec_eval reads them: ``query 0 document grade``; or BEIR's table of
  three columns with a header, which is also what is written where the name ends in ``.tsv``.
* Queries and documents as BEIR's records, ``{"_id": ..., "title": ..., "text": ...}``, as
  ``id TAB text`` lines, or as TREC's topics.

A text file that is compressed with gzip is read as if it were not; one is written where the name
ends in ``.gz``. ``-`` is read from stdin.
"""

import gzip
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import TypeVar

from crossrank.errors import InputError
from crossrank.evaluation.runs import best_candidates
from crossrank.evaluation.tables import (
    Records,
    add,
    encode_table,
    gather,
    is_table,
    read_jsonl,
    read_table,
    readable,
    to_grade,
    to_id,
    to_score,
)
from crossrank.evaluation.topics import read_tabbed, read_topics
from crossrank.text_files import Lines, is_gzip, read_lines, stem_suffix
from crossrank.types import Qrels, Run

Value = TypeVar("Value")

_RUN = ("query_id", "doc_id", "score")
_QRELS = ("query_id", "doc_id", "relevance")
_BEIR_QRELS = ("query-id", "corpus-id", "score")
_TEXTS = (("_id", "title", "text"), ("_id", "text"))


def read_run(path: str | Path) -> Run:
    """Read a run; the order of the lines and their ranks do not matter, the scores do.

    Args:
        path: A file of records, or of ``query Q0 document rank score tag`` lines. What follows the
            tag is passed over, as trec_eval does, and so are lines that begin with ``#``.

    Returns:
        ``run[query_id][doc_id]`` = score.

    Raises:
        InputError: The file cannot be read, or a line is malformed; the message names the line.
        MissingDependencyError: The file is Parquet, and pyarrow is not installed.
    """
    with readable(path):
        if is_table(path):
            return gather(str(path), read_table(path, _RUN), to_score)
        return _run_lines(path)


def write_run(path: str | Path, run: Run, *, tag: str = "crossrank") -> None:
    """Write a run, each query's documents by descending score, ties in the order of the dict.

    Args:
        path: The file to write.
        run: ``run[query_id][doc_id]`` = score.
        tag: The run's name, in the last column of TREC's layout.

    Raises:
        InputError: TREC's layout is to be written, and an id or the tag is empty, contains white
            space, or would make the line a comment.
        MissingDependencyError: The file is to be Parquet, and pyarrow is not installed.
    """
    ranked = best_candidates(run)
    if is_table(path):
        _write_table(path, ranked, _RUN)
        return
    _check_ids([tag], "tag")
    _write_lines(
        path,
        (
            f"{query} Q0 {document} {rank} {float(score)!r} {tag}"
            for query, scores in _checked(ranked)
            for rank, (document, score) in enumerate(scores.items(), start=1)
        ),
    )


def read_qrels(path: str | Path) -> Qrels:
    """Read judgements.

    Args:
        path: A file of records, of ``query 0 document grade`` lines, or of ``query document
            grade`` lines below the header ``query-id corpus-id score``. Lines that begin with ``#``
            are passed over, as trec_eval does.

    Returns:
        ``qrels[query_id][doc_id]`` = grade.

    Raises:
        InputError: The file cannot be read, or a line is malformed; the message names the line.
        MissingDependencyError: The file is Parquet, and pyarrow is not installed.
    """
    with readable(path):
        if is_table(path):
            return gather(str(path), read_table(path, _QRELS, _BEIR_QRELS), to_grade)
        return _qrels_lines(path)


def write_qrels(path: str | Path, qrels: Qrels) -> None:
    """Write judgements.

    Args:
        path: The file to write.
        qrels: ``qrels[query_id][doc_id]`` = grade.

    Raises:
        InputError: Lines are to be written, and an id is empty, contains white space, or would make
            the line a comment.
        MissingDependencyError: The file is to be Parquet, and pyarrow is not installed.
    """
    if is_table(path):
        _write_table(path, qrels, _QRELS)
        return
    beir = stem_suffix(Path(path)) == ".tsv"
    lines = (
        f"{query}\t{document}\t{grade}" if beir else f"{query} 0 {document} {grade}"
        for query, grades in _checked(qrels)
        for document, grade in grades.items()
    )
    _write_lines(path, ["\t".join(_BEIR_QRELS), *lines] if beir else lines)


def read_texts(path: str | Path) -> dict[str, str]:
    """Read queries or documents.

    Args:
        path: BEIR's records (a ``title`` comes before the text), ``id TAB text`` lines, or TREC's
            topics (``<top>``), whose titles are read. Where the name does not say, the first
            character does.

    Returns:
        The text of each id, in the order of the file.

    Raises:
        InputError: The file cannot be read, or a line is malformed; the message names the line.
        MissingDependencyError: The file is Parquet, and pyarrow is not installed.
    """
    texts: dict[str, str] = {}
    with readable(path):
        for place, (identifier, *parts) in _text_records(Path(path)):
            where = f"{path}, {place}"
            try:
                key = to_id(identifier)
            except ValueError as error:
                raise InputError(f"{where}: {error}.") from None
            if not isinstance(parts[-1], str) or not isinstance(parts[0], str | None):
                raise InputError(f"{where}: a text must be a string, received {parts!r:.80}.")
            add(texts, key, " ".join(part for part in parts if part), where)
    return texts


def write_texts(path: str | Path, texts: dict[str, str]) -> None:
    """Write queries or documents.

    Args:
        path: The file to write: ``.jsonl`` or ``.parquet`` for records, ``.tsv`` for
            ``id TAB text`` lines.
        texts: By id.

    Raises:
        InputError: The name ends in none of these, or lines are to be written and an id or text
            contains a tabulator or a line end.
        MissingDependencyError: The file is to be Parquet, and pyarrow is not installed.
    """
    if is_table(path):
        _write(path, encode_table(path, {"_id": list(texts), "text": list(texts.values())}))
        return
    if stem_suffix(Path(path)) != ".tsv":
        raise InputError(
            f"Texts are written to files that end in .jsonl, .tsv or .parquet, received {path}."
        )
    for part in (part for entry in texts.items() for part in entry):
        if len(f"{part} ".splitlines()) != 1 or "\t" in part:
            raise InputError(
                f"Lines cannot hold tabulators and line ends, received {part!r:.80}. Write .jsonl."
            )
    _write_lines(path, (f"{identifier}\t{text}" for identifier, text in texts.items()))


def _run_lines(path: str | Path) -> Run:
    run: Run = {}
    for number, line in _lines(path):
        try:
            query, _, document, rank, score, _, *rest = line.split(maxsplit=6)
            value = float(score)
            if math.isnan(value):
                raise ValueError
            if rest:
                int(rank)  # else an id has white space in it
        except ValueError:
            raise _malformed(path, number, "query Q0 document rank score tag", line) from None
        add(run.setdefault(query, {}), document, value, f"{path}, line {number}")
    return run


def _qrels_lines(path: str | Path) -> Qrels:
    qrels: Qrels = {}
    beir = False
    for number, line in _lines(path):
        fields = line.split()
        if number == 1 and tuple(fields) == _BEIR_QRELS:
            beir = True
            continue
        try:
            query, *iteration, document, text = fields
            if len(iteration) != (0 if beir else 1):
                raise ValueError
            grade = int(text)
        except ValueError:
            layout = "query document grade" if beir else "query 0 document grade"
            raise _malformed(path, number, layout, line) from None
        add(qrels.setdefault(query, {}), document, grade, f"{path}, line {number}")
    return qrels


def _text_records(path: Path) -> Records:
    if is_table(path):
        return read_table(path, *_TEXTS)
    lines, first = read_lines(path), ""
    if stem_suffix(path) != ".tsv":
        lines, first = _peek(lines)
    if first == "{":
        return read_jsonl(path, *_TEXTS, lines=lines)
    return read_topics(path, lines) if first == "<" else read_tabbed(path, lines)


def _peek(lines: Lines) -> tuple[Lines, str]:
    """Look at the first character that is no white space; a pipe can be read only once."""
    seen: list[tuple[int, str]] = []
    first = ""
    for number, line in lines:
        seen.append((number, line))
        if first := line.lstrip()[:1]:
            break
    return chain(seen, lines), first


def _lines(path: str | Path) -> Iterator[tuple[int, str]]:
    """The lines that are neither blank nor comments, numbered from 1."""
    return (
        (number, line)
        for number, line in read_lines(Path(path))
        if not (line.isspace() or line.startswith("#"))
    )


def _write_table(
    path: str | Path, table: Mapping[str, Mapping[str, Value]], names: Sequence[str]
) -> None:
    rows = [(query, *entry) for query, entries in table.items() for entry in entries.items()]
    columns = {name: [row[place] for row in rows] for place, name in enumerate(names)}
    _write(path, encode_table(path, columns))


def _write_lines(path: str | Path, lines: Iterable[str]) -> None:
    _write(path, "".join(f"{line}\n" for line in lines).encode())


def _write(path: str | Path, content: bytes) -> None:
    if is_gzip(Path(path)):
        content = gzip.compress(content, mtime=0)  # the same content gives the same file
    Path(path).write_bytes(content)


def _malformed(path: str | Path, number: int, layout: str, line: str) -> InputError:
    received = line.rstrip("\r\n")[:80]
    return InputError(f"{path}, line {number}: a line must read {layout!r}, received {received!r}")


def _checked(table: Mapping[str, dict[str, Value]]) -> Iterator[tuple[str, dict[str, Value]]]:
    for query, entries in table.items():
        _check_ids([query, *entries], "id")
        if query.startswith("#"):
            raise InputError(
                f"Lines that begin with # are comments: no query can have the id {query!r}."
            )
        yield query, entries


def _check_ids(names: Iterable[str], kind: str) -> None:
    for name in names:
        if len(name.split()) != 1 or name != name.strip():
            raise InputError(
                f"TREC files separate columns by white space: the {kind} must be one word, "
                f"received {name!r}"
            )
