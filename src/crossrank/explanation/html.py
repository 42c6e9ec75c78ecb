"""Explanations as HTML: one fragment with its styles, nothing loaded from elsewhere."""

from html import escape

from crossrank.explanation.explanation import Explanation, Piece
from crossrank.explanation.shading import (
    LOWERS,
    RAISES,
    Colour,
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

_PAGE = "font-family:system-ui,sans-serif;line-height:1.7;max-width:60em"
_TEXT = "white-space:pre-wrap;overflow-wrap:anywhere;margin:.5em 0"
_STRONGEST_ALPHA = 0.6
_SMALL = "font-size:85%;margin:.5em 0"


def to_html(explanation: Explanation) -> str:
    """Write an explanation as a fragment of HTML, in ASCII."""
    numbered = set(strongest(explanation))
    most = largest(explanation)
    marked = "".join(
        _mark(piece, most, number=piece in numbered) if piece else _text(part)
        for part, piece in walk(explanation)
    )
    rest = unread(explanation)
    lines = [
        f'<div class="crossrank-explanation" style="{_PAGE}">',
        f"<div><strong>{_text(explanation.query)}</strong></div>",
        f'<div style="{_SMALL}">{_text(headline(explanation))}</div>',
        f'<div style="{_TEXT}">{marked}{_not_read(rest) if rest else ""}</div>',
        f'<div style="{_SMALL}">{_sample(RAISES, "raises the logit")} '
        f"{_sample(LOWERS, 'lowers it')}</div>",
    ]
    if explanation.faithfulness is not None:
        lines.append(f'<div style="{_SMALL}">{_text(judgement(explanation.faithfulness))}</div>')
    return "\n".join([*lines, "</div>"]).encode("ascii", "xmlcharrefreplace").decode()


def _mark(piece: Piece, most: float, *, number: bool) -> str:
    value = f"{piece.attribution:+.3f}"
    style = _on(colour(piece.attribution), strength(piece.attribution, most))
    shown = f"<sup>{value}</sup>" if number else ""
    return f'<mark style="{style}" title="{value}">{_text(piece.text)}{shown}</mark>'


def _sample(colour: Colour, meaning: str) -> str:
    return f'<span style="{_on(colour, 1)};padding:0 .4em">{meaning}</span>'


def _not_read(rest: str) -> str:
    return f'<span style="opacity:.55" title="not read by the model">{_text(rest)}</span>'


def _on(colour: Colour, strength: float) -> str:
    """A background that the page's own shines through, so that text is legible on dark ones too."""
    alpha = round(_STRONGEST_ALPHA * strength, 2)
    return "background:rgba({},{},{},{});color:inherit;border-radius:.2em".format(*colour, alpha)


def _text(text: str) -> str:
    return escape(visible(text))
