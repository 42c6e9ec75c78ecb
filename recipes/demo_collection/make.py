"""Make the demo's collection: XQuAD English, cut into sentences.

    python recipes/demo_collection/make.py xquad.en.json src/crossrank/demo/xquad-en-sentences

``xquad.en.json`` is https://github.com/google-deepmind/xquad/blob/master/xquad.en.json. The same
input gives the same files, byte for byte. A sentence is a document; it is relevant for a question
when it holds the answer, or part of it.
"""

import argparse
import gzip
import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from crossrank.demo import load
from crossrank.evaluation.measures import measure
from crossrank.evaluation.trec import write_qrels
from crossrank.retrieval.bm25 import BM25

# White space after the end of a sentence, maybe quoted, and before a capital, maybe quoted.
BORDER = re.compile(r"""(?<=[.!?])["”)]?\s+(?=[A-Z"“(])""")


def sentences(text: str) -> Iterator[tuple[int, int]]:
    """Start and end character of each sentence."""
    start = 0
    for border in BORDER.finditer(text):
        end = border.start() + len(border.group().rstrip())
        yield start, end
        start = border.end()
    yield start, len(text.rstrip())


def write_texts(path: Path, texts: Iterable[tuple[str, str]]) -> None:
    lines = (
        json.dumps({"_id": identifier, "text": text}, ensure_ascii=False)
        for identifier, text in texts
    )
    path.write_bytes(gzip.compress("".join(f"{line}\n" for line in lines).encode(), mtime=0))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", type=Path)
    parser.add_argument("target", type=Path)
    arguments = parser.parse_args()

    documents: list[tuple[str, str]] = []
    queries: list[tuple[str, str]] = []
    qrels: dict[str, dict[str, int]] = {}
    for article in json.loads(arguments.source.read_text(encoding="utf-8"))["data"]:
        for paragraph in article["paragraphs"]:
            text, first = paragraph["context"], len(documents)
            spans = list(sentences(text))
            documents += [
                (f"s{number}", " ".join(text[start:end].split()))
                for number, (start, end) in enumerate(spans, start=first)
            ]
            for question in paragraph["qas"]:
                queries.append((question["id"], question["question"].strip()))
                (answer,) = question["answers"]
                begin = answer["answer_start"]
                qrels[question["id"]] = {
                    f"s{number}": 1
                    for number, (start, end) in enumerate(spans, start=first)
                    if start < begin + len(answer["text"]) and begin < end
                }

    write_texts(arguments.target / "corpus.jsonl.gz", documents)
    write_texts(arguments.target / "queries.jsonl.gz", queries)
    write_qrels(arguments.target / "qrels.txt.gz", qrels)
    report()


def report() -> None:
    """What BM25 alone reaches."""
    documents, queries, qrels = load()
    ids, index = list(documents), BM25(list(documents.values()))
    run = {
        query: {ids[position]: score for position, score in index.search(text, 1000)}
        for query, text in queries.items()
    }
    values = measure(run, qrels, ["RR", "RR@10", "nDCG@10"])
    print(f"{len(documents)} documents, {len(queries)} queries; BM25:", values)


if __name__ == "__main__":
    main()
