"""What an export is judged on: queries with candidates and judgements."""

from collections.abc import Container, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from crossrank.errors import InputError
from crossrank.evaluation.trec import read_qrels, read_run, read_texts
from crossrank.types import Pair, Qrels, Run

RUNS = ("runs/bm25.txt", "run.txt")
"""Where a folder has its first stage's run."""


@dataclass(frozen=True)
class EvaluationSet:
    """A reranking task.

    Attributes:
        queries: Texts by query id.
        documents: Texts by document id.
        qrels: Judgements.
        candidates: The first stage's run: which documents to rerank for each query.
    """

    queries: dict[str, str]
    documents: dict[str, str]
    qrels: Qrels
    candidates: Run

    @classmethod
    def read(cls, folder: str | Path, *, depth: int = 50) -> Self:
        """Read a folder in BEIR's layout with a first-stage run beside it.

        Args:
            folder: Holds ``queries.jsonl``, ``corpus.jsonl``, ``qrels.txt`` (or
                ``qrels/test.tsv``) and one run, ``runs/bm25.txt`` or ``run.txt``.
            depth: How many candidates a query has at most.

        Raises:
            InputError: A file is missing or malformed, or names a text that there is not.
        """
        home = Path(folder)
        qrels = _first(home, "qrels.txt", "qrels/test.tsv")
        ranked = _first(home, *RUNS)
        run = read_run(ranked)
        best = {
            query: dict(sorted(scores.items(), key=lambda item: -item[1])[:depth])
            for query, scores in run.items()
        }
        queries = read_texts(home / "queries.jsonl")
        documents = read_texts(home / "corpus.jsonl")
        check_ids(best, queries, documents, ranked)
        return cls(queries, documents, read_qrels(qrels), best)

    def pairs(self) -> list[Pair]:
        """All pairs to score, query by query."""
        return [
            (self.queries[query], self.documents[document])
            for query, scores in self.candidates.items()
            for document in scores
        ]

    def run(self, logits: list[float]) -> Run:
        """Make a run of the logits of ``pairs()``."""
        remaining = iter(logits)
        return {
            query: {document: next(remaining) for document in scores}
            for query, scores in self.candidates.items()
        }


def find_file(folder: Path, names: Iterable[str]) -> Path | None:
    """Give the first of these files that a folder has."""
    return next((folder / name for name in names if (folder / name).is_file()), None)


def check_ids(
    table: Qrels | Run, queries: Container[str], documents: Container[str], path: Path
) -> None:
    """See that judgements or a run name nothing that has no text.

    Args:
        table: By query id and document id.
        queries: Ids of the queries.
        documents: Ids of the documents.
        path: Where the table was read from.

    Raises:
        InputError: An id is unknown.
    """
    for query, entries in table.items():
        if query not in queries:
            raise InputError(f"{path}: the query {query!r} is not in queries.jsonl.")
        for document in entries:
            if document not in documents:
                raise InputError(f"{path}: the document {document!r} is not in corpus.jsonl.")


def _first(home: Path, *names: str) -> Path:
    found = find_file(home, names)
    if found is None:
        raise InputError(f"One of {', '.join(names)} is required in {home}, and there is none.")
    return found
