"""Documents as Jina and vLLM write them: texts, objects with a text or an image, messages."""

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, model_validator

from crossrank.server.dialects.base import Schema
from crossrank.server.documents import Written

IMAGE = "In base64, best as data:image/png;base64,...; nothing is fetched from addresses."


class TextDocument(Schema):
    """A document as an object; other fields are not read, and come back with it."""

    model_config = ConfigDict(extra="allow", strict=True)

    text: str


class ImageDocument(Schema):
    """An image, as Jina writes it; other fields come back with it."""

    model_config = ConfigDict(extra="allow", strict=True)

    image: str = Field(description=IMAGE)


class TextPart(Schema):
    """The text of a message."""

    type: Literal["text"]
    text: str


class ImageAddress(Schema):
    """Where the image of a message is: in the address itself."""

    url: str = Field(description=IMAGE)


class ImagePart(Schema):
    """The image of a message."""

    type: Literal["image_url"]
    image_url: ImageAddress


class Message(Schema):
    """A text, an image, or one of each, as vLLM writes them."""

    content: list[Annotated[TextPart | ImagePart, Field(discriminator="type")]] = Field(
        min_length=1, max_length=2
    )

    @model_validator(mode="after")
    def _one_of_each(self) -> "Message":
        if len({part.type for part in self.content}) < len(self.content):
            raise ValueError("a document may have one text and one image")
        return self

    def parts(self) -> dict[str, str]:
        """Text and image, in order."""
        return dict(
            ("text", part.text) if isinstance(part, TextPart) else ("image", part.image_url.url)
            for part in self.content
        )


Document = str | TextDocument | ImageDocument | Message


def read_document(document: Document) -> Written:
    """Give a document as the server scores it.

    Example:
        >>> read_document(ImageDocument(image="iVBORw0KGgo="))
        {'image': 'iVBORw0KGgo='}
    """
    match document:
        case str():
            return document
        case TextDocument():
            return document.text
        case ImageDocument():
            return {"image": document.image}
    parts = document.parts()
    return parts if "image" in parts else parts["text"]


def as_object(document: Document | dict[str, str]) -> dict[str, Any]:
    """Give a document back as an object.

    Example:
        >>> as_object("some text")
        {'text': 'some text'}
    """
    if isinstance(document, str):
        return {"text": document}
    if isinstance(document, Message):
        return {"multi_modal": document.model_dump()["content"]}
    return document if isinstance(document, dict) else document.model_dump()
