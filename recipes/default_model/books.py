"""OpenStax textbooks: what a section says, what a term means, what readers are asked.

Some of these books carry another licence today; the commits are the last under CC BY 4.0, which
``LICENSE``, ``README.md`` and the collection's metadata agreed on.
"""

import re
import xml.etree.ElementTree as ET
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from passages import Pair, asked, passages
from repositories import checked_out

LICENCE = "CC-BY-4.0"
BOOKS = {
    "american-government": "5c90dd7907dbf25f42266417e63ca3bb0012f031",
    "anatomy-physiology": "b0058a743bdd2cc08196abaaa7d5469970c0d80c",
    "astronomy": "63157f370b09c06a4cc12832384aaaf4de1ced3b",
    "chemistry-bundle": "32c719622fbb7a0ca729cd645c1df4cf4e7d5b3a",
    "introduction-anthropology": "418eedd9bef21ec1a6fa1b472c0d82c084e35c70",
    "introduction-philosophy": "d7bd4f0f520529b3ad83272448a9c2be25c9040a",
    "introduction-political-science": "4391e659b98eec43b71e8b3f08241215fb4dd4c4",
    "introduction-sociology": "d35d5f3bdac40f93607d600134865d4f13ce1f9b",
    "microbiology": "ecf34dad129d686703780e87ab5aa2e59c577a6a",
    "principles-economics-bundle": "cd31beb103fffbc09cc81ebfe117d8c40cc12d1a",
    "psychology": "e061043bf2f9e86ace51c4e8dc9555160f60a99d",
    "us-history": "046331cfcea0ac1b1a8fd461b3e6aae638845af3",
    "world-history": "3e17beda9130380d24be881e6d1942dfcc1be845",
}
CNXML = "{http://cnx.rice.edu/cnxml}"
HIDDEN = {CNXML + name for name in ("note", "figure", "table", "media", "equation", "list")}
NOT_ABOUT = re.compile(r"(?i)chapter|summary|references|key|learning obj|review|further|link")
OPENING = re.compile(r"(?i)intro|overview")


def modules(build: Path) -> Iterator[ET.Element]:
    """Yield what every book is made of."""
    for book, commit in BOOKS.items():
        folder = checked_out(f"openstax/osbooks-{book}", commit, "/modules", build)
        for path in sorted(folder.glob("modules/*/index.cnxml")):
            yield ET.fromstring(path.read_bytes())


def sections(module: ET.Element) -> Iterator[Pair]:
    """Yield (heading, passage below it)."""
    title = told(module.find(f"{CNXML}title"))
    content = module.find(f"{CNXML}content")
    texts: dict[str, list[str]] = defaultdict(list)
    for heading, text in paragraphs(content, title):
        texts[heading].append(text)
    for heading, parts in texts.items():
        if not NOT_ABOUT.match(heading):
            query = f"{title} {heading}" if OPENING.match(heading) else heading
            for passage in passages(" ".join(parts)):
                yield query, passage


def paragraphs(element: ET.Element | None, heading: str) -> Iterator[Pair]:
    """Yield (heading, paragraph), exercises left out."""
    for child in element if element is not None else ():
        if child.tag == f"{CNXML}title":
            heading = told(child)
        elif child.tag == f"{CNXML}para":
            yield heading, told(child)
        elif child.tag == f"{CNXML}section":
            yield from paragraphs(child, heading)


def terms(module: ET.Element) -> Iterator[Pair]:
    """Yield (question about a term, what it means)."""
    for definition in module.iter(f"{CNXML}definition"):
        term = told(definition.find(f"{CNXML}term"))
        meaning = told(definition.find(f"{CNXML}meaning"))
        if term and meaning:
            yield asked(term), f"{term[0].upper()}{term[1:]}: {meaning}"


def questions(module: ET.Element) -> Iterator[str]:
    """Yield what readers are asked; choices out of a list are not questions by themselves."""
    for problem in module.iter(f"{CNXML}problem"):
        question = told(problem.find(f"{CNXML}para"))
        if question.endswith("?") and 15 <= len(question) <= 140 and "following" not in question:
            yield question


def told(element: ET.Element | None) -> str:
    """Read an element's text, without formulas, pictures and references to them."""
    return re.sub(r" ?\(\)", "", " ".join(text(element).split())) if element is not None else ""


def text(element: ET.Element) -> str:
    """Read an element's text as it stands."""
    if element.tag in HIDDEN or "MathML" in element.tag:
        return ""
    inner = (f"{text(child)}{child.tail or ''}" for child in element)
    return f"{element.text or ''}{''.join(inner)}"
