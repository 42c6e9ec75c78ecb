"""Small types that every layer shares."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, NotRequired, TypedDict

import numpy as np
from numpy.typing import NDArray

Pair = tuple[str, str]
"""A query and a document."""

AnyPair = tuple[str, Any]
"""A query and a document of any modality: a string, or what ``crossrank.multimodal`` made of an
image or a recording, which like a string has a length, a hash and ``str()``, its digest."""

Fetcher = Callable[[str], bytes]
"""Gives the file at an address: what a caller passes who wants documents to be fetched."""

Precision = Literal["fp32", "fp16", "bf16", "int8", "int4"]
"""What the weights of a model are computed in."""

Floats = NDArray[np.float32]
"""An array of fp32 numbers: logits ``[pairs, labels]`` or scores ``[pairs]``."""


@dataclass(frozen=True, slots=True)
class Patches:
    """An image as a vision-language model reads it.

    Attributes:
        values: The numbers of each patch, ``[patches, numbers]``.
        grid: Frames, rows and columns of the patches.
    """

    values: Floats
    grid: tuple[int, int, int]


Run = dict[str, dict[str, float]]
"""``run[query_id][doc_id]`` = score."""

Qrels = dict[str, dict[str, int]]
"""``qrels[query_id][doc_id]`` = graded judgement."""


class RankedDocument(TypedDict):
    """One entry of a ranking, in the form that sentence-transformers returns.

    Attributes:
        corpus_id: Position of the document in the list that was ranked.
        score: The score after the activation; higher is better.
        text: The document as it was given, when ``return_documents=True``.
        truncated_tokens: Tokens of query and document that the model did not read,
            when ``return_truncation=True``.
        span: Start and end character of the window that gave the score, when long
            documents are scored by windows.
    """

    corpus_id: int
    score: float
    text: NotRequired[Any]
    truncated_tokens: NotRequired[int]
    span: NotRequired[tuple[int, int]]
