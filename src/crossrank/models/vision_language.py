"""How rerankers that read images, too, want pairs to be written (Qwen3-VL-Reranker)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from crossrank.errors import UnsupportedModelError
from crossrank.models.language_models import template_variables
from crossrank.models.prompts import (
    DOCUMENT,
    PROMPT,
    QUERY,
    Message,
    render_template,
    split_chat_template,
    split_messages,
    structured,
)
from crossrank.models.tokenizer_files import Vocabulary
from crossrank.tokenization import PromptTemplate

VISION_LANGUAGE = ("qwen2_vl", "qwen2_5_vl", "qwen3_vl")
"""Model types that read images, and whose image processor is known."""

IMAGE = "<|image_pad|>"
"""Stands for an image in texts for these models."""

Form = tuple[str, ...]
"""What a document holds, in order, e.g. ``("image", "text")``."""

_PARTS: dict[str, Message] = {
    "text": {"type": "text", "text": DOCUMENT},
    "image": {"type": "image", "image": "image"},
}
_FORMS: tuple[Form, ...] = (("image",), ("text", "image"), ("image", "text"))


@dataclass(frozen=True)
class ImageTemplate(PromptTemplate):
    """A pair written into one text, in which an image may stand.

    Documents that are texts are written as the template itself says.

    Attributes:
        forms: Templates for what else a document may hold. ``IMAGE`` is in each once, in
            ``between`` or in ``after``.
    """

    forms: Mapping[Form, PromptTemplate] = field(default_factory=dict)


def read_image_template(
    name: str,
    *,
    config: dict[str, Any],
    settings: dict[str, Any],
    transformer: dict[str, Any],
    vocabulary: Vocabulary,
) -> ImageTemplate:
    """Read the chat template of a model.

    Args:
        name: What the user asked for.
        config: ``config.json``.
        settings: ``tokenizer_config.json``, the chat template, and the caller's
            ``processor_kwargs``.
        transformer: ``sentence_bert_config.json``.
        vocabulary: The model's tokens.

    Raises:
        UnsupportedModelError: It does not pass on query and image, or the token for images is not
            the model's.
    """
    source = settings.get("chat_template") or ""
    found = split_image_template(source, template_variables(settings, transformer))
    if found is None or ("image",) not in found.forms:
        raise UnsupportedModelError(
            f"{name} reads images, and needs a chat template that passes on the roles 'query' and "
            f"'document', in this order, and writes {IMAGE} for an image: "
            "processor_kwargs={'chat_template': ...}."
        )
    wanted, token = config.get("image_token_id"), vocabulary.id_of(IMAGE)
    if token is None or token != wanted:
        raise UnsupportedModelError(
            f"{IMAGE} must be token {wanted} of {name}, as its config.json says, and is {token} in "
            "the tokenizer."
        )
    return found


def split_image_template(source: str, variables: dict[str, Any]) -> ImageTemplate | None:
    """Turn a chat template into templates for documents of all forms.

    Args:
        source: The Jinja template.
        variables: Special tokens and further variables that it may use.

    Returns:
        The templates, or ``None`` when query and document are not passed on. A form is left out
        where not all of it is passed on.
    """
    plain = split_chat_template(source, variables)
    if plain is None:
        return None
    render = render_template(source, variables)

    def render_image(messages: list[Message]) -> str:
        """An image alone is written as one that an empty text follows."""
        return render(messages).replace(IMAGE, IMAGE + DOCUMENT)

    forms = {}
    for form in _FORMS:
        document = {"role": "document", "content": [_PARTS[kind] for kind in form]}
        found = split_messages(
            render if "text" in form else render_image,
            [structured("query", QUERY), document],
            structured("system", PROMPT),
        )
        if found is not None and (found.between + found.after).count(IMAGE) == 1:
            forms[form] = found
    return ImageTemplate(**vars(plain), forms=forms)
