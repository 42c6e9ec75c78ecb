"""Explanations on a terminal: shades where there are colours, numbers in any case."""

import io

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from crossrank.explanation.explanation import Explanation, Piece
from crossrank.explanation.shading import (
    colour,
    headline,
    judgement,
    largest,
    strength,
    strongest,
    unread,
    visible,
    walk,
)

PLAIN_WIDTH = 100


def render(explanation: Explanation) -> RenderableType:
    """Lay an explanation out for rich."""
    shown: list[RenderableType] = [
        Text(visible(explanation.query), style="bold"),
        Text(headline(explanation)),
        Text(),
    ]
    if explanation.method == "sentences":
        shown.append(_table(explanation, list(explanation.pieces)))
    else:
        shown += [_shaded(explanation), Text(), _table(explanation, strongest(explanation))]
    rest = unread(explanation)
    if rest:
        shown += [Text(), Text(f"Not read by the model: {visible(rest).strip()}", style="dim")]
    if explanation.faithfulness is not None:
        shown += [Text(), Text(judgement(explanation.faithfulness))]
    return Group(*shown)


def plain(explanation: Explanation) -> str:
    """Write an explanation without colours."""
    console = Console(file=io.StringIO(), width=PLAIN_WIDTH, color_system=None)
    with console.capture() as captured:
        console.print(render(explanation))
    return "\n".join(line.rstrip() for line in captured.get().splitlines())


def _table(explanation: Explanation, pieces: list[Piece]) -> RenderableType:
    table = Table.grid(padding=(0, 2))
    table.add_column(justify="right", no_wrap=True)
    table.add_column()
    most = largest(explanation)
    for piece in pieces:
        text = Text(" ".join(visible(piece.text).split()))
        text.stylize(_style(piece, most))  # the text, not what fills its column
        table.add_row(Text(f"{piece.attribution:+.3f}"), text)
    return Padding(table, (0, 0, 0, 2))


def _shaded(explanation: Explanation) -> Text:
    text = Text()
    most = largest(explanation)
    for part, piece in walk(explanation):
        text.append(visible(part), style=_style(piece, most) if piece else "")
    text.rstrip()
    return text


def _style(piece: Piece, most: float) -> str:
    """Black on a pale to full colour; never nearly white, which dark terminals would show most."""
    found = strength(piece.attribution, most)
    if not found:
        return ""
    shade = [round(255 - (1 + found) / 2 * (255 - full)) for full in colour(piece.attribution)]
    return "black on rgb({},{},{})".format(*shade)
