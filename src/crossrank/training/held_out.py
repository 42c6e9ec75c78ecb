"""Evaluating on examples: queries that are held out of the training data, or a file of others."""

from collections.abc import Iterable, Mapping
from hashlib import blake2b
from itertools import chain, islice

from datasets import Dataset

from crossrank.errors import InputError
from crossrank.evaluation.evaluation_set import EvaluationSet
from crossrank.evaluation.evaluators import (
    ClassEvaluator,
    DataEvaluator,
    RankingEvaluator,
    SimilarityEvaluator,
)
from crossrank.training.columns import Examples, recognise
from crossrank.training.data_files import join_by_query
from crossrank.training.examples import Example

Lists = dict[str, dict[str, float]]
"""``lists[query][document]`` = label."""


def hold_out(
    datasets: Mapping[str, Dataset], *, share: float, most: int, seed: int
) -> tuple[dict[str, Dataset], list[Example]]:
    """Take some queries of the first dataset out of all of them.

    Which queries depends on their texts and the seed alone, not on their order. At least two are
    taken: where only positives are known, each is ranked among those of the others.

    Args:
        datasets: By name.
        share: Of the first one's queries.
        most: The largest number of queries, two or more.
        seed: Of the choice.

    Returns:
        What is left of each dataset, and the first one's examples of the queries.

    Raises:
        InputError: Nothing would be left, or a dataset's columns are not known.
    """
    queries = {name: _queries(name, dataset) for name, dataset in datasets.items()}
    first = next(iter(datasets))
    distinct = sorted(set(queries[first]), key=lambda query: _digest(f"{seed}\n{query}"))
    count = min(most, max(2, round(share * len(distinct))))
    if len(distinct) <= count:
        raise InputError(
            f"{first}: to hold {count} queries out, at least {count + 1} different ones are "
            f"required, received {len(distinct)}. Add queries, or name other data in "
            "evaluation.path."
        )
    chosen = set(distinct[:count])
    left = {
        name: dataset.select(
            [row for row, query in enumerate(queries[name]) if query not in chosen]
        )
        for name, dataset in datasets.items()
    }
    rows = [row for row, query in enumerate(queries[first]) if query in chosen]
    return left, list(Examples(datasets[first].select(rows), f"{first}, held out"))


def evaluator_of(
    examples: Iterable[Example],
    *,
    num_labels: int = 1,
    measures: Iterable[str] = ("nDCG@10", "RR@10", "AP"),
    depth: int = 50,
) -> DataEvaluator:
    """Choose how to measure on examples, by their labels.

    ====================================================  =====================================
    the model and the labels                              measured
    ====================================================  =====================================
    several labels: classes                               accuracy, F1
    whole numbers, two documents a query or more          the measures of rankings
    all the same, as where there are only positives       the same, each query's documents among
                                                          those of others
    0 and 1, one document a query                         accuracy, F1
    anything else: similarities, a teacher's scores       Spearman's and Pearson's correlation
    ====================================================  =====================================

    Args:
        examples: Rows of one query may be apart: they are joined.
        num_labels: Width of the model's head.
        measures: Of rankings.
        depth: Most documents of a ranking.
    """
    lists: Lists = {
        joined.query: dict(zip(joined.documents, joined.labels, strict=True))
        for joined in join_by_query(examples)
    }
    pairs = [(query, document) for query, documents in lists.items() for document in documents]
    labels = [label for documents in lists.values() for label in documents.values()]
    values = set(labels)
    if num_labels > 1:
        return ClassEvaluator(pairs, labels)
    if len(values) == 1:
        task = _task(_among_others(lists, depth), depth)
        if not task.queries:
            raise InputError(
                f"Where all labels are {labels[0]:g}, a query's documents are ranked among those "
                f"of others, and the queries to measure on, {len(lists)}, all have the same. Hold "
                "more queries out, with evaluation.held_out, or name other data in evaluation.path."
            )
        return RankingEvaluator(task, tuple(measures))
    if not all(label == int(label) and label >= 0 for label in values):
        return SimilarityEvaluator(pairs, labels)
    if len(labels) >= 2 * len(lists):
        return RankingEvaluator(_task(lists, depth), tuple(measures))
    return (ClassEvaluator if values == {0, 1} else SimilarityEvaluator)(pairs, labels)


def _queries(name: str, dataset: Dataset) -> list[str]:
    column = recognise(dataset.features, name).query
    return list(dataset.with_format(None)[column])


def _among_others(lists: Lists, depth: int) -> Lists:
    """Fill each query's list with documents of the queries that follow, labelled 0."""
    queries = list(lists)
    filled: Lists = {}
    for place, query in enumerate(queries):
        others = chain(queries[place + 1 :], queries[:place])
        texts = (text for other in others for text in lists[other] if text not in lists[query])
        added = islice(texts, max(1, depth - len(lists[query])))
        filled[query] = dict.fromkeys(lists[query], 1.0) | dict.fromkeys(added, 0.0)
    return filled


def _task(lists: Lists, depth: int) -> EvaluationSet:
    """Make a reranking task.

    Queries whose documents are all alike say nothing and are left out; of a list that is too long,
    the best documents stay.
    """
    lists = {query: found for query, found in lists.items() if len(set(found.values())) > 1}
    names = {query: str(number) for number, query in enumerate(lists, 1)}
    kept = {
        query: dict(sorted(documents.items(), key=lambda entry: -entry[1])[:depth])
        for query, documents in lists.items()
    }
    # Ids that say nothing: measures order equal scores by them.
    ids = {text: _digest(text) for documents in kept.values() for text in documents}
    return EvaluationSet(
        queries={name: query for query, name in names.items()},
        documents={name: text for text, name in ids.items()},
        qrels={
            names[query]: {ids[text]: int(label) for text, label in documents.items()}
            for query, documents in kept.items()
        },
        candidates={
            names[query]: dict.fromkeys((ids[text] for text in documents), 0.0)
            for query, documents in kept.items()
        },
    )


def _digest(text: str) -> str:
    return blake2b(text.encode("utf-8"), digest_size=8).hexdigest()
