"""How much of its texts a request wants read: what is cut first, what is refused instead."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from crossrank.long_documents import split
from crossrank.server.problems import RequestError
from crossrank.tokenization import Encoded, PairTokenizer
from crossrank.types import AnyPair, Floats


@dataclass(frozen=True)
class Reading:
    """What a request says of long texts. What is not cut here, the model cuts as it always does.

    Attributes:
        query_tokens: Cut queries to so many tokens.
        document_tokens: Cut documents to so many tokens.
        chunks: Read a long document in up to so many chunks; the best one counts.
        whole: Refuse what the model cannot read whole: the reason, for the client; empty to cut.
        most_tokens: Refuse longer pairs: the client wants them cut there, which is not supported.
    """

    query_tokens: int | None = None
    document_tokens: int | None = None
    chunks: int = 1
    whole: str = ""
    most_tokens: int | None = None


AS_MUCH_AS_FITS = Reading()
"""Pairs are cut to what the model can read."""


@dataclass(frozen=True)
class Pieces:
    """What is scored for some pairs.

    Attributes:
        pairs: The pieces of all pairs, one after the other.
        starts: Where the pieces of each pair begin.
        unread: Tokens of each pair that are in none of its pieces; of a text that is much longer
            than these, only some.
    """

    pairs: Sequence[AnyPair]
    starts: list[int]
    unread: list[int]

    def best(self, logits: Floats) -> Floats:
        """Give each pair the logits of its best piece: ``[pieces, labels]`` to ``[pairs, labels]``.

        Example:
            >>> pieces = Pieces([("q", "a"), ("q", "b"), ("q", "c")], [0, 2], [0, 0])
            >>> pieces.best(np.float32([[1.0], [3.0], [2.0]])).tolist()
            [[3.0], [2.0]]
        """
        best: Floats = np.maximum.reduceat(logits, self.starts, axis=0)
        return best

    def truncated(self, counts: Sequence[int]) -> list[int]:
        """Count what was not read of each pair, from what was not read of each piece."""
        sums = np.add.reduceat(np.asarray(counts), self.starts) + self.unread
        return [int(total) for total in sums]


def cut(
    pairs: Sequence[AnyPair], reading: Reading, tokenizer: PairTokenizer, prompt: str | None = None
) -> Pieces:
    """Cut texts as a request asks.

    Args:
        pairs: Queries and documents.
        reading: What the request says of long texts.
        tokenizer: Of the model.
        prompt: What the model puts before queries; chunks leave room for it.

    Raises:
        RequestError: There is an image, which cannot be cut.

    Example:
        >>> from crossrank import CrossEncoder
        >>> tokenizer = CrossEncoder().scorer().tokenizer
        >>> cut([("a query", "one two three")], Reading(document_tokens=2), tokenizer)
        Pieces(pairs=[('a query', 'one two')], starts=[0], unread=[1])
    """
    if (reading.query_tokens or reading.document_tokens or reading.chunks > 1) and any(
        not isinstance(document, str) for _, document in pairs
    ):
        raise RequestError(
            "invalid",
            "Images are read whole, and texts beside them too: leave out what says how to cut.",
        )
    pieces: list[AnyPair] = []
    starts: list[int] = []
    unread: list[int] = []

    @cache  # a query comes once for each of its documents
    def opening(query: str) -> tuple[str, int, int]:
        kept, rest = _first(query, reading.query_tokens, tokenizer)
        return kept, rest, tokenizer.room(kept, prompt) if reading.chunks > 1 else 0

    for query, document in pairs:
        kept, of_query, room = opening(query)
        document, of_document = _first(document, reading.document_tokens, tokenizer)
        parts, of_rest = _chunks(document, reading.chunks, room, tokenizer)
        starts.append(len(pieces))
        pieces += [(kept, part) for part in parts]
        unread.append(of_query + of_document + of_rest)
    return Pieces(pieces, starts, unread)


def refuse_long(encoded: Sequence[Encoded], reading: Reading, max_length: int) -> None:
    """Refuse pairs that would have to be cut, where the request does not want that.

    Raises:
        RequestError: There is one.
    """
    for index, pair in enumerate(encoded):
        if reading.whole and pair.truncated_query + pair.truncated_document:
            raise RequestError(
                "too_large",
                f"The text at index {index} has more than the {max_length} tokens that the model "
                f"reads of a pair, and {reading.whole}: shorten it.",
            )
        if reading.most_tokens is not None and pair.length > reading.most_tokens:
            raise RequestError(
                "too_large",
                f"The pair at index {index} has more than {reading.most_tokens} tokens. Pairs are "
                f"cut at {max_length} tokens, and to cut them earlier is not supported: shorten "
                "its texts, or raise the limit.",
            )


def _first(text: str, tokens: int | None, tokenizer: PairTokenizer) -> tuple[str, int]:
    """Give the first tokens of a text, and how many there are after them."""
    # What is longer than the model's limit is cut to the same tokens anyway.
    if tokens is None or tokens >= tokenizer.max_length:
        return text, 0
    offsets = tokenizer.first_offsets(text, tokens)
    if len(offsets) <= tokens:
        return text, 0
    return text[: int(offsets[tokens - 1, 1])], len(offsets) - tokens


def _chunks(document: str, most: int, room: int, tokenizer: PairTokenizer) -> tuple[list[str], int]:
    """Cut a document into chunks; count the tokens behind the last one."""
    if most == 1:
        return [document], 0
    offsets = tokenizer.first_offsets(document, most * room)
    if len(offsets) > most * room:
        document = document[: int(offsets[-1, 1])]  # what is behind it takes time, and is not read
    spans = split(document, offsets, window=room, stride=room)[:most]
    end = spans[-1][1]
    return [document[a:b] for a, b in spans], int((offsets[:, 0] >= end).sum())
