"""The texts the default model learns from: questions and headings with the text they belong to."""

import html
import json
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import bm25s
import numpy as np

DOCUMENTATION = "python3.11-doc"


@dataclass(frozen=True)
class Example:
    """A query, the document it belongs to, and documents that only look like it."""

    query: str
    positive: str
    negatives: list[str]


def examples(data: Path, build: Path, negatives: int = 4, seed: int = 0) -> list[Example]:
    """Read both sources and find hard negatives by BM25, each within its own source."""
    random = np.random.default_rng(seed)
    found = mined(list(pubmedqa(data / "pubmedqa")), negatives, random)
    found += mined(list(python_documentation(build)), negatives, random)
    return [found[i] for i in random.permutation(len(found))]


def pubmedqa(folder: Path) -> Iterator[tuple[str, str]]:
    """Yield (question, one section of the abstract that it was asked about)."""
    for entry in json.loads((folder / "ori_pqal.json").read_text()).values():
        for section in entry["CONTEXTS"]:
            yield entry["QUESTION"], section


def python_documentation(build: Path) -> Iterator[tuple[str, str]]:
    """Yield (heading, first paragraphs below it) of the tutorial, the how-tos and the FAQ."""
    root = unpacked(DOCUMENTATION, build) / "usr/share/doc/python3.11/html"
    for folder in ("faq", "howto", "tutorial", "library", "reference"):
        for page in sorted((root / folder).glob("*.html")):
            yield from sections(page.read_text(errors="ignore"))


def unpacked(package: str, build: Path) -> Path:
    """Download a Debian package and unpack it below the build folder, without installing it."""
    folder = build / package
    if not folder.exists():
        build.mkdir(parents=True, exist_ok=True)
        subprocess.run(["apt-get", "download", package], cwd=build, check=True)
        archive = next(build.glob(f"{package}_*.deb"))
        subprocess.run(["dpkg-deb", "-x", archive, folder], check=True)
    return folder


def sections(page: str, longest: int = 800) -> Iterator[tuple[str, str]]:
    """Yield (heading, first paragraphs) of a page of documentation."""
    for heading, body in re.findall(
        r"<h[1-4]>(.*?)</h[1-4]>(.*?)(?=<h[1-4]>|</main|\Z)", page, re.S
    ):
        title = re.sub(r"^[\d.]*\s*(\w+ —)?", "", plain(heading)).strip("¶ ")
        text = " ".join(plain(p) for p in re.findall(r"<p>(.*?)</p>", body, re.S))[:longest]
        if len(title.split()) > 1 and len(text) > 100:
            yield title, text


def plain(markup: str) -> str:
    """Strip tags and fold white space."""
    return " ".join(html.unescape(re.sub(r"<[^>]*>", "", markup)).split())


def mined(pairs: list[tuple[str, str]], count: int, random: np.random.Generator) -> list[Example]:
    """Give each pair hard negatives: drawn from BM25's best 30 that belong to other queries."""
    documents = list(dict.fromkeys(document for _, document in pairs))
    owners: dict[str, set[str]] = {}
    for query, document in pairs:
        owners.setdefault(document, set()).add(query)
    index = bm25s.BM25()
    index.index(bm25s.tokenize(documents, show_progress=False), show_progress=False)
    queries = bm25s.tokenize([query for query, _ in pairs], show_progress=False)
    best, _ = index.retrieve(queries, k=30, show_progress=False)
    found = []
    for (query, positive), row in zip(pairs, best, strict=True):
        others = [documents[i] for i in row if query not in owners[documents[i]]]
        drawn = random.permutation(len(others))[:count]
        found.append(Example(query, positive, [others[i] for i in drawn]))
    return found
