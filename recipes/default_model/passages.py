"""Cutting texts into passages, and asking for them."""

import html
import random
import re

SHORTEST, LONGEST = 60, 700  # characters of a passage
ASKED = ("{}", "what is {}", "{} definition", "define {}", "what does {} mean", "meaning of {}")

Pair = tuple[str, str]  # query, passage


def good(query: str, passage: str) -> bool:
    """Whether both are sentences rather than code, tables or leftovers."""
    letters = sum(c.isalpha() or c.isspace() for c in passage)
    return (
        len(passage) >= SHORTEST
        and 3 <= len(query) <= 160
        and letters / len(passage) > 0.75
        and sum(c.isalpha() for c in query) / len(query) > 0.6
        and query.lower() != passage.lower()
        and sum(ord(c) > 591 for c in passage) < 0.05 * len(passage)
    )


def asked(term: str) -> str:
    """Ask about a term as people do; the form depends on the term alone."""
    return random.Random(term).choice(ASKED).format(term)


def passages(text: str) -> list[str]:
    """Cut a text at the ends of sentences into passages of at most ``LONGEST`` characters."""
    found, left = [""], text
    for sentence in re.split(r"(?<=[.!?:;])\s+", left):
        if len(found[-1]) + len(sentence) > LONGEST and len(found[-1]) >= SHORTEST:
            found.append("")
        found[-1] = f"{found[-1]} {sentence}".strip()[: LONGEST + 100]
    return [part for part in found if len(part) >= SHORTEST]


def folded(text: str) -> str:
    """Undo markup escapes and fold white space."""
    return " ".join(html.unescape(text).split())
