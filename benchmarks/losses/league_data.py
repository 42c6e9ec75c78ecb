"""Questions with sentences that do or do not answer them, from ``CROSSRANK_DATA``."""

import csv
import random
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from crossrank.evaluation.evaluation_set import EvaluationSet

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from data import data_folder

LONGEST, MOST_POSITIVES = 8, 4
"""Documents a training list has at most, and how many of them are positive."""


class Question(NamedTuple):
    """A question with its sentences, labelled 1 where they answer it."""

    text: str
    documents: list[str]
    labels: list[int]


def training_lists(count: int, seed: int = 0) -> list[Question]:
    """Draw lists from the training questions of WikiQA and TrecQA that have an answer."""
    draw = random.Random(seed)
    questions = [*answered("wikiqa-train.tsv"), *answered("trecqa-train.csv")]
    return [_shortened(question, draw) for question in draw.sample(questions, count)]


def test_set() -> EvaluationSet:
    """All sentences of WikiQA's test questions that have an answer."""
    test = EvaluationSet({}, {}, {}, {})
    for number, question in enumerate(answered("wikiqa-test.tsv")):
        query = str(number)
        ids = [f"{query}-{place}" for place in range(len(question.documents))]
        test.queries[query] = question.text
        test.documents.update(zip(ids, question.documents, strict=True))
        test.qrels[query] = dict(zip(ids, question.labels, strict=True))
        test.candidates[query] = dict.fromkeys(ids, 0.0)
    return test


def answered(name: str) -> Iterator[Question]:
    """Yield the questions of a file that have both an answer and a sentence that is none."""
    questions: dict[str, Question] = {}
    for text, document, label in _rows(data_folder() / "answer-selection" / name):
        question = questions.setdefault(text, Question(text, [], []))
        question.documents.append(document)
        question.labels.append(label)
    return (question for question in questions.values() if len(set(question.labels)) == 2)


def _rows(path: Path) -> Iterator[tuple[str, str, int]]:
    with path.open(encoding="utf-8", newline="") as lines:
        if path.suffix == ".csv":
            for row in csv.DictReader(lines):
                yield row["qtext"], row["atext"], int(row["label"])
        else:
            for text, document, label in csv.reader(lines, delimiter="\t", quoting=csv.QUOTE_NONE):
                yield text, document, int(label)


def _shortened(question: Question, draw: random.Random) -> Question:
    """Draw so many documents that a list is no longer than ``LONGEST``, in any order."""
    places = draw.sample(range(len(question.labels)), len(question.labels))
    positives = [place for place in places if question.labels[place]][:MOST_POSITIVES]
    negatives = [place for place in places if not question.labels[place]]
    kept = [*positives, *negatives[: LONGEST - len(positives)]]
    draw.shuffle(kept)
    return Question(
        question.text,
        [question.documents[place] for place in kept],
        [question.labels[place] for place in kept],
    )
