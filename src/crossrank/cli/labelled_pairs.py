"""Pairs with judgements, of a collection's candidates or of a file."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crossrank.cli.collections import open_collection
from crossrank.cli.reporting import say
from crossrank.errors import InputError
from crossrank.types import Pair

if TYPE_CHECKING:
    from crossrank.evaluation.judged_pairs import JudgedPairs
    from crossrank.evaluation.tables import Records


@dataclass(frozen=True)
class LabelledPairs:
    """Pairs and whether they are relevant.

    Attributes:
        pairs: Queries and documents.
        relevant: Of each pair.
    """

    pairs: list[Pair]
    relevant: list[bool]

    def queries(self) -> dict[str, int]:
        """Number the queries; those that differ in case or white space only are one."""
        return {
            key: number
            for number, key in enumerate(dict.fromkeys(query_key(query) for query, _ in self.pairs))
        }

    def judged(self, logits: list[float]) -> "JudgedPairs":
        """Join the pairs' logits to them.

        Raises:
            InputError: Nothing can be fitted to such pairs.
        """
        from crossrank.evaluation.judged_pairs import JudgedPairs

        numbers = self.queries()
        queries = [numbers[query_key(query)] for query, _ in self.pairs]
        return JudgedPairs.of(logits, self.relevant, queries)

    def check_apart(self, other: "LabelledPairs") -> None:
        """See that no query is in both.

        Raises:
            InputError: One is.
        """
        theirs = other.queries()
        shared = [key for key in self.queries() if key in theirs]
        if shared:
            raise InputError(
                "Queries to judge on must be others than those to fit on, and "
                f"{len(shared):,} are in both, e.g. {shared[0][:80]!r}. Leave --judge-on out to "
                "divide the queries of one file or collection."
            )


def query_key(text: str) -> str:
    """What is the same for queries that differ in case or white space only.

    Example:
        >>> query_key(" Who  won?")
        'who won?'
    """
    return " ".join(text.casefold().split())


def read_collection(
    folder: Path, *, depth: int, relevant_from: float, judged_only: bool
) -> LabelledPairs:
    """Take the candidates of a collection; those without a judgement count as not relevant.

    Args:
        folder: As ``open_collection`` takes it.
        depth: How many candidates a query has at most.
        relevant_from: The least grade of relevant documents.
        judged_only: Leave candidates without a judgement out.

    Raises:
        InputError: A file is missing or malformed.
    """
    task = open_collection(folder, depth)
    grades = [
        (query, document, task.qrels[query].get(document))
        for query, scores in task.candidates.items()
        for document in scores
    ]
    if unjudged := sum(grade is None for _, _, grade in grades):
        fate = "are left out" if judged_only else "count as not relevant"
        say(
            f"Note: {unjudged:,} of the {len(grades):,} candidates of {folder} are not judged and "
            f"{fate}."
        )
    taken = [entry for entry in grades if entry[2] is not None or not judged_only]
    return LabelledPairs(
        [(task.queries[query], task.documents[document]) for query, document, _ in taken],
        [(grade or 0) >= relevant_from for _, _, grade in taken],
    )


def read_file(path: Path, columns: tuple[str, str, str], relevant_from: float) -> LabelledPairs:
    """Read a file of pairs with labels.

    Args:
        path: JSONL, CSV, TSV (each also with .gz) or Parquet.
        columns: Names of query, document and label.
        relevant_from: The least label of relevant documents.

    Raises:
        InputError: A row is malformed; the message names file and line.
        MissingDependencyError: The file is Parquet, and pyarrow is not installed.
    """
    found = LabelledPairs([], [])
    for place, (query, document, label) in _records(path, columns):
        for name, text in zip(columns, (query, document), strict=False):
            if not isinstance(text, str):
                raise InputError(
                    f"{path}, {place}: a text is required as {name!r}, received {text!r:.60}."
                )
        found.pairs.append((query, document))
        found.relevant.append(_number(label, f"{path}, {place}", columns[2]) >= relevant_from)
    return found


def _records(path: Path, columns: tuple[str, str, str]) -> "Records":
    from crossrank.evaluation.tables import is_table, read_table
    from crossrank.text_files import read_csv, read_tsv, stem_suffix

    readers = {".csv": read_csv, ".tsv": read_tsv}
    if is_table(path):
        return read_table(path, columns)
    if stem_suffix(path) in readers:
        return _chosen(path, readers[stem_suffix(path)](path), columns)
    raise InputError(
        "A folder, or a file that ends in .jsonl, .csv, .tsv (each may be followed by .gz) or "
        f".parquet, is required, received {str(path)!r}."
    )


def _chosen(
    path: Path, rows: Iterator[tuple[int, list[str]]], columns: tuple[str, str, str]
) -> "Records":
    _, header = next(rows, (1, []))
    if missing := [name for name in columns if name not in header]:
        raise InputError(
            f"{path}, line 1: a column {missing[0]!r} is required; there are "
            f"{', '.join(map(repr, header)) or 'none'}."
        )
    places = [header.index(name) for name in columns]
    return ((f"line {number}", [values[place] for place in places]) for number, values in rows)


def _number(value: Any, where: str, column: str) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise InputError(f"{where}: a finite number is required as {column!r}, received {value!r}.")
    return number
