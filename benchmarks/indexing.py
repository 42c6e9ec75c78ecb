"""Indexes 100,000 short documents, asks 1,000 queries, and reranks: time, memory, quality.

    python benchmarks/indexing.py --pairs build/default_model/pairs.jsonl

``--pairs`` is JSONL of ``query`` and ``positive``, as ``recipes/default_model`` leaves it: each
document answers its own query and, as far as anybody knows, no other. So what is measured is how
often a document is found again by its own name or definition: RR@10 before and after reranking.
"""

import argparse
import json
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

from settings import memory_mb, pin

from crossrank import CrossEncoder
from crossrank.evaluation.significance import bootstrap, compare
from crossrank.retrieval.index import SearchIndex, update
from crossrank.retrieval.pipeline import RetrieveAndRerank

WORK = Path("build/indexing")


def main() -> None:
    """Run both halves in processes of their own, so that each one's memory is its own."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=Path, required=True)
    parser.add_argument("--documents", type=int, default=100_000)
    parser.add_argument("--queries", type=int, default=1000)
    parser.add_argument("--depth", type=int, default=50)
    parser.add_argument("--stage", choices=["index", "search"])
    chosen = parser.parse_args()
    pin()
    if chosen.stage is None:
        write(chosen.pairs, chosen.documents, chosen.queries)
        for stage in ("index", "search"):
            subprocess.run([sys.executable, *sys.argv, "--stage", stage], check=True)
    elif chosen.stage == "index":
        index()
    else:
        search(chosen.depth)


def write(pairs: Path, documents: int, queries: int) -> None:
    """Write distinct documents as one JSONL file, and the queries of some of them beside it."""
    shutil.rmtree(WORK, ignore_errors=True)
    (WORK / "documents").mkdir(parents=True)
    chance = random.Random(0)
    rows: dict[str, str] = {}
    with pairs.open(encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            if len(row["positive"].split()) < 150:  # one chunk each
                rows.setdefault(row["positive"], row["query"])
    chosen = chance.sample(sorted(rows), documents)
    with (WORK / "documents" / "all.jsonl").open("w", encoding="utf-8") as out:
        out.writelines(json.dumps({"text": text}) + "\n" for text in chosen)
    asked = chance.sample(range(documents), queries)
    named = [{"query": rows[chosen[number]], "text": chosen[number]} for number in asked]
    (WORK / "queries.json").write_text(json.dumps(named), encoding="utf-8")


def index() -> None:
    """Index the documents, then again with nothing to do."""
    for turn in ("first", "again"):
        start = time.perf_counter()
        done = update(WORK / "documents", WORK / "index")
        seconds = time.perf_counter() - start
        print(f"index, {turn}: {done.chunks:,} chunks in {seconds:.1f} s", flush=True)
    size = sum(file.stat().st_size for file in (WORK / "index").rglob("*") if file.is_file())
    print(f"index: {size / 1e6:.0f} MB on disk, peak memory {memory_mb('VmHWM'):.0f} MB")


def search(depth: int) -> None:
    """Ask all queries."""
    opened = SearchIndex(WORK / "index")
    asked = json.loads((WORK / "queries.json").read_text(encoding="utf-8"))
    texts = [entry["query"] for entry in asked]
    before, after = [], []
    model = CrossEncoder()
    pipeline = RetrieveAndRerank(opened.retriever, model, opened.texts, depth=depth, top_k=depth)
    start = time.perf_counter()
    hits = opened.retriever.search_many(texts, depth)
    retrieved = time.perf_counter() - start
    start = time.perf_counter()
    results = pipeline.search_many(texts)
    both = time.perf_counter() - start
    for entry, found, result in zip(asked, hits, results, strict=True):
        before.append(reciprocal_rank([opened.texts[position] for position, _ in found], entry))
        after.append(reciprocal_rank([hit.text for hit in result.hits], entry))
    print(f"BM25: {len(texts)} queries in {retrieved:.1f} s, RR@10 {bootstrap(before)}")
    print(f"reranked to {depth}: {both:.1f} s, RR@10 {bootstrap(after)}")
    found = compare(before, after)
    print(f"difference {found.difference}, p = {found.p_value:.4f}")
    print(f"search: peak memory {memory_mb('VmHWM'):.0f} MB")


def reciprocal_rank(texts: list[str], entry: dict[str, str]) -> float:
    """Give 1 / rank of the query's own document among the first ten, or 0."""
    return next((1 / rank for rank, t in enumerate(texts[:10], 1) if t == entry["text"]), 0.0)


if __name__ == "__main__":
    main()
