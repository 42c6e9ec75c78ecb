"""Whole articles of Wikipedia, as it was in 2019: prose about the world at large."""

import random
import re
from collections.abc import Iterator
from pathlib import Path

from passages import Pair, folded, good, passages
from repositories import checked_out

REPOSITORY = "chinapedia/wikipedia.abstract.en", "4f3e897da088cbe89a4f1d4cba3fa2e439c3721b"
"""It names no licence of its own: that of Wikipedia's texts was CC-BY-SA-3.0 until June 2023."""
MOST = 12  # passages of an article
SHORTEST = 150  # characters of a passage
PARAGRAPH = 120  # characters; what is shorter is a heading, an item or a caption
NOTE = re.compile(r"\s*\[\d+\]")
ENDS = (*".!?)", '"', "”")
ITEMS = ("|", "*", "-", "+")


def articles(build: Path, chance: random.Random) -> Iterator[Pair]:
    """Yield (title, passage of the article)."""
    folder = checked_out(*REPOSITORY, "/Page", build)
    for path in sorted(folder.glob("Page/*.md")):
        title = path.stem.replace("_", " ")
        text = path.read_text(errors="replace").split("\nReferences\n")[0]
        found = [
            passage
            for paragraph in paragraphs(text)
            for passage in passages(paragraph)
            if len(passage) >= SHORTEST and good(title, passage)
        ]
        for passage in chance.sample(found, min(len(found), MOST)):
            yield title, passage


def paragraphs(text: str) -> Iterator[str]:
    """Yield paragraphs of whole sentences, without the numbers of notes."""
    for block in re.split(r"\n\s*\n", text):
        paragraph = folded(NOTE.sub("", block))
        whole = len(paragraph) >= PARAGRAPH and paragraph.endswith(ENDS)
        if whole and not paragraph.startswith(ITEMS):
            yield paragraph
