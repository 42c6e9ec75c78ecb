"""A round with hard negatives mined by the model itself, to try; it has not helped so far.

    CROSSRANK_DATA=FOLDER python recipes/default_model/mined.py
    crossrank train build/default_model/mined.yaml

Run ``make default-model`` first. Real questions (SelQA, PubMedQA) and words out of Wikipedia are
queries. Of the 40 passages that BM25 finds for each, the 16 that the model likes best make a list:
what it takes for answers, right or wrong. The ensemble says how good they are.
"""

import argparse
import json
import random
import re
import shutil
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from corpus import pubmedqa
from ensemble import spread_out, teach
from lists import best
from make import BUILD, HERE, parsed, stage
from passages import LONGEST, SHORTEST, good
from prose import selqa, wikipedia
from queries import fragment
from teacher import List

from crossrank import CrossEncoder

FOUND, KEPT = 40, 16  # passages of a query: BM25's, and of these the model's
ARTICLES, ASKED = 6_000, 1_600  # passages of Wikipedia, and how many words are taken out of
SPREAD = 2.0  # of the teacher's scores in a list
SPACED = re.compile(r" ([.,;:?!'])")  # a space before a mark, as tokenised texts have it

Texts = tuple[list[str], list[str]]  # queries, passages


def main() -> None:
    """Write ``mined.jsonl`` and a recipe beside it."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--work", type=Path, default=BUILD, help="folder of trained, int8")
    options.add_argument("--queries", type=int, help="how many; by default all")
    chosen = parsed(options)

    def make(path: Path) -> None:
        queries, passages = texts(chosen.data, random.Random(5))
        model = CrossEncoder(chosen.work / "int8")
        write(mined(queries[: chosen.queries], passages, model), path)

    stage(chosen.work / "mined.jsonl", make)
    shutil.copy(HERE / "mined.yaml", chosen.work)


def texts(data: Path, chance: random.Random) -> Texts:
    """Gather queries, in any order, and the passages that are searched for all of them."""
    questions, sections = of_selqa(data / "answer-selection", chance)
    asked = [pair for pair in pubmedqa(data / "pubmedqa") if good(*pair)]
    articles = [passage for query, passage in wikipedia(BUILD) if good(query, passage)]
    chance.shuffle(articles)
    del articles[ARTICLES:]
    words = (fragment(passage, chance) for passage in articles)
    queries = [*questions, *dict.fromkeys(question for question, _ in asked)]
    queries += [query for query in words if query][:ASKED]
    chance.shuffle(queries)
    return queries, list(dict.fromkeys([*sections, *(section for _, section in asked), *articles]))


def of_selqa(folder: Path, chance: random.Random) -> Texts:
    """Read SelQA's questions, and make passages of one to four of its sentences."""
    sections: dict[str, list[str]] = defaultdict(list)
    for question, sentence in selqa(folder):
        sections[question].append(sentence)
    passages = []
    for sentences in sections.values():
        while sentences:
            count = chance.randint(1, 4)
            passage = SPACED.sub(r"\1", " ".join(sentences[:count])[:LONGEST])
            del sentences[:count]
            if len(passage) >= SHORTEST:
                passages.append(passage)
    return [SPACED.sub(r"\1", question) for question in sections], passages


def mined(queries: Sequence[str], passages: Sequence[str], model: CrossEncoder) -> list[List]:
    """Give each query the passages that the model ranks best of those that BM25 finds."""
    lists = []
    for query, found in zip(queries, best(queries, passages, FOUND), strict=True):
        if len(found) >= KEPT:
            documents = [passages[place] for place in found]
            ranking = model.rank(query, documents, top_k=KEPT, show_progress_bar=False)
            lists.append((query, [documents[entry["corpus_id"]] for entry in ranking]))
    return lists


def write(lists: Sequence[List], path: Path) -> None:
    """Write ``query, documents, teacher_scores`` a line."""
    scores = SPREAD * spread_out(teach(lists)[None])
    with path.open("w") as file:
        for (query, documents), row in zip(lists, scores.tolist(), strict=True):
            told = [round(score, 4) for score in row]
            entry = {"query": query, "documents": documents, "teacher_scores": told}
            file.write(json.dumps(entry, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
