"""Reading and writing the files of retrieval evaluation.

* Runs, as trec_eval reads them: ``query Q0 document rank score tag``.
* Judgements (qrels), as trec_eval reads them: ``query 0 document grade``; or BEIR's table of three
  columns with a header.
* Queries and documents as BEIR's JSONL: ``{"_id": ..., "title": ..., "text": ...}``.

A file that is compressed with gzip is read as if it were not; one is written where the name ends
in ``.gz``.
"""

import gzip
import json
import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TypeVar

from crossrank.errors import InputError
from crossrank.types import Qrels, Run

Value = TypeVar("Value")

_GZIP = b"\x1f\x8b"
_BEIR_HEADER = ["query-id", "corpus-id", "score"]


def read_run(path: str | Path) -> Run:
    """Read a run; the order of the lines and their ranks do not matter, the scores do.

    Args:
        path: A file of ``query Q0 document rank score tag`` lines.

    Returns:
        ``run[query_id][doc_id]`` = score.

    Raises:
        InputError: The file cannot be read, or a line is malformed; the message names the line.
    """
    run: Run = {}
    for number, line in _lines(path):
        try:
            query, _, document, _, score, _ = line.split()
            value = float(score)
            if math.isnan(value):
                raise ValueError
        except ValueError:
            raise _malformed(path, number, "query Q0 document rank score tag", line) from None
        _add(run.setdefault(query, {}), document, value, path, number)
    return run


def write_run(path: str | Path, run: Run, *, tag: str = "crossrank") -> None:
    """Write a run, each query's documents by descending score, ties in the order of the dict.

    Args:
        path: The file to write.
        run: ``run[query_id][doc_id]`` = score.
        tag: The run's name, in the last column.

    Raises:
        InputError: An id or the tag is empty or contains white space.
    """
    _check_ids([tag], "tag")
    _write(
        path,
        (
            f"{query} Q0 {document} {rank} {float(score)!r} {tag}"
            for query, scores in _checked(run)
            for rank, (document, score) in enumerate(
                sorted(scores.items(), key=lambda item: -item[1]), start=1
            )
        ),
    )


def read_qrels(path: str | Path) -> Qrels:
    """Read judgements in trec_eval's or BEIR's layout.

    Args:
        path: A file of ``query 0 document grade`` lines, or of ``query document grade`` lines
            below the header ``query-id corpus-id score``.

    Returns:
        ``qrels[query_id][doc_id]`` = grade.

    Raises:
        InputError: The file cannot be read, or a line is malformed; the message names the line.
    """
    qrels: Qrels = {}
    beir = False
    for number, line in _lines(path):
        fields = line.split()
        if number == 1 and fields == _BEIR_HEADER:
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
        _add(qrels.setdefault(query, {}), document, grade, path, number)
    return qrels


def write_qrels(path: str | Path, qrels: Qrels) -> None:
    """Write judgements in trec_eval's layout.

    Args:
        path: The file to write.
        qrels: ``qrels[query_id][doc_id]`` = grade.

    Raises:
        InputError: An id is empty or contains white space.
    """
    _write(
        path,
        (
            f"{query} 0 {document} {grade}"
            for query, grades in _checked(qrels)
            for document, grade in grades.items()
        ),
    )


def read_texts(path: str | Path) -> dict[str, str]:
    """Read queries or documents in BEIR's JSONL.

    Args:
        path: A file of ``{"_id": ..., "text": ...}`` lines; a ``title`` comes before the text.

    Returns:
        The text of each id, in the order of the file.

    Raises:
        InputError: The file cannot be read, or a line is malformed; the message names the line.
    """
    texts: dict[str, str] = {}
    for number, line in _lines(path):
        try:
            entry = json.loads(line)
            identifier, parts = entry["_id"], [entry.get("title") or "", entry["text"]]
            text = " ".join(part for part in parts if part)
        except (ValueError, KeyError, TypeError, AttributeError):
            layout = '{"_id": "...", "text": "..."}'
            raise _malformed(path, number, layout, line) from None
        _add(texts, str(identifier), text, path, number)
    return texts


def _lines(path: str | Path) -> Iterator[tuple[int, str]]:
    """The lines that are not blank, numbered from 1."""
    number = 0
    try:
        with Path(path).open("rb") as probe:
            compressed = probe.read(2) == _GZIP
        opener = gzip.open if compressed else open
        with opener(path, "rt", encoding="utf-8") as file:
            for number, line in enumerate(file, start=1):
                if not line.isspace():
                    yield number, line.rstrip("\n")
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read after line {number}: {error}") from error


def _write(path: str | Path, lines: Iterable[str]) -> None:
    content = "".join(f"{line}\n" for line in lines).encode()
    if Path(path).suffix == ".gz":
        content = gzip.compress(content, mtime=0)  # the same content gives the same file
    Path(path).write_bytes(content)


def _add(entries: dict[str, Value], key: str, value: Value, path: str | Path, number: int) -> None:
    if key in entries:
        raise InputError(f"{path}, line {number}: {key!r} was there before; each may occur once")
    entries[key] = value


def _malformed(path: str | Path, number: int, layout: str, line: str) -> InputError:
    return InputError(f"{path}, line {number}: a line must read {layout!r}, received {line[:80]!r}")


def _checked(table: dict[str, dict[str, Value]]) -> Iterator[tuple[str, dict[str, Value]]]:
    for query, entries in table.items():
        _check_ids([query, *entries], "id")
        yield query, entries


def _check_ids(names: Iterable[str], kind: str) -> None:
    for name in names:
        if len(name.split()) != 1 or name != name.strip():
            raise InputError(
                f"TREC files separate columns by white space: the {kind} must be one word, "
                f"received {name!r}"
            )
