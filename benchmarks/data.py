"""The pairs that are scored, from the labelled data in ``CROSSRANK_DATA``."""

import json
import os
import sys
from itertools import islice, pairwise
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tokenizers import Tokenizer

Pair = tuple[str, str]


def first_stage_pairs(collection: str, count: int, depth: int = 100) -> list[Pair]:
    """Pair each query with its top documents in the BM25 run.

    Args:
        collection: ``"dl19"`` to measure; ``"dl21"`` to calibrate and scale.
        count: How many pairs.
        depth: Documents a query.
    """
    folder = data_folder() / "trec-dl" / collection
    queries, documents = _texts(folder / "queries.jsonl"), _texts(folder / "corpus.jsonl")
    pairs = []
    for line in (folder / "runs" / "bm25.txt").read_text(encoding="utf-8").splitlines():
        query, _, document, rank, *_ = line.split()
        if int(rank) <= depth:
            pairs.append((queries[query], documents[document]))
    return list(islice(pairs, count))


def documents_of(collection: str) -> list[str]:
    """All documents of a collection."""
    return list(_texts(data_folder() / "trec-dl" / collection / "corpus.jsonl").values())


def documents_of_length(tokenizer: "Tokenizer", tokens: int, count: int) -> list[str]:
    """Cut the documents of ``dl19``, one after the other, into texts of the same length.

    Args:
        tokenizer: Counts the tokens; it must cut nothing off.
        tokens: How many a text has.
        count: How many texts.
    """
    texts: list[str] = []
    waiting = ""
    for document in documents_of("dl19"):
        waiting += f"{document} "
        offsets = tokenizer.encode(waiting, add_special_tokens=False).offsets
        ends = [0, *(end for _, end in offsets[tokens - 1 :: tokens])]
        texts += [waiting[start:end].strip() for start, end in pairwise(ends)]
        waiting = waiting[ends[-1] :]
        if len(texts) >= count:
            break
    return texts[:count]


def _texts(path: Path) -> dict[str, str]:
    with path.open(encoding="utf-8") as lines:
        rows = map(json.loads, lines)
        return {row["_id"]: row["text"] for row in rows}


def data_folder() -> Path:
    """Name the folder of labelled data; without one the process ends with a message."""
    value = os.environ.get("CROSSRANK_DATA")
    if not value:
        sys.exit("CROSSRANK_DATA must name the folder of labelled data (it holds trec-dl/).")
    return Path(value)
