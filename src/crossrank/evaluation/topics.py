"""Queries as TREC's topics: ``<top>`` elements, or ``id TAB text`` lines."""

import re
from collections.abc import Iterator
from pathlib import Path

from crossrank.errors import InputError
from crossrank.text_files import Lines

Texts = Iterator[tuple[str, list[str]]]
"""Where a text stands, e.g. ``line 3``, its id and itself."""

_TOPIC = re.compile(r"<top>(.*?)(</top>|(?=<top>)|\Z)", re.IGNORECASE | re.DOTALL)
_FIELD = re.compile(r"<(num|title)>\s*(?:Number:|Topic:)?([^<]*)", re.IGNORECASE)


def read_topics(path: Path, lines: Lines) -> Texts:
    """Read topics in the markup of TREC's classic tracks: the title is the query.

    Args:
        path: What messages call the file.
        lines: Its lines.

    Raises:
        InputError: There is none, or one has no end, no number or no title; the message names the
            line it begins in.
    """
    content = "".join(line for _, line in lines)
    topics = list(_TOPIC.finditer(content))
    if not topics:
        raise _malformed(path, "line 1", content)
    number, counted = 1, 0
    for topic in topics:
        number += content.count("\n", counted, topic.start())
        counted = topic.start()
        place = f"line {number}"
        fields = {tag.lower(): " ".join(text.split()) for tag, text in _FIELD.findall(topic[1])}
        if not (topic[2] and fields.get("num") and fields.get("title")):
            raise _malformed(path, place, topic[0])
        yield place, [fields["num"], fields["title"]]


def read_tabbed(path: Path, lines: Lines) -> Texts:
    """Read an id and a text a line.

    Args:
        path: What messages call the file.
        lines: Its lines.

    Raises:
        InputError: A line has no tabulator, or several; the message names the line.
    """
    for number, line in lines:
        if line.strip():
            values = line.rstrip("\r\n").split("\t")
            if len(values) != 2:
                raise InputError(
                    f"{path}, line {number}: a line must read 'id TAB text', received {line[:80]!r}"
                )
            yield f"line {number}", values


def _malformed(path: Path, place: str, received: str) -> InputError:
    return InputError(
        f"{path}, {place}: a topic must read '<top> <num> ... <title> ... </top>', received "
        f"{received[:80]!r}"
    )
