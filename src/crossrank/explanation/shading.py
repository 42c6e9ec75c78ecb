"""What terminal and HTML share: shades of attributions, and which pieces get their number."""

import re
from collections.abc import Iterator

from crossrank.explanation.explanation import Explanation, Piece
from crossrank.explanation.faithfulness import Faithfulness
from crossrank.tokenization import replace_surrogates

Colour = tuple[int, int, int]
"""Red, green and blue, 0 to 255."""

RAISES: Colour = (90, 170, 255)
LOWERS: Colour = (255, 150, 60)
"""Blue and orange are told apart by almost everybody."""

STRONGEST = 10
"""How many words have their attribution written out; sentences all have."""

UNREAD_CHARACTERS = 200
"""How much is shown of what the model did not read."""

_FAINTEST = 0.1
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def strength(attribution: float, largest: float) -> float:
    """How strongly a piece is shaded: from 0 to 1 for the largest, and 0 for what is faint.

    Args:
        attribution: Of the piece.
        largest: The largest absolute value of all pieces.

    Example:
        >>> strength(2.0, 2.0), strength(-1.0, 2.0), strength(0.01, 2.0)
        (1.0, 0.5, 0.0)
    """
    share = abs(attribution) / largest if largest else 0.0
    return share if share >= _FAINTEST else 0.0


def colour(attribution: float) -> Colour:
    """The colour of a piece."""
    return RAISES if attribution > 0 else LOWERS


def largest(explanation: Explanation) -> float:
    """The largest absolute attribution."""
    return max((abs(piece.attribution) for piece in explanation.pieces), default=0.0)


def strongest(explanation: Explanation) -> list[Piece]:
    """The pieces whose attribution is written out, largest absolute value first."""
    found = [piece for piece in explanation.pieces if piece.attribution]
    found.sort(key=lambda piece: -abs(piece.attribution))
    return found if explanation.method == "sentences" else found[:STRONGEST]


def walk(explanation: Explanation) -> Iterator[tuple[str, Piece | None]]:
    """The document in order: the text of each piece, and the white space between them."""
    place = 0
    for piece in explanation.pieces:
        yield explanation.document[place : piece.start], None
        yield piece.text, piece
        place = piece.end
    yield explanation.document[place : explanation.read], None


def unread(explanation: Explanation) -> str:
    """The beginning of what the model did not read."""
    rest = explanation.document[explanation.read :].rstrip()
    return rest if len(rest) <= UNREAD_CHARACTERS else rest[:UNREAD_CHARACTERS] + "…"


def headline(explanation: Explanation) -> str:
    """The figures of an explanation."""
    label = f"label {explanation.label}: " if explanation.label else ""
    return (
        f"{label}logit {explanation.logit:.3f}, score {explanation.score:.4f}; "
        f"logit without the document {explanation.baseline:.3f}"
    )


def judgement(found: Faithfulness) -> str:
    """What is known of an explanation's faithfulness."""
    return (
        f"Faithfulness: gain over random orders {found.gain:+.3f} "
        f"(deletion {found.deletion:.3f} against {found.random_deletion:.3f}, "
        f"insertion {found.insertion:.3f} against {found.random_insertion:.3f}; "
        f"better than {found.beaten:.0%} of them)"
    )


def visible(text: str) -> str:
    """Replace characters that steer a terminal or turn the order of text.

    Example:
        >>> visible("red: \\x1b[31m")
        'red: \ufffd[31m'
    """
    return _CONTROLS.sub("\ufffd", replace_surrogates(text).replace("\r\n", "\n"))
