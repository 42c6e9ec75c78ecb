"""Web pages as text: what a reader sees, block by block."""

from typing import Any

from crossrank.optional import require
from crossrank.retrieval.ingest.parse import Heading, Unit

# Controls are hidden, forms are not: some pages are one form.
HIDDEN = frozenset(
    {"head", "script", "style", "noscript", "template", "svg", "nav", "iframe"}
    | {"button", "datalist", "select", "textarea"}
)
INLINE = frozenset(
    {"a", "abbr", "b", "bdi", "bdo", "cite", "code", "data", "del", "em", "font", "i", "ins", "kbd"}
    | {"label", "mark", "q", "s", "samp", "small", "span", "strong", "sub", "sup", "time", "tt"}
    | {"u", "var"}
)
HEADINGS = {f"h{level}": level for level in range(1, 7)}


def read_html(data: bytes) -> Unit:
    """Read a page; scripts, styles, navigation and controls are left out.

    Example:
        >>> page = b"<h1>Paris</h1><script>x</script><p>The <b>capital</b>.<p>A city."
        >>> unit = read_html(page)
        >>> unit.text, unit.headings
        ('Paris\\nThe capital.\\nA city.\\n', (Heading(start=0, level=1, title='Paris'),))
    """
    soup = require("bs4", extra="rag").BeautifulSoup(data, "html.parser")
    writer = _Writer()
    writer.write_all(soup.body or soup)
    return Unit("".join(writer.parts), tuple(writer.headings))


class _Writer:
    """Collects the words of a page, one line a block."""

    def __init__(self) -> None:
        self.parts: list[str] = []
        self.headings: list[Heading] = []
        self.length = 0

    def write_all(self, root: Any) -> None:
        """Walk without recursion: pages may be nested deeper than Python's stack."""
        stack = [iter([root])]
        open_tags: list[Any] = [None]
        while stack:
            node = next(stack[-1], None)
            if node is None:
                stack.pop()
                self._close(open_tags.pop())
            elif not hasattr(node, "children"):
                if type(node).__name__ == "NavigableString":  # comments and such are subclasses
                    self._words(str(node))
            elif node.name not in HIDDEN:
                self._open(node)
                stack.append(iter(node.children))
                open_tags.append(node)

    def _open(self, tag: Any) -> None:
        if tag.name not in INLINE:
            self._end_line()
        if tag.name in HEADINGS:
            title = " ".join(tag.get_text(" ").split())
            self.headings.append(Heading(self.length, HEADINGS[tag.name], title))

    def _close(self, tag: Any) -> None:
        if tag is not None and tag.name not in INLINE:
            self._end_line()

    def _words(self, text: str) -> None:
        words = " ".join(text.split())
        spaced = f"{' ' * text[:1].isspace()}{words}{' ' * text[-1:].isspace()}" if words else " "
        if not self.parts or self.parts[-1].endswith(("\n", " ")):
            spaced = spaced.lstrip()
        self._add(spaced)

    def _end_line(self) -> None:
        if self.parts and not self.parts[-1].endswith("\n"):
            self._add("\n")

    def _add(self, text: str) -> None:
        if text:
            self.parts.append(text)
            self.length += len(text)
