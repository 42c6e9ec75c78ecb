"""Questions that people put, under free licences, and passages that answer some of them."""

import json
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path

from passages import Pair, folded, passages
from repositories import checked_out

LICENCES = {
    "natural-questions": "CC-BY-SA-3.0",
    "boolq": "CC-BY-SA-3.0",
    "medquad": "CC-BY-4.0",
}
NATURAL = "google-research-datasets/natural-questions", "fb26a3073b1fe636c97302890a27b491d6530130"
BOOLQ = "dwzhu-pku/boolqQA", "a88d374e9d0b9fa6712e33a80aefdc916ba6718a"
"""A copy of the files that google-research-datasets/boolean-questions points to."""
MEDQUAD = "abachaa/MedQuAD", "577bd37b96c02d1833b2c9eed2de9f96964e96cb"
PARTS = "dev", "efficientqa.dev.1.1.no-annotations", "efficientqa.test.1.1.no-annotations"


def natural_questions(build: Path) -> Iterator[str]:
    """Yield what people asked a search engine, in the development and test parts."""
    folder = checked_out(*NATURAL, "/nq_open/NQ-open.[de]*.jsonl", build)
    for part in PARTS:
        for line in (folder / f"nq_open/NQ-open.{part}.jsonl").read_text().splitlines():
            yield json.loads(line)["question"]


def boolq(build: Path) -> Iterator[Pair]:
    """Yield (question whose answer is yes or no, passage of Wikipedia that gives it)."""
    file = checked_out(*BOOLQ, "/datafile/dev.jsonl", build) / "datafile/dev.jsonl"
    for line in file.read_text().splitlines():
        entry = json.loads(line)
        for passage in passages(entry["passage"])[:2]:
            yield entry["question"].strip(), passage


def medquad(build: Path) -> Iterator[Pair]:
    """Yield (question, passage of the answer that an institute of health gives)."""
    for path in sorted(checked_out(*MEDQUAD, "*.xml", build).glob("*/*.xml")):
        for pair in ET.fromstring(path.read_bytes()).iter("QAPair"):
            question = re.sub(r" ?\(are\)| (?=\?$)", "", folded(pair.findtext("Question", "")))
            answer = re.sub(r"(?m)^\s*-\s+", "", pair.findtext("Answer") or "")
            for passage in passages(folded(answer))[:4]:
                yield question, passage
