"""From pairs to lists: each query with the passage it belongs to and others that look like it."""

import json
import random
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import scipy.sparse as sp
from corpus import LICENCES
from teacher import Teacher

HARD, RANDOM = 5, 2  # documents beside the positive: BM25's best, and any of the same source
FOUND = 12  # BM25's best that the hard ones are drawn from
LARGEST = 0.12  # share of the passages that one source may have
K1, B = 1.2, 0.75
NOISE = re.compile(r"^(what is|what does|define|meaning of) | (definition|mean)$|\W")


def make_lists(pairs: Path, target: Path, teacher: Teacher, passages: int, queries: int) -> None:
    """Write ``query, documents, labels, teacher_scores`` a line, sources mixed.

    ``used.json`` beside it says how many lists are of each source.

    Args:
        pairs: What ``corpus.collect`` wrote.
        target: A JSONL file.
        teacher: Scores every list.
        passages: How many passages there are to choose documents from.
        queries: How many lists to write.
    """
    chance = random.Random(0)
    lists = [
        (source, entry)
        for source, found in sampled(pairs, passages, chance)
        for entry in hard_lists(found, chance)
    ]
    chance.shuffle(lists)
    del lists[queries:]
    used = Counter(source for source, _ in lists)
    (target.parent / "used.json").write_text(json.dumps(used, indent=2) + "\n")
    with target.open("w") as file:
        for (query, documents), scores in teacher.score([entry for _, entry in lists]):
            labels = [1] + [0] * (len(documents) - 1)
            entry = {"query": query, "documents": documents, "labels": labels}
            entry["teacher_scores"] = [round(score, 4) for score in scores]
            file.write(json.dumps(entry, ensure_ascii=False) + "\n")


def sampled(
    pairs: Path, passages: int, chance: random.Random
) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """Yield each source with a sample of its pairs; large ones do not drown the others."""
    sources: dict[str, list[tuple[str, str]]] = {name: [] for name in LICENCES}
    for line in pairs.open():
        entry = json.loads(line)
        sources[entry["source"]].append((entry["query"], entry["positive"]))
    weights = {name: len(found) ** 0.7 for name, found in sources.items()}
    for name, found in sources.items():
        share = min(weights[name] / sum(weights.values()), LARGEST)
        if found:
            yield name, chance.sample(found, min(len(found), 1 + int(passages * share)))


def hard_lists(
    pairs: Sequence[tuple[str, str]], chance: random.Random
) -> Iterator[tuple[str, list[str]]]:
    """Yield each query with its passage first, then hard and random ones of the same source."""
    documents = list(dict.fromkeys(passage for _, passage in pairs))
    answers: dict[str, set[str]] = defaultdict(set)  # one term can have several meanings
    for query, passage in pairs:
        answers[subject(query)].add(passage)
    found = best([query for query, _ in pairs], documents)
    for (query, passage), row in zip(pairs, found, strict=True):
        others = [documents[i] for i in row if documents[i] not in answers[subject(query)]]
        hard = chance.sample(others, min(HARD, len(others)))
        drawn = chance.sample(documents, min(RANDOM, len(documents)))
        easy = [d for d in drawn if d not in answers[subject(query)] and d not in hard]
        if hard:
            yield query, [passage, *hard, *easy]


def trios(pairs: Sequence[tuple[str, str]], chance: random.Random) -> Iterator[tuple[str, str]]:
    """Yield each query with its passage, with a near one and with another."""
    for query, documents in hard_lists(pairs, chance):
        for document in dict.fromkeys((documents[0], documents[1], documents[-1])):
            yield query, document


def subject(query: str) -> str:
    """Strip a query to what it asks about."""
    return NOISE.sub("", NOISE.sub("", query.lower()))


def best(
    queries: Sequence[str], documents: Sequence[str], count: int = FOUND
) -> Iterator[list[int]]:
    """Find BM25's best documents for each query; thousands of queries a second.

    One sparse product for many queries: ``crossrank.retrieval`` answers one query at a time.
    """
    counts = [Counter(words(document)) for document in documents]
    frequency = Counter(word for count in counts for word in count)
    common = max(50, 0.05 * len(documents))  # a word in more documents than this says nothing
    vocabulary = {w: i for i, w in enumerate(w for w, n in frequency.items() if n <= common)}
    lengths = np.array([count.total() for count in counts])
    norms = K1 * (1 - B + B * lengths / max(lengths.mean(), 1))
    rows = [
        (vocabulary[w], i, weight(n, norms[i], frequency[w], len(documents)))
        for i, count in enumerate(counts)
        for w, n in count.items()
        if w in vocabulary
    ]
    index = matrix(rows, (len(vocabulary), len(documents)))
    for start in range(0, len(queries), 1024):
        block = queries[start : start + 1024]
        asked = [
            (i, vocabulary[w], 1.0)
            for i, query in enumerate(block)
            for w in set(words(query))
            if w in vocabulary
        ]
        scores = matrix(asked, (len(block), len(vocabulary))) @ index
        for i in range(len(block)):
            row = scores[[i]]
            yield row.indices[np.argsort(-row.data, kind="stable")[:count]].tolist()


def words(text: str) -> list[str]:
    """Split a text into lower-case words."""
    return re.findall(r"\w+", text.lower())


def weight(count: int, norm: float, frequency: int, documents: int) -> float:
    """Weigh a word of a document as BM25 does."""
    rarity = np.log(1 + (documents - frequency + 0.5) / (frequency + 0.5))
    return float(rarity * count / (count + norm))


def matrix(cells: list[tuple[int, int, float]], shape: tuple[int, int]) -> sp.csr_matrix:
    """Make a sparse matrix of (row, column, value)."""
    rows, columns, values = zip(*cells, strict=True) if cells else ((), (), ())
    return sp.csr_matrix((np.array(values, np.float32), (rows, columns)), shape)
