"""Which script a text is written in, and whether a model's languages use that script.

Characters of an unknown script seldom become unknown tokens, so the scores of such texts look like
any others. The characters themselves tell at once.
"""

import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cache

SAMPLE = 200
"""Characters of a text that are looked at."""

LANGUAGES_OF_SCRIPT = {
    "Latin": "af az bs ca ceb cs cy da de en eo es et eu fi fil fr ga gl ha hr ht hu id ig is it "
    "jv ku la lb lt lv mg mi ms mt nb nl nn no om oc pl pt ro rw sk sl sn so sq sr su sv sw tk tl "
    "tr uz vi wo xh yo zu",
    "Cyrillic": "be bg ky kk mk mn ru sr tg tk tt uk uz",
    "Greek": "el",
    "Arabic": "ar fa ku ckb pa ps sd ug ur",
    "Hebrew": "he yi",
    "Devanagari": "hi mr ne sa",
    "Bengali": "as bn",
    "Gurmukhi": "pa",
    "Gujarati": "gu",
    "Oriya": "or",
    "Tamil": "ta",
    "Telugu": "te",
    "Kannada": "kn",
    "Malayalam": "ml",
    "Sinhala": "si",
    "Thai": "th",
    "Lao": "lo",
    "Khmer": "km",
    "Myanmar": "my",
    "Tibetan": "bo dz",
    "Georgian": "ka",
    "Armenian": "hy",
    "Ethiopic": "am ti",
    "Mongolian": "mn",
    "Han": "ja ko zh yue",
    "Kana": "ja",
    "Hangul": "ko",
}
"""The scripts that are told apart, each with the languages (ISO 639) written in it."""

# How Unicode's character names begin, where it is not with the script's name.
_SCRIPT_OF_FIRST_WORD = {script.upper(): script for script in LANGUAGES_OF_SCRIPT} | {
    "CJK": "Han",
    "HIRAGANA": "Kana",
    "KATAKANA": "Kana",
    "KATAKANA-HIRAGANA": "Kana",
    "FULLWIDTH": "Latin",
    "HALFWIDTH": "Kana",
}
# What a character counts for: Chinese says in one what English says in 3.2 letters (over XQuAD).
# Without this, a Chinese question about one long Latin name would count as Latin.
_WEIGHT = {"Han": 3, "Hangul": 2, "Kana": 2}


@cache
def _script_of(letter: str) -> str | None:
    first_word = unicodedata.name(letter, "").partition(" ")[0]
    return _SCRIPT_OF_FIRST_WORD.get(first_word) if letter.isalpha() else None


def count_scripts(text: str) -> Counter[str]:
    """Count the letters of each script at the beginning of a text.

    Args:
        text: Any text; its first 200 characters are looked at.

    Returns:
        Letters per script. Digits, signs and scripts not in the table are left out.

    Example:
        >>> count_scripts("日本語 in Tōkyō, 2024")
        Counter({'Latin': 7, 'Han': 3})
    """
    counts: Counter[str] = Counter()
    for letter, count in Counter(text[:SAMPLE]).items():
        script = _script_of(letter)
        if script is not None:
            counts[script] += count
    return counts


@cache
def scripts_of(language: str) -> frozenset[str]:
    """Name the scripts that a language is written in.

    Args:
        language: An ISO 639 code; a region or script after it ("pt-BR") does not matter.

    Returns:
        The scripts; none when the language is not in the table.

    Example:
        >>> sorted(scripts_of("ja")), sorted(scripts_of("en-US")), sorted(scripts_of("tlh"))
        (['Han', 'Kana'], ['Latin'], [])
    """
    code = language.replace("_", "-").partition("-")[0].lower()
    return frozenset(
        script for script, languages in LANGUAGES_OF_SCRIPT.items() if code in languages.split()
    )


def foreign_script(texts: Iterable[str], languages: Sequence[str]) -> str | None:
    """Find a text that is mostly in scripts which none of the languages uses.

    Args:
        texts: Queries and documents.
        languages: The languages that a model was made for, as ISO 639 codes.

    Returns:
        The most frequent foreign script of the first text of which more than half the letters are
        foreign (a Han character counts as three, Kana and Hangul as two). None when there is no
        such text, and when a language is not in the table.

    Example:
        >>> foreign_script(["What is the αβγ of it?", "北京在哪里?"], ["en"])
        'Han'
        >>> foreign_script(["What is the αβγ of it?", "北京在哪里?"], ["en", "zh"])
    """
    scripts = [scripts_of(language) for language in languages]
    if not scripts or not all(scripts):
        return None
    own = frozenset().union(*scripts)
    for text in texts:
        if text.isascii() and "Latin" in own:  # at no cost: strings know whether they are ASCII
            continue
        weights = {
            script: count * _WEIGHT.get(script, 1) for script, count in count_scripts(text).items()
        }
        foreign = {script: weight for script, weight in weights.items() if script not in own}
        if 2 * sum(foreign.values()) > sum(weights.values()):
            return max(foreign, key=foreign.__getitem__)
    return None
