"""Pairs to token ids: templates, truncation, and what was cut.

A tokenizer's truncation and padding are switched off here and done by crossrank itself. So one
tokenizer serves many threads (nothing in it changes after loading), a query is tokenised once for
all its documents, and it is known how much of each text the model did not read.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from crossrank.errors import InputError, ModelFileError, QueryTooLongError, describe
from crossrank.pair_form import read_frame
from crossrank.types import AnyPair, Floats, Pair, Patches

Ids = NDArray[np.int32]

Truncation = Literal["longest_first", "only_document"]
"""What is cut when a pair is too long: the longer of both texts, or the document alone."""

TruncationSide = Literal["left", "right"]
"""Which end of a text that is too long is cut."""

PIECE_CHARACTERS = 50_000
"""Longer texts are tokenised piece by piece, so that a text of many megabytes stays cheap."""


@dataclass(frozen=True)
class PairTemplate:
    """The pair form built into the tokenizer, e.g. ``[CLS] query [SEP] document [SEP]``.

    Attributes:
        truncation_side: Which end of either text is cut; by default what ``tokenizer.json`` says.
    """

    truncation_side: TruncationSide | None = None


@dataclass(frozen=True)
class PromptTemplate:
    """A pair written into one text, as rerankers made from language models read it.

    ``{prompt}`` in ``before`` is replaced by the prompt (the instruction) of the call. Special
    tokens are written out. A text that is too long is cut; ``after`` is always kept.

    Attributes:
        before: Text before the query.
        between: Text between query and document.
        after: Text after the document.
        default_prompt: Stands for ``{prompt}`` when the caller gives none.
        without_prompt: Text before the query when the caller gives no prompt, for models that
            then leave out more than the prompt itself.
        query_apart: Tokenise the query with what is before it apart from the rest, so that no
            token spans its end.
        truncation_side: Which end is cut; by default what ``tokenizer.json`` says.
    """

    before: str
    between: str
    after: str
    default_prompt: str = ""
    without_prompt: str | None = None
    query_apart: bool = False
    truncation_side: TruncationSide | None = None

    def opening(self, prompt: str | None) -> str:
        """Give the text before the query.

        Example:
            >>> PromptTemplate("<i>{prompt}</i> ", " ", "", without_prompt="").opening("Judge.")
            '<i>Judge.</i> '
        """
        if not prompt and self.without_prompt is not None:
            return self.without_prompt
        return self.before.replace("{prompt}", prompt or self.default_prompt)


Template = PairTemplate | PromptTemplate


@dataclass(frozen=True, slots=True)
class Encoded:
    """One pair, ready for the model.

    Attributes:
        ids: Token ids, special tokens included, not padded.
        document_start: First position whose token type is 1; ``len(ids)`` where the model knows
            no token types.
        truncated_query: Tokens of the query that were cut.
        truncated_document: Tokens of the document that were cut. Of a text so long that it was
            not tokenised to its end, only those that were seen count, unless all were asked for.
        features: Of a document that is an image or a recording, which has no token ids.
        positions: How many states the model computes of ``features``.
        image: Of a document that holds one; its token stands in ``ids`` for each of its states.
    """

    ids: Ids
    document_start: int
    truncated_query: int = 0
    truncated_document: int = 0
    features: Floats | None = None
    positions: int = 0
    image: Patches | None = None

    @property
    def length(self) -> int:
        """How much there is to compute: tokens, and positions of features."""
        return len(self.ids) + self.positions


class PairTokenizer:
    """Turns pairs into token ids for one model.

    Args:
        file: The ``tokenizer.json``.
        template: How a pair becomes one sequence.
        max_length: Longest sequence in tokens, special tokens included. May be changed later.
        truncation: What is cut when a pair is longer.

    Attributes:
        cuts_left: Whether it is the beginning of a text that is cut.

    Raises:
        ModelFileError: The file is missing or damaged.
        UnsupportedModelError: The tokenizer's pair form is unknown.
    """

    def __init__(
        self,
        file: Path,
        template: Template,
        *,
        max_length: int,
        truncation: Truncation = "longest_first",
    ) -> None:
        if truncation not in ("longest_first", "only_document"):
            raise InputError(
                f"truncation must be 'longest_first' or 'only_document', received {truncation!r}."
            )
        self.tokenizer = _load(file)
        saved = self.tokenizer.truncation or {}
        self.cuts_left = (template.truncation_side or saved.get("direction")) == "left"
        self.tokenizer.no_truncation()
        self.tokenizer.no_padding()
        self.template = template
        self.truncation = truncation
        self._frame = read_frame(self.tokenizer) if isinstance(template, PairTemplate) else None
        self.max_length = max_length

    @property
    def max_length(self) -> int:
        """Longest sequence in tokens, special tokens included. May be set."""
        return self._max_length

    @max_length.setter
    def max_length(self, value: int) -> None:
        around = self._frame.size if self._frame else len(self._after())
        if value < around + 2:
            raise InputError(
                f"max_length must be at least {around + 2}, to hold the special tokens and one "
                f"token of each text; received {value}."
            )
        self._max_length = value

    def read(self, document: Any, where: str) -> Any:
        """Check a document before it is encoded.

        Args:
            document: What the caller gave.
            where: Names it in messages, e.g. ``"The document of the pair at index 7"``.

        Raises:
            InputError: It is no string.
        """
        return read_text(document, where)

    @property
    def tokens_after(self) -> int:
        """How many tokens follow the document."""
        return len(self._frame.after) if self._frame else len(self._after())

    def encode(
        self, pairs: Sequence[AnyPair], *, prompt: str | None = None, count_all: bool = False
    ) -> list[Encoded]:
        """Tokenise pairs.

        Args:
            pairs: Queries and documents.
            prompt: Put before each query, or into the template's place for it.
            count_all: Tokenise long texts to their end, to count every token that is cut.

        Returns:
            One entry a pair, in the same order.

        Raises:
            QueryTooLongError: ``truncation="only_document"`` and a query leaves no room.
        """
        if isinstance(self.template, PromptTemplate):
            return self._encode_prompts(self.template, pairs, prompt, count_all)
        prefix = prompt or ""
        wanted = None if count_all else self.max_length
        queries = self._ids_of((prefix + query for query, _ in pairs), wanted)
        documents = self._ids_of((document for _, document in pairs), wanted)
        return [
            self._join(queries[prefix + query], documents[document]) for query, document in pairs
        ]

    def offsets(self, text: str) -> NDArray[np.int64]:
        """Find where each token of a text lies.

        Returns:
            Start and end character of each token, ``[tokens, 2]``; no special tokens.
        """
        return self.first_offsets(text, None)

    def first_offsets(self, text: str, wanted: int | None) -> NDArray[np.int64]:
        """Find where the first tokens of a text lie: more than ``wanted`` if it has them."""
        spans: list[tuple[int, int]] = []
        start = 0
        for piece in _pieces(replace_surrogates(text)):
            encoding = self.tokenizer.encode(piece, add_special_tokens=False)
            spans += [(start + a, start + b) for a, b in encoding.offsets]
            start += len(piece)
            if wanted is not None and len(spans) > wanted:
                break
        return np.asarray(spans, dtype=np.int64).reshape(-1, 2)

    def count(self, text: str, wanted: int | None = None) -> int:
        """Count the tokens of a text, without special tokens; beyond ``wanted`` not all."""
        return len(self._ids_of([text], wanted)[text])

    def room(self, query: str, prompt: str | None = None) -> int:
        """Tokens left for a document beside this query; half of all where queries are cut, too."""
        if isinstance(self.template, PromptTemplate):
            opening = self.template.opening(prompt)
            around = (opening + query, self.template.between, self.template.after)
            used = sum(self.count(text, self.max_length) for text in around)
            return max(1, self.max_length - used)
        assert self._frame is not None
        both = self.max_length - self._frame.size
        fewest = both // 2 if self.truncation == "longest_first" else 1
        return max(fewest, both - self.count((prompt or "") + query, self.max_length))

    def _ids_of(self, texts: Iterable[str], wanted: int | None) -> dict[str, Ids]:
        """Tokenise each distinct text once, at least ``wanted`` tokens from the end to keep."""
        distinct = list(dict.fromkeys(texts))
        short = [text for text in distinct if len(text) <= PIECE_CHARACTERS]
        encodings = self.tokenizer.encode_batch_fast(
            [replace_surrogates(text) for text in short], add_special_tokens=False
        )
        found = {
            text: np.array(encoding.ids, dtype=np.int32)
            for text, encoding in zip(short, encodings, strict=True)
        }
        for text in distinct:
            if text not in found:
                found[text] = self._long_ids(text, wanted)
        return found

    def _long_ids(self, text: str, wanted: int | None) -> Ids:
        parts: list[list[int]] = []
        total = 0
        pieces = list(_pieces(replace_surrogates(text)))
        for piece in reversed(pieces) if self.cuts_left else pieces:
            ids = self.tokenizer.encode(piece, add_special_tokens=False).ids
            parts.append(ids)
            total += len(ids)
            if wanted is not None and total > wanted:
                break
        if self.cuts_left:
            parts.reverse()
        return np.array([token for ids in parts for token in ids], dtype=np.int32)

    def _after(self) -> Ids:
        """The tokens that end every text of a prompt template."""
        if isinstance(self.template, PairTemplate):
            return np.empty(0, dtype=np.int32)
        return self._ids_of([self.template.after], None)[self.template.after]

    def _join(self, query: Ids, document: Ids) -> Encoded:
        frame = self._frame
        assert frame is not None
        room = self.max_length - frame.size
        keep_query, keep_document = self._kept(len(query), len(document), room)
        first, other = self._cut(query, keep_query), self._cut(document, keep_document)
        ids = np.concatenate((frame.before, first, frame.between, other, frame.after))
        second = len(frame.before) + keep_query + len(frame.between)
        if 1 in frame.types_between:
            start = second - len(frame.between) + frame.types_between.index(1)
        else:
            start = second if frame.type_of_document == 1 else len(ids)
        return Encoded(ids, start, len(query) - keep_query, len(document) - keep_document)

    def _cut(self, ids: Ids, keep: int) -> Ids:
        return ids[max(0, len(ids) - keep) :] if self.cuts_left else ids[:keep]

    def _kept(self, query: int, document: int, room: int) -> tuple[int, int]:
        """How many tokens of each text fit, as Hugging Face's ``tokenizers`` would cut them."""
        if query + document <= room:
            return query, document
        if self.truncation == "only_document":
            if query >= room:
                raise QueryTooLongError(
                    f"A query of {query} tokens leaves no room for a document: with "
                    f"truncation='only_document' it may have at most {room - 1} tokens "
                    f"(max_length is {self.max_length}). Shorten the query, raise max_length, or "
                    "use truncation='longest_first'.",
                    tokens=query,
                    most=room - 1,
                )
            return query, room - query
        shorter = min(query, document)
        longer = max(shorter, room - shorter)
        if shorter + longer > room:
            shorter, longer = room // 2, room // 2 + room % 2
        return (shorter, longer) if query <= document else (longer, shorter)

    def _encode_prompts(
        self, template: PromptTemplate, pairs: Sequence[Pair], prompt: str | None, count_all: bool
    ) -> list[Encoded]:
        opening = template.opening(prompt)
        heads = [opening + query for query, _ in pairs]
        tails = [template.between + document for _, document in pairs]
        if not template.query_apart:
            heads = [head + tail for head, tail in zip(heads, tails, strict=True)]
            tails = [""] * len(pairs)
        found = self._ids_of([*heads, *tails], None if count_all else self.max_length)
        after = self._after()
        room = self.max_length - len(after)
        encoded = []
        for head, tail in zip(heads, tails, strict=True):
            text = np.concatenate((found[head], found[tail]))
            ids = np.concatenate((self._cut(text, room), after))
            cut = max(0, len(text) - room)
            encoded.append(Encoded(ids, len(ids), truncated_document=cut))
        return encoded


def _load(file: Path) -> Tokenizer:
    if not file.is_file():
        raise ModelFileError(f"A tokenizer.json is required, and {file} does not exist.")
    try:
        return Tokenizer.from_file(str(file))
    except Exception as error:
        raise ModelFileError(
            f"{file} cannot be read as a tokenizer: {error}. Download the model again."
        ) from error


def read_text(value: Any, where: str) -> str:
    """See that a value is a string; ``where`` names it in the message."""
    if not isinstance(value, str):
        raise InputError(f"{where} must be a string, received {describe(value)}.")
    return value


def replace_surrogates(text: str) -> str:
    """Replace lone surrogates, which JSON can express and UTF-8 cannot, by U+FFFD."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def _pieces(text: str) -> Iterable[str]:
    """Cut a text before white space, into pieces that a tokenizer takes quickly."""
    start = 0
    while len(text) - start > PIECE_CHARACTERS:
        end = start + PIECE_CHARACTERS
        border = max(text.rfind(" ", start + 1, end), text.rfind("\n", start + 1, end))
        end = border if border > start else end
        yield text[start:end]
        start = end
    if start < len(text) or start == 0:
        yield text[start:]
