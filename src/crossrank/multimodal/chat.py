"""Texts, images and both together, written as chat messages for vision-language models."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from crossrank.errors import InputError
from crossrank.models.json_files import read_json, read_optional
from crossrank.models.spec import ModelSpec
from crossrank.models.vision_language import IMAGE, Form, ImageTemplate
from crossrank.multimodal.images import count_pixels
from crossrank.multimodal.media import Media, read_media
from crossrank.multimodal.patches import PatchProcessor
from crossrank.multimodal.tokenizer import PROCESSOR
from crossrank.optional import require
from crossrank.tokenization import Encoded, Ids, PairTokenizer, Truncation, read_text
from crossrank.types import AnyPair, Fetcher, Patches

_PROCESSORS = "processor_config.json"
"""Where transformers 5 keeps the settings of all of a model's processors."""


@dataclass(frozen=True)
class Message:
    """A document that holds an image, and maybe a text before or after it.

    Attributes:
        parts: In order.
    """

    parts: tuple[str | Media, ...]

    def __len__(self) -> int:
        return sum(map(len, self.parts))

    def __str__(self) -> str:
        # Documents that are texts do not begin like this: the cache keeps both.
        return f"\0{list(zip(self.form, map(str, self.parts), strict=True))}"

    @property
    def form(self) -> Form:
        """What it holds."""
        return tuple("text" if isinstance(part, str) else "image" for part in self.parts)

    @property
    def image(self) -> Media:
        """The image."""
        return next(part for part in self.parts if isinstance(part, Media))

    @property
    def text(self) -> str:
        """The text, empty where there is none."""
        return "".join(part for part in self.parts if isinstance(part, str))


@dataclass(frozen=True)
class _Written:
    """A pair around its image. Of one that is too long ``tail`` is cut first, then ``head``."""

    media: Media
    image: Patches
    opening: str
    head: str
    before: str
    after: str
    tail: str
    end: str

    @property
    def texts(self) -> tuple[str, ...]:
        """What is tokenised: all that is left and right of the image, and pieces of it."""
        left, right = self.head + self.before, self.after + self.tail
        return left, right, self.opening, self.head, self.before, self.after, self.end


