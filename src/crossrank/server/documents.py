"""Documents as requests bring them: texts, and images that are in the request itself.

Nothing is fetched: an address would let clients make this server ask others.
"""

import base64
import re
from collections.abc import Mapping, Sequence
from typing import Any

from crossrank.multimodal.images import count_pixels
from crossrank.multimodal.media import Media, read_media
from crossrank.server.problems import RequestError
from crossrank.tokenization import PairTokenizer
from crossrank.types import AnyPair

Written = str | Mapping[str, str]
"""A text; or an image in base64 as ``{"image": ...}``, maybe with a ``"text"`` before or after."""

WrittenPair = tuple[str, Written]
"""A query and a document as a request writes it."""

MOST_PIXELS = 100_000_000
"""Of all images of a request: they are decoded on a thread that other requests wait for."""

MOST_NUMBERS = 16_000_000
"""What the model may read of all images of a request: 64 MB, or 106 images of 224 times 224."""

CALLED = {"text": "a text", "image": "an image"}

HOW = '{"image": "data:image/png;base64,..."} at /v1/rerank'

_DATA_URL = re.compile(r"data:image/[\w.+-]{1,40};base64,", re.IGNORECASE)


def all_texts(pairs: Sequence[WrittenPair]) -> bool:
    """Say whether all documents are texts."""
    return all(isinstance(document, str) for _, document in pairs)


def read_documents(
    pairs: Sequence[WrittenPair], tokenizer: PairTokenizer, modalities: Sequence[str]
) -> list[AnyPair]:
    """Read the documents of a request, as the tokenizer takes them.

    Args:
        pairs: Queries and documents.
        tokenizer: Of the model.
        modalities: What the model reads.

    Raises:
        RequestError: A document is none that the model reads, or no image in base64; or there is
            more to read of the images than a request may bring.
        InputError: An image cannot be opened.
    """
    found: list[AnyPair] = []
    pixels = numbers = 0
    for index, (query, written) in enumerate(pairs):
        where = f"The document at index {index}"
        kinds = ["text"] if isinstance(written, str) else list(written)
        if not set(kinds) <= set(modalities):
            received = " and ".join(CALLED[kind] for kind in kinds)
            readable = " and ".join(f"{kind}s" for kind in modalities)
            hint = f": send {HOW}" if "image" in modalities else ""
            raise RequestError(
                "invalid", f"{where} is {received}, and this model reads {readable}{hint}."
            )
        if isinstance(written, str):
            found.append((query, written))
            continue
        image = _image(written["image"], where)
        pixels += count_pixels(image)
        document = tokenizer.read(_around(image, written), where)
        numbers += len(document)
        if pixels > MOST_PIXELS or numbers > MOST_NUMBERS:
            raise RequestError(
                "too_large",
                f"The images of a request may have {MOST_PIXELS:,} pixels together, of which the "
                f"model may read {MOST_NUMBERS:,} numbers; with the one at index {index} they have "
                f"{pixels:,} and {numbers:,}. Send fewer at a time, or smaller ones.",
            )
        found.append((query, document))
    return found


def _around(image: Media, written: Mapping[str, str]) -> Any:
    """Put an image in the place of what was written of it; one without a text stands alone."""
    return {**written, "image": image} if len(written) > 1 else image


def _image(written: str, where: str) -> Media:
    address = _DATA_URL.match(written)
    try:
        content = base64.b64decode(written[address.end() if address else 0 :], validate=True)
    except ValueError:
        raise RequestError(
            "invalid",
            f"{where} must bring its image in base64, as data:image/png;base64,..., received "
            f"{written[:40]!r}. Nothing is fetched from addresses.",
        ) from None
    return read_media(content, "image", where)
