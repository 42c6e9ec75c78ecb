"""What an explanation says, and how it is shown."""

from dataclasses import asdict, dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any, Literal

from crossrank.explanation.faithfulness import Faithfulness

if TYPE_CHECKING:
    from rich.console import RenderableType

Method = Literal["sentences", "tokens", "gradients"]
"""Take out sentences, take out words, or integrate gradients over words."""


@dataclass(frozen=True)
class Piece:
    """A piece of a document and what it does to the score.

    Attributes:
        start: Its first character in the document.
        end: The character after its last.
        text: ``document[start:end]``.
        attribution: What it adds to the logit; below 0 when it lowers it.
    """

    start: int
    end: int
    text: str
    attribution: float


@dataclass(frozen=True)
class Explanation:
    """Which pieces of a document make its score.

    Prints with shades on terminals (``rich.print``) and in notebooks.

    Attributes:
        query: The query.
        document: The document.
        method: How the attributions were found.
        label: Which of the model's labels is explained.
        logit: The model's raw output for the label.
        score: After the activation.
        baseline: The logit without the document: empty, or of padding for ``"gradients"``.
        pieces: Sentences or words in the document's order; what the model did not read has none.
        read: Characters of the document that the model read.
        faithfulness: Whether deletion and insertion agree; ``None`` when not asked for, and for
            fewer than two pieces.
    """

    query: str
    document: str
    method: Method
    label: int
    logit: float
    score: float
    baseline: float
    pieces: tuple[Piece, ...]
    read: int
    faithfulness: Faithfulness | None = None

    def relevant_spans(self, top: int = 3) -> list[Piece]:
        """The pieces that raise the logit most, neighbours joined.

        Args:
            top: How many pieces at most.

        Returns:
            Spans with the sums of their pieces, highest first.

        Example:
            >>> words = (Piece(0, 2, "in", 0.1), Piece(3, 8, "Paris", 2.0), Piece(9, 11, "it", 1.5))
            >>> found = Explanation("", "in Paris it", "tokens", 0, 1.0, 1.0, 0.0, words, read=11)
            >>> found.relevant_spans(top=2)
            [Piece(start=3, end=11, text='Paris it', attribution=3.5)]
        """
        best = sorted(range(len(self.pieces)), key=lambda index: -self.pieces[index].attribution)
        chosen = sorted(index for index in best[:top] if self.pieces[index].attribution > 0)
        spans = []
        for _, run in groupby(enumerate(chosen), key=lambda entry: entry[1] - entry[0]):
            pieces = [self.pieces[index] for _, index in run]
            start, end = pieces[0].start, pieces[-1].end
            total = sum(piece.attribution for piece in pieces)
            spans.append(Piece(start, end, self.document[start:end], total))
        return sorted(spans, key=lambda span: -span.attribution)

    def to_dict(self) -> dict[str, Any]:
        """The same for machines: what ``json`` can write."""
        found = asdict(self)
        found["pieces"] = list(found["pieces"])
        if self.faithfulness is not None:
            found["faithfulness"]["gain"] = self.faithfulness.gain
        return found

    def to_html(self) -> str:
        """An HTML fragment in ASCII that needs nothing from elsewhere."""
        from crossrank.explanation.html import to_html

        return to_html(self)

    def _repr_html_(self) -> str:
        return self.to_html()

    def __rich__(self) -> "RenderableType":
        from crossrank.explanation.terminal import render

        return render(self)

    def __str__(self) -> str:
        from crossrank.explanation.terminal import plain

        return plain(self)
