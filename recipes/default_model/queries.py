"""Queries that somebody could have put to find a passage; a teacher says what answers them."""

import random
import re

ASKED_WITH = (
    "what is {}",
    "how does {} work",
    "why {}",
    "when was {}",
    "where is {}",
    "what {}",
    "how {}",
    "who {}",
)
WORDS = re.compile(r"[\w'-]+")
COMMON = frozenset(
    WORDS.findall("""
    a about after all also an and are as at be been before between both but by called can
    during each for from had has have he her his however in include including into is it its
    known many may more most not of on one or other over she some such than that the their
    them then there these they this those to two under use used was were when where which
    while who whom whose with
    """)
)


def fragment(passage: str, chance: random.Random) -> str | None:
    """Take some words out of a sentence, and ask for them now and then.

    Args:
        passage: Some sentences.
        chance: Draws the sentence, the words and the question.

    Returns:
        Two to eight words, perhaps with a question before them; ``None`` where no sentence has
        them.
    """
    sentences = re.split(r"(?<=[.!?])\s+", passage)
    usable = [sentence for sentence in sentences if 6 <= len(sentence.split()) <= 40]
    if not usable:
        return None
    words = WORDS.findall(chance.choice(usable))
    length = chance.randint(5, 10)
    start = chance.randrange(max(1, len(words) - length + 1))
    part = words[start : start + length]
    if chance.random() < 0.5:
        part = [word for word in part if word.lower() not in COMMON]
    part = stripped(part)[:8]
    if len(part) < 2:
        return None
    query = " ".join(part).lower()
    return chance.choice(ASKED_WITH).format(query) if chance.random() < 0.4 else query


def stripped(words: list[str]) -> list[str]:
    """Leave out common words at both ends."""
    while words and words[0].lower() in COMMON:
        words = words[1:]
    while words and words[-1].lower() in COMMON:
        words = words[:-1]
    return words
