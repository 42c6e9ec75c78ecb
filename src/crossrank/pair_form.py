"""How a tokenizer writes a pair: the special tokens around query and document."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from crossrank.errors import UnsupportedModelError


@dataclass(frozen=True)
class Frame:
    """The special tokens around both texts, read off the tokenizer's post-processor.

    Attributes:
        before: Before the query.
        between: Between query and document.
        after: After the document.
        types_between: The token types of what is between.
        type_of_document: The token type of the document.
    """

    before: NDArray[np.int32]
    between: NDArray[np.int32]
    after: NDArray[np.int32]
    types_between: tuple[int, ...]
    type_of_document: int

    @property
    def size(self) -> int:
        """How many there are."""
        return len(self.before) + len(self.between) + len(self.after)


def read_frame(tokenizer: Tokenizer) -> Frame:
    """Learn a tokenizer's pair form from what it makes of a pair with one token on each side.

    Raises:
        UnsupportedModelError: The form is unknown.
    """
    token = next(iter(tokenizer.encode("a b c", add_special_tokens=False).ids), None)
    if token is None:
        raise UnsupportedModelError("The tokenizer makes no tokens of the text 'a b c'.")
    word = tokenizer.encode("a", add_special_tokens=False)
    pair = tokenizer.encode("a", "a")
    sides = pair.sequence_ids
    if len(word.ids) == 0 or 0 not in sides or 1 not in sides:
        raise UnsupportedModelError(
            "The tokenizer does not keep query and document apart, so its pair form is unknown."
        )
    query = sides.index(0)
    document = sides.index(1)
    end_of_query = query + sides.count(0)
    end_of_document = document + sides.count(1)
    types = pair.type_ids
    expected = [0] * types.count(0) + [1] * types.count(1)
    if document < query or types != expected:
        raise UnsupportedModelError(
            f"The tokenizer's pair form has token types {types}; crossrank knows forms in which "
            "the query comes first with type 0 and the document has type 0 or 1."
        )
    ids = np.array(pair.ids, dtype=np.int32)
    return Frame(
        before=ids[:query],
        between=ids[end_of_query:document],
        after=ids[end_of_document:],
        types_between=tuple(types[end_of_query:document]),
        type_of_document=types[document],
    )
