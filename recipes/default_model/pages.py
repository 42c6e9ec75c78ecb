"""Pages of documentation: a heading and the paragraphs below it."""

import re
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from pathlib import Path

from passages import Pair, passages


class Sections(HTMLParser):
    """Splits a page into (headings above, kind, text) of its paragraphs.

    Attributes:
        found: What has been read so far; kind is p, dd or li.
    """

    TITLES = ("h1", "h2", "h3", "h4", "h5", "h6", "dt", "title")
    HIDDEN = ("script", "style", "pre", "nav", "table", "footer", "svg", "head")

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[tuple[str, ...], str]] = []
        self.titles: dict[str, str] = {}
        self.tag = ""
        self.text = ""
        self.hidden = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Open a heading, a paragraph or something to pass over."""
        if tag in self.HIDDEN:
            self.hidden += 1
        elif tag in self.TITLES or tag in ("p", "dd", "li"):
            self.close_text()
            self.tag = tag
        elif tag == "br":
            self.text += " "

    def handle_endtag(self, tag: str) -> None:
        """Close what is open."""
        if tag in self.HIDDEN:
            self.hidden = max(0, self.hidden - 1)
        elif tag in self.TITLES or tag in ("p", "dd", "li", "dl", "div", "section"):
            self.close_text()
            if tag == "dl":
                self.titles.pop("dt", None)

    def handle_data(self, data: str) -> None:
        """Collect text."""
        if self.tag and not self.hidden:
            self.text += data

    def close_text(self) -> None:
        """File what was collected as a heading or as a paragraph under the headings above."""
        text = " ".join(self.text.split())
        if text and self.tag in self.TITLES:
            rank = self.TITLES.index(self.tag)
            self.titles = {t: v for t, v in self.titles.items() if self.TITLES.index(t) < rank}
            self.titles[self.tag] = heading(text)
        elif text and self.tag:
            self.found.append((tuple(self.titles.values()), text))
        self.tag = self.text = ""


def heading(text: str) -> str:
    """Strip numbers, chapter words and marks from a heading."""
    text = re.sub(r"[¶#§]|\(\d\)", "", text)
    text = re.sub(r"^(Chapter|Appendix|Section)?\s*[A-Z]?[\d.]*\d[.:]?\s+", "", text)
    return text.replace("\u00a0", " ").strip(" :.—-")


def pages(pattern: str, left_out: str = r"(?!)") -> Callable[[Path], Iterator[Pair]]:
    """Make a reader of the HTML pages that match."""

    def read(folder: Path) -> Iterator[Pair]:
        for path in sorted(folder.glob(pattern)):
            if re.search(left_out, str(path)) or not path.is_file():
                continue
            if path.stat().st_size < 2_000_000:
                yield from page(path.read_text(errors="ignore"))

    return read


def page(markup: str) -> Iterator[Pair]:
    """Yield (heading, passage) of a page; short paragraphs below one heading are joined."""
    parser = Sections()
    parser.feed(markup)
    parser.close_text()
    joined: dict[tuple[str, ...], list[str]] = {}
    for titles, text in parser.found:
        joined.setdefault(titles, []).append(text)
    for titles, texts in joined.items():
        if titles:
            for number, part in enumerate(passages(" ".join(texts))[:3]):
                yield headed(titles, part, number), part


GENERAL = re.compile(
    r"(?i)^(description|synopsis|options?|examples?|notes?|see also|introduction|overview|summary|"
    r"usage|parameters?|returns?|background|details|name|bugs|author|contents|index|general|"
    r"concepts|purpose|syntax|remarks|arguments|procedure|environment|files|other|common options)$"
)


def headed(titles: tuple[str, ...], passage: str, number: int) -> str:
    """Make the query: the lowest heading, with the one above where it says too little."""
    lowest = titles[-1]
    if len(titles) > 1 and (GENERAL.match(lowest) or len(lowest.split()) < 3 or number):
        above = titles[-2]
        if above.lower() not in lowest.lower():
            return f"{above} {lowest}" if not GENERAL.match(lowest) else f"{above}"
    return lowest


def mallard(folder: Path) -> Iterator[Pair]:
    """Yield (title, passage) of GNOME's help."""
    for path in sorted(folder.glob("usr/share/help/C/**/*.page")):
        markup = re.sub(r"(?s)<info>.*?</info>|<comment>.*?</comment>", "", path.read_text())
        yield from page(re.sub(r"<(/?)title>", r"<\1h2>", markup))
