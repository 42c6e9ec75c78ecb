"""Collections that commands measure on: read, given a first stage, and scored."""

import time
from pathlib import Path
from typing import TYPE_CHECKING

from crossrank.cli.reporting import say
from crossrank.errors import InputError

if TYPE_CHECKING:
    from crossrank.cross_encoder import CrossEncoder
    from crossrank.evaluation.evaluation_set import EvaluationSet
    from crossrank.types import Pair, Run


def open_collection(
    folder: Path, depth: int = 100, first_stage: Path | None = None
) -> "EvaluationSet":
    """Read a collection; where it has no first stage's run, search its documents with BM25.

    Queries without judgements get no candidates: nothing can be measured on them.

    Args:
        folder: In BEIR's layout, as ``EvaluationSet.read`` takes it; files may end in ``.gz``.
        depth: How many candidates a query has at most.
        first_stage: A run to take instead of the folder's own.

    Raises:
        InputError: A file is missing or malformed, or names a text that there is not.
        MissingDependencyError: BM25 is needed, and bm25s is not installed.
    """
    from crossrank.evaluation.evaluation_set import EvaluationSet

    def search(queries: dict[str, str], documents: dict[str, str], depth: int) -> "Run":
        say(f"{folder} has no run: BM25 searches {len(documents):,} documents ...")
        return _search(queries, documents, depth)

    task = EvaluationSet.read(folder, depth=depth, run=first_stage, search=search)
    if task.coverage is not None and (unjudged := task.coverage.unjudged_queries):
        say(f"Note: {unjudged:,} queries of the run have no judgements and are left out.")
    return task


def score_collection(
    model: "CrossEncoder", task: "EvaluationSet", *, show_progress: bool | None = None
) -> "tuple[Run, float, int]":
    """Score every query with each of its candidates.

    Args:
        model: A model with one label.
        task: What to score.
        show_progress: By default a bar is shown on a terminal when the work takes long.

    Returns:
        A run of logits, the seconds it took, and how many pairs were longer than the model reads.

    Raises:
        InputError: The model has several labels.
        InvalidScoreError: The model answered NaN or infinity.
    """
    logits, seconds, truncated = score_pairs(model, task.pairs(), show_progress=show_progress)
    return task.run(logits), seconds, truncated


def score_pairs(
    model: "CrossEncoder", pairs: "list[Pair]", *, show_progress: bool | None = None
) -> tuple[list[float], float, int]:
    """Compute the logits of pairs; otherwise as ``score_collection``."""
    from crossrank.progress import progress_bar
    from crossrank.scoring import Options

    if model.num_labels != 1:
        raise InputError(
            f"A model with one label is required, and {model.spec.name} has {model.num_labels}."
        )
    options = Options(model.prompt_text(), count_truncated=True)
    logits: list[float] = []
    truncated = 0
    start = time.perf_counter()
    with progress_bar(len(pairs), show=show_progress) as progress:
        # The engine itself, not predict: it says what was cut.
        for scored in model.scorer().run(pairs, options, progress):
            logits += scored.logits[:, 0].tolist()
            truncated += sum(tokens > 0 for tokens in scored.truncated)
    return logits, time.perf_counter() - start, truncated


def _search(queries: dict[str, str], documents: dict[str, str], depth: int) -> "Run":
    from crossrank.retrieval.bm25 import BM25

    ids, index = list(documents), BM25(list(documents.values()))
    hits = index.search_many(list(queries.values()), depth)
    return {
        query: {ids[position]: score for position, score in found}
        for query, found in zip(queries, hits, strict=True)
    }
