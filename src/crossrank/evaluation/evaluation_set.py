"""What an export is judged on: queries with candidates and judgements."""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

from crossrank.errors import InputError
from crossrank.evaluation.trec import read_qrels, read_run, read_texts
from crossrank.types import Pair, Qrels, Run


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
            InputError: A file is missing or malformed.
        """
        home = Path(folder)
        qrels = _first(home, "qrels.txt", "qrels/test.tsv")
        run = read_run(_first(home, "runs/bm25.txt", "run.txt"))
        best = {
            query: dict(sorted(scores.items(), key=lambda item: -item[1])[:depth])
            for query, scores in run.items()
        }
        queries = read_texts(home / "queries.jsonl")
        documents = read_texts(home / "corpus.jsonl")
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


def _first(home: Path, *names: str) -> Path:
    for name in names:
        if (home / name).is_file():
            return home / name
    raise InputError(f"One of {', '.join(names)} is required in {home}, and there is none.")
