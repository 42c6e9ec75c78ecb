"""Manual pages: what a thing is for, and the sections that say so."""

import gzip
import re
from collections.abc import Iterator
from pathlib import Path

from passages import Pair, folded, passages


def manuals(folder: Path) -> Iterator[Pair]:
    """Yield (name and purpose, passage) of manual pages, by section."""
    for path in sorted(folder.glob("usr/share/man/man*/*.gz")):
        source = gzip.decompress(path.read_bytes()).decode(errors="ignore")
        if len(source) > 200_000 or source.startswith(".so"):
            continue
        source = re.sub(r"(?s)\n\.(nf|EX|TS)\b.*?\n\.(fi|EE|TE)\b", "\n", source)
        source = re.sub(r"\\f.|\\&|\\[/,|^]|\\\(..|\\\*\S", "", source).replace("\\-", "-")
        parts = re.split(r'\n\.S[Hh] +"?([^"\n]*)"?', source)
        name = next(
            (folded(b) for t, b in zip(parts[1::2], parts[2::2], strict=True) if t == "NAME"), ""
        )
        name = re.sub(r"^\.\w+\s*|\\", "", name)
        if " - " not in name:
            continue
        term, purpose = name.split(" - ", 1)
        for title, body in zip(parts[1::2], parts[2::2], strict=True):
            if title in ("NAME", "SYNOPSIS", "SEE ALSO", "COLOPHON", "COPYRIGHT", "AUTHOR"):
                continue
            body = re.sub(r"(?m)^\.[A-Z]{1,2} *|^\.\\?\".*$|^\.\w+.*$", "", body).replace('"', "")
            for number, part in enumerate(passages(folded(body))[:4]):
                if title == "DESCRIPTION" and number == 0:
                    yield purpose, part
                else:
                    yield f"{term.split(',')[0]} {title.lower()} {purpose}"[:100], part