class ChatTokenizer(PairTokenizer):
    """The tokenizer of a model whose documents are texts, images, or both together.

    Attributes:
        process: Makes patches of images.
        image_token: Id of the token that stands for a state of an image.
        fetcher: Gives the file at an address. May be set.
    """

    process: PatchProcessor
    image_token: int = -1
    fetcher: Fetcher | None = None

    @classmethod
    def load(cls, spec: ModelSpec, truncation: Truncation = "longest_first") -> Self:
        """Load the tokenizer and the image processor of a model's folder.

        Raises:
            ModelFileError: A file is missing or damaged.
            UnsupportedModelError: The processor is of no known kind.
            MissingDependencyError: Pillow is not installed.
        """
        require("PIL", extra="multimodal")
        loaded = cls(
            spec.tokenizer_file, spec.template, max_length=spec.max_length, truncation=truncation
        )
        loaded.image_token = spec.config["image_token_id"]
        file = spec.folder / _PROCESSORS
        settings = read_optional(file).get("image_processor")
        loaded.process = PatchProcessor.of(settings or read_json(spec.folder / PROCESSOR))
        return loaded

    @property
    def _forms(self) -> Mapping[Form, Any]:
        assert isinstance(self.template, ImageTemplate)
        return self.template.forms

    def read(self, document: Any, where: str) -> str | Message:
        """Check a document before it is encoded; see ``crossrank.multimodal`` for what it may be.

        Raises:
            InputError: It is something else, or a file that is no image.
        """
        if isinstance(document, str | Message):
            return document
        named = isinstance(document, Mapping) and document.keys() & {"text", "image", "audio"}
        parts: Mapping[str, Any] = document if named else {"image": document}
        if not parts.keys() <= {"text", "image"}:
            raise InputError(
                f"{where} is {' and '.join(sorted(map(str, parts)))}, and this model reads texts "
                "and images: {'text': ..., 'image': ...}."
            )
        if "image" not in parts:
            return read_text(parts["text"], where)
        message = Message(
            tuple(
                read_text(part, where) if kind == "text" else self._read_image(part, where)
                for kind, part in parts.items()
            )
        )
        if message.form not in self._forms:
            raise InputError(
                f"{where} is {' and '.join(message.form)}, and the model's chat template takes one "
                "of both only."
            )
        return message

    def _read_image(self, value: Any, where: str) -> Media:
        media = read_media(value, "image", where, fetcher=self.fetcher)
        return replace(media, values=3 * min(count_pixels(media), self.process.most))

    def encode(
        self, pairs: Sequence[AnyPair], *, prompt: str | None = None, count_all: bool = False
    ) -> list[Encoded]:
        """Tokenise pairs, and decode each distinct image once.

        An image is never cut, and neither is what the template writes around it.

        Raises:
            InputError: An image cannot be decoded, or leaves no room for the query; the message
                names it.
        """
        read = [(query, self.read(document, "The document")) for query, document in pairs]
        texts = [pair for pair in read if isinstance(pair[1], str)]
        encoded = iter(super().encode(texts, prompt=prompt, count_all=count_all))
        images = {
            document.image: self.process(document.image)
            for document in dict.fromkeys(document for _, document in read)
            if isinstance(document, Message)
        }
        written = [
            None
            if isinstance(document, str)
            else self._write(query, document, images[document.image], prompt)
            for query, document in read
        ]
        ids = self._ids_of(
            (text for pair in written if pair is not None for text in pair.texts),
            None if count_all else self.max_length,
        )
        return [next(encoded) if pair is None else self._encoded(pair, ids) for pair in written]

    def _write(self, query: str, document: Message, image: Patches, prompt: str | None) -> _Written:
        template = self._forms[document.form]
        opening = template.opening(prompt)
        head = opening + query
        before, found, after = template.between.partition(IMAGE)
        if found:
            tail, end = document.text, template.after
        else:
            head += template.between + document.text
            before, _, after = template.after.partition(IMAGE)
            tail = end = ""
        return _Written(document.image, image, opening, head, before, after, tail, end)

    def _encoded(self, pair: _Written, ids: dict[str, Ids]) -> Encoded:
        left, right, opening, head, before, after, end = (ids[text] for text in pair.texts)
        image = np.full(self.process.states(pair.image), self.image_token, dtype=np.int32)
        room = self.max_length - sum(map(len, (before, image, after, end)))
        if room <= len(opening):
            raise InputError(
                f"{pair.media.name} becomes {len(image)} tokens, which leave no room for a query: "
                f"a pair has at most {self.max_length}, with what the template writes. Make the "
                "image smaller, or raise max_length."
            )
        whole = len(left) + len(right)
        if len(left) - len(before) > room:
            left = np.concatenate((head[:room], before))
        right = right[: self.max_length - len(left) - len(image) - len(end)]
        cut = whole - len(left) - len(right)
        all_ids = np.concatenate((left, image, right, end))
        return Encoded(all_ids, len(all_ids), truncated_document=cut, image=pair.image)

    def _ids_of(self, texts: Iterable[str], wanted: int | None) -> dict[str, Ids]:
        """Tokenise each distinct text once; one that names the token of images shows none."""
        found = super()._ids_of(texts, wanted)
        return {text: ids[ids != self.image_token] for text, ids in found.items()}

    def offsets(self, text: str) -> NDArray[np.int64]:
        """Find where each token of a text lies, see ``PairTokenizer.offsets``.

        Raises:
            InputError: It is no text.
        """
        if not isinstance(text, str):
            raise InputError(
                "Windows are cut from texts, and a document holds an image: long_documents must "
                'be "truncate".'
            )
        return super().offsets(text)
