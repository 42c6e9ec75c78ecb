"""The demo's collection is what its recipe makes of XQuAD."""

import gzip
import subprocess
import sys
from pathlib import Path

import pytest

from crossrank.demo import load
from crossrank.demo.collection import FOLDER
from crossrank.evaluation.measures import measure
from crossrank.retrieval.bm25 import BM25

MAKE = Path(__file__).parents[2] / "recipes" / "demo_collection" / "make.py"


def test_the_collection_is_whole() -> None:
    documents, queries, qrels = load()
    assert (len(documents), len(queries)) == (1219, 1190)
    assert len(set(documents.values())) == 1219
    assert qrels.keys() == queries.keys()
    assert {document for grades in qrels.values() for document in grades} <= documents.keys()
    assert all(set(grades.values()) == {1} for grades in qrels.values())
    # Answers that hold the end of what the rule takes for a sentence have several.
    assert sum(len(grades) > 1 for grades in qrels.values()) == 14


def test_bm25_reaches_what_is_known_of_it() -> None:
    pytest.importorskip("ir_measures", reason="needs the extra demo")
    pytest.importorskip("bm25s", reason="needs the extra demo")
    documents, queries, qrels = load()
    ids, index = list(documents), BM25(list(documents.values()))
    run = {
        query: {ids[position]: score for position, score in index.search(text, 10)}
        for query, text in queries.items()
    }
    assert measure(run, qrels, ["RR@10"])["RR@10"] == pytest.approx(0.781, abs=5e-4)


def test_licence_and_origin_stand_beside_the_files() -> None:
    assert "Attribution-ShareAlike 4.0" in (FOLDER / "LICENSE").read_text()
    assert "Artetxe" in (FOLDER / "README.md").read_text()


def test_the_recipe_makes_the_same_files(crossrank_data: Path, tmp_path: Path) -> None:
    pytest.importorskip("ir_measures", reason="needs the extra demo")
    source = crossrank_data / "xquad" / "xquad.en.json"
    subprocess.run([sys.executable, MAKE, source, tmp_path], check=True, capture_output=True)
    names = sorted(file.name for file in tmp_path.iterdir())
    assert names == ["corpus.jsonl.gz", "qrels.txt.gz", "queries.jsonl.gz"]
    for name in names:
        made, shipped = (gzip.decompress((at / name).read_bytes()) for at in (tmp_path, FOLDER))
        assert made == shipped
