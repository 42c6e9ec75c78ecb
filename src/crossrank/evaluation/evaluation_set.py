"""A reranking task: queries with candidates and judgements."""

from collections.abc import Callable, Container, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from crossrank.errors import InputError
from crossrank.evaluation.coverage import Coverage, coverage
from crossrank.evaluation.runs import best_candidates
from crossrank.evaluation.trec import (
    read_qrels,
    read_run,
    read_texts,
    write_qrels,
    write_run,
    write_texts,
)
from crossrank.types import Pair, Qrels, Run

RUNS = ("runs/bm25.txt", "run.txt")
"""Where a folder has its first stage's run."""

Search = Callable[[dict[str, str], dict[str, str], int], Run]
"""A first stage: finds the best ``depth`` documents for queries, both given as texts by id."""


@dataclass(frozen=True)
class EvaluationSet:
    """A reranking task.

    Attributes:
        queries: Texts by query id.
        documents: Texts by document id.
        qrels: Judgements.
        candidates: The first stage's run: which documents to rerank for each query.
        coverage: What files that were read did not have in common, at their full depth.
    """

    queries: dict[str, str]
    documents: dict[str, str]
    qrels: Qrels
    candidates: Run
    coverage: Coverage | None = None

    @classmethod
    def read(
        cls,
        folder: str | Path,
        *,
        depth: int = 50,
        run: str | Path | None = None,
        split: str | None = None,
        search: Search | None = None,
    ) -> Self:
        """Read a folder in BEIR's layout.

        Args:
            folder: Holds ``queries.jsonl``, ``corpus.jsonl``, ``qrels.txt`` or
                ``qrels/test.tsv``, and a run, ``runs/bm25.txt`` or ``run.txt``; each may end in
                ``.gz``.
            depth: As for ``read_files``.
            run: A run to take instead of the folder's own.
            split: Whose judgements to take, ``qrels/SPLIT.tsv``.
            search: Makes a run where there is none.

        Raises:
            InputError: As by ``read_files``; or a file is missing.

        Example:
            >>> import tempfile
            >>> folder = tempfile.mkdtemp()
            >>> task = EvaluationSet({"q": "a"}, {"d": "b"}, {"q": {"d": 1}}, {"q": {"d": 0.5}})
            >>> task.write(folder)
            >>> EvaluationSet.read(folder, split="test").pairs()
            [('a', 'b')]
        """
        home = Path(folder)
        if not home.is_dir():
            raise InputError(f"A collection is a folder, and {folder} is none.")
        return cls.read_files(
            _first(home, "queries.jsonl"),
            _first(home, "corpus.jsonl"),
            _judgements(home, split),
            run or (find_file(home, RUNS) if search else _first(home, *RUNS)),
            depth=depth,
            search=search,
        )

    @classmethod
    def read_files(
        cls,
        queries: str | Path,
        documents: str | Path,
        qrels: str | Path,
        run: str | Path | None,
        *,
        depth: int = 50,
        search: Search | None = None,
    ) -> Self:
        """Read files of any kind that ``crossrank.evaluation.trec`` knows.

        Queries without judgements get no candidates: nothing can be measured on them. What else
        the files do not have in common is counted in ``coverage``.

        Args:
            queries: Texts of the queries.
            documents: Texts of the documents.
            qrels: Judgements.
            run: The first stage's run, or ``None``.
            depth: How many candidates a query has at most.
            search: Makes a run where there is none.

        Raises:
            InputError: A file cannot be read or is malformed; there is no judgement; the run has no
                judged query; a candidate, or its query, has no text.
        """
        judged, texts = read_qrels(qrels), (read_texts(queries), read_texts(documents))
        if not any(judged.values()):
            raise InputError(f"{qrels}: at least one judgement is required, and there is none.")
        if run is not None:
            found = read_run(run)
        elif search is not None:
            known = {query: texts[0][query] for query in judged if query in texts[0]}
            found = search(known, texts[1], depth)
        else:
            raise InputError("A first stage's run, or a search to make one, is required.")
        best = best_candidates({query: found[query] for query in found if query in judged}, depth)
        place = "The first stage" if run is None else str(run)
        if not any(best.values()):
            raise InputError(
                f"{place}: a document for one of the {len(judged)} judged queries is required; "
                f"none of its {len(found)} queries is one of these."
            )
        check_ids(best, *texts, place, files=(queries, documents))
        return cls(*texts, judged, best, coverage(found, judged, *texts))

    def write(self, folder: str | Path) -> None:
        """Write a folder in BEIR's layout, with the candidates in ``run.txt``.

        Args:
            folder: Where to write ``queries.jsonl``, ``corpus.jsonl``, ``qrels/test.tsv`` and
                ``run.txt``. Files of these names are replaced.

        Raises:
            InputError: An id has white space in it.
        """
        home = Path(folder)
        (home / "qrels").mkdir(parents=True, exist_ok=True)
        write_texts(home / "queries.jsonl", self.queries)
        write_texts(home / "corpus.jsonl", self.documents)
        write_qrels(home / "qrels/test.tsv", self.qrels)
        write_run(home / RUNS[-1], self.candidates)

    def without_misses(self) -> Self:
        """Leave out what the first stage did not find: only its candidates stay judged.

        Queries without a relevant candidate are left out of the judgements. Measured on what is
        left, a perfect reranker reaches 1; but a first stage that finds less makes it easier.

        Example:
            >>> texts = {"a": "one", "b": "two"}
            >>> task = EvaluationSet({"q": "?"}, texts, {"q": {"a": 1, "b": 1}}, {"q": {"a": 0.5}})
            >>> task.without_misses().qrels
            {'q': {'a': 1}}
        """
        found = {
            query: {d: grade for d, grade in grades.items() if d in self.candidates.get(query, ())}
            for query, grades in self.qrels.items()
        }
        return replace(
            self,
            qrels={
                query: grades
                for query, grades in found.items()
                if max(grades.values(), default=0) > 0
            },
        )

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
    """Give the first of these files that a folder has, as it is or with ``.gz`` after its name."""
    files = (folder / f"{name}{ending}" for name in names for ending in ("", ".gz"))
    return next((file for file in files if file.is_file()), None)


def check_ids(
    table: Qrels | Run,
    queries: Container[str],
    documents: Container[str],
    path: str | Path,
    *,
    files: tuple[str | Path, str | Path] = ("queries.jsonl", "corpus.jsonl"),
) -> None:
    """See that judgements or a run name nothing that has no text.

    Args:
        table: By query id and document id.
        queries: Ids of the queries.
        documents: Ids of the documents.
        path: Where the table was read from.
        files: Where queries and documents were read from.

    Raises:
        InputError: An id is unknown.
    """
    for query, entries in table.items():
        if query not in queries:
            raise InputError(f"{path}: the query {query!r} is not in {Path(files[0]).name}.")
        for document in entries:
            if document not in documents:
                raise InputError(
                    f"{path}: the document {document!r} is not in {Path(files[1]).name}."
                )


def _judgements(home: Path, split: str | None) -> Path:
    if split is None:
        return _first(home, "qrels.txt", "qrels/test.tsv")
    found = find_file(home, [f"qrels/{split}.tsv"])
    if found is None:
        names = ", ".join(sorted(file.name for file in home.glob("qrels/*"))) or "none"
        raise InputError(f"{home}: qrels/{split}.tsv is required; in qrels there are {names}.")
    return found


def _first(home: Path, *names: str) -> Path:
    found = find_file(home, names)
    if found is None:
        raise InputError(f"{' or '.join(names)} is required in {home}, which has none.")
    return found
