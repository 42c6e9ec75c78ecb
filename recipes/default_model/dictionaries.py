"""Dictionaries and the descriptions of packages: a term and what it means."""

import gzip
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

from passages import LONGEST, Pair, asked, folded, passages


def package_descriptions(build: Path) -> Iterator[Pair]:
    """Yield (short description, long description) of every package in the index, in English."""
    lists = (build / "lists").resolve()
    (lists / "partial").mkdir(parents=True, exist_ok=True)
    apart = [f"-oDir::State::Lists={lists}", "-oAcquire::Languages=en"]
    subprocess.run(["apt-get", *apart, "update"], check=True)
    files = sorted(lists.glob("*_main_*Translation-en*"))
    unpack = ["lz4", "-dcm", *files]
    texts = subprocess.run(unpack, capture_output=True, check=True).stdout.decode(errors="ignore")
    for entry in texts.split("\n\n"):
        found = re.search(r"^Package: (\S+).*^Description-en: ([^\n]+)\n(.*)", entry, re.S | re.M)
        if found:
            name, short, body = found.groups()
            for number, part in enumerate(body.split("\n .\n")[:3]):
                text = folded(part)
                if number == 0:
                    yield short.split(" (")[0] if len(name) % 3 else f"what is {name}", text
                else:
                    yield f"{name} {short}", text


def wordnet(folder: Path) -> Iterator[Pair]:
    """Yield (term, gloss with the terms around it) of every synset."""
    synsets = {}
    for kind in ("noun", "verb", "adj", "adv"):
        for line in (folder / f"usr/share/wordnet/data.{kind}").read_text().splitlines():
            if line.startswith("  "):
                continue
            fields, gloss = line.split(" | ", 1)
            parts = fields.split()
            size = int(parts[3], 16)
            words = [
                re.sub(r"\(\w+\)", "", w).replace("_", " ") for w in parts[4 : 4 + 2 * size : 2]
            ]
            rest = parts[5 + 2 * size :]
            above = [rest[i + 1] for i in range(0, len(rest) - 3, 4) if rest[i] in ("@", "@i")]
            below = [
                rest[i + 1] for i in range(0, len(rest) - 3, 4) if rest[i] in ("~", "~i", "%p")
            ]
            synsets[kind, parts[0]] = words, gloss.strip(), above, below
    for (kind, _), (words, gloss, above, below) in synsets.items():
        meaning, *examples = re.split(r'; (?=")', gloss)
        text = f"{', '.join(words)}: {meaning}."
        if examples:
            text += f" For example: {'; '.join(examples)}."
        for code in above[:1]:
            others, other, *_ = synsets.get((kind, code), ([], ""))
            if others:
                text += f" A kind of {others[0]}: {other.split('; ')[0]}."
        kinds = [synsets[kind, code][0][0] for code in below[:8] if (kind, code) in synsets]
        if kinds:
            text += f" Among them: {', '.join(kinds)}."
        yield asked(words[0]), text[:LONGEST]
        if len(meaning) > 40:  # the other way round: from a description to the thing
            yield meaning.split("; ")[0], text.replace(f": {meaning}.", ".", 1)[:LONGEST]


def dictionary(folder: Path) -> Iterator[Pair]:
    """Yield (term, definition) of a dictionary in the format of dictd."""
    path = next(folder.glob("usr/share/dictd/*.dict.dz"))
    content = gzip.decompress(path.read_bytes())
    digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

    def number(code: str) -> int:
        value = 0
        for digit in code:
            value = value * 64 + digits.index(digit)
        return value

    for line in path.with_name(path.name.replace(".dict.dz", ".index")).read_text().splitlines():
        term, start, size = line.split("\t")[:3]
        if term.startswith("00") or len(term) < 3:
            continue
        text = content[number(start) : number(start) + number(size)].decode(errors="ignore")
        text = re.sub(r"\([^()]*[\"`^*=][^()]*\)|\\[^\\]*\\", "", text)  # how it is said
        text = folded(re.sub(r"[{}]|\(\d{4}-\d\d-\d\d\)|\[[^\[\]]*\]", "", text))
        for part in passages(text)[:2]:
            yield asked(term), part
