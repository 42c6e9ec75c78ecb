"""How rerankers made from language models want a pair to be written.

Each template is the one its authors publish, token for token: such models answer almost at random
when a line is missing.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from crossrank.errors import UnsupportedModelError
from crossrank.optional import require
from crossrank.tokenization import PromptTemplate

QWEN3 = PromptTemplate(
    before=(
        "<|im_start|>system\nJudge whether the Document meets the requirements based on the Query "
        'and the Instruct provided. Note that the answer can only be "yes" or "no".<|im_end|>\n'
        "<|im_start|>user\n<Instruct>: {prompt}\n<Query>: "
    ),
    between="\n<Document>: ",
    after="<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n",
    default_prompt="Given a web search query, retrieve relevant passages that answer the query",
)
"""Qwen3-Reranker (Zhang et al., 2025); the answer is ``yes`` or ``no``."""

_MXBAI_SYSTEM = (
    "<|im_start|>system\nYou are Qwen, created by Alibaba Cloud. You are a helpful assistant."
    "<|im_end|>\n<|im_start|>user\n"
)
MXBAI = PromptTemplate(
    before=_MXBAI_SYSTEM + "instruction: {prompt}\nquery: ",
    between="\ndocument: ",
    after=(
        "\nYou are a search relevance expert who evaluates how well documents match search "
        "queries. For each query-document pair, carefully analyze the semantic relationship "
        "between them, then provide your binary relevance judgment (0 for not relevant, 1 for "
        "relevant).\nRelevance:<|im_end|>\n<|im_start|>assistant\n"
    ),
    without_prompt=_MXBAI_SYSTEM + "query: ",
    query_apart=True,
)
"""mxbai-rerank-v2, as in the mxbai_rerank package; the answer is ``1`` or ``0``."""

BGE = PromptTemplate(
    before="<bos>A: {prompt}",
    between="\nB: ",
    after="\nPredict whether passage B contains an answer to query A.",
    query_apart=True,
)
"""bge-reranker-v2-gemma, as in FlagEmbedding; its score is the logit of ``Yes`` alone."""

MONO_T5 = PromptTemplate(before="Query: {prompt}", between=" Document: ", after=" Relevant:</s>")
"""monoT5 (Nogueira et al., 2020), as in pygaggle; the answer is ``true`` or ``false``."""


Message = dict[str, Any]
Render = Callable[[list[Message]], str]
"""A compiled chat template."""


def render_template(source: str, variables: dict[str, Any]) -> Render:
    """Compile a tokenizer's chat template, in a sandbox and with transformers' settings.

    Args:
        source: The Jinja template.
        variables: Special tokens and further variables that it may use.

    Returns:
        A function from messages to text.

    Raises:
        MissingDependencyError: jinja2 is not installed.
        UnsupportedModelError: The template is no valid Jinja.
    """
    jinja2 = require("jinja2", extra="torch")
    sandbox = require("jinja2.sandbox", extra="torch")

    def fail(message: str) -> None:
        raise jinja2.TemplateError(message)

    environment = sandbox.ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"]
    )
    environment.globals["raise_exception"] = fail
    defaults = {"add_generation_prompt": False, "tools": None, "documents": None}
    environment.globals["strftime_now"] = lambda form: datetime.now().astimezone().strftime(form)
    try:
        template = environment.from_string(source)
    except jinja2.TemplateError as error:
        raise UnsupportedModelError(f"The chat template cannot be read: {error}.") from error

    def render(messages: list[Message]) -> str:
        return str(template.render(**(defaults | variables), messages=messages))

    return render


QUERY, DOCUMENT, PROMPT = "\ue000query\ue000", "\ue000document\ue000", "\ue000prompt\ue000"


def split_chat_template(source: str, variables: dict[str, Any]) -> PromptTemplate | None:
    """Turn a chat template with the roles ``query`` and ``document`` into a prompt template.

    sentence-transformers renders the template for every pair. Here it is rendered once, around
    stand-ins for the texts, and cut where they are. The prompt is the message of role ``system``; a
    template without that role ignores prompts.

    Args:
        source: The Jinja template.
        variables: Special tokens and further variables that it may use.

    Returns:
        The template, or ``None`` when it does not pass both texts on, the query first.
    """
    render = render_template(source, variables)
    for wrap in (_flat, structured):
        pair = [wrap("query", QUERY), wrap("document", DOCUMENT)]
        found = split_messages(render, pair, wrap("system", PROMPT))
        if found is not None:
            return found
    return None


def split_messages(render: Render, pair: list[Message], system: Message) -> PromptTemplate | None:
    """Render messages around stand-ins, without and with a prompt, and cut where they are.

    Args:
        render: The chat template.
        pair: Messages with ``QUERY`` and ``DOCUMENT`` in them.
        system: The message with ``PROMPT``.

    Returns:
        The template, or ``None`` when it does not pass both texts on, the query first.
    """
    plain = _split(_rendered(render, pair))
    if plain is None:
        return None
    prompted = _split(_rendered(render, [system, *pair]))
    if prompted is None or PROMPT not in prompted[0]:
        return PromptTemplate(*plain)
    before = prompted[0].replace(PROMPT, "{prompt}")
    return PromptTemplate(before, *plain[1:], without_prompt=plain[0])


def _flat(role: str, text: str) -> Message:
    return {"role": role, "content": text}


def structured(role: str, text: str) -> Message:
    """Make a message whose content is a list of parts, here one."""
    return {"role": role, "content": [{"type": "text", "text": text}]}


def _rendered(render: Render, messages: list[Message]) -> str:
    """Render messages; a template that refuses them passes nothing on."""
    jinja2 = require("jinja2", extra="torch")
    try:
        return render(messages)
    except (jinja2.TemplateError, TypeError, ValueError, LookupError, AttributeError):
        return ""


def _split(text: str) -> tuple[str, str, str] | None:
    """Cut a rendered text at the stand-ins of query and document."""
    if text.count(QUERY) != 1 or text.count(DOCUMENT) != 1:
        return None
    before, _, rest = text.partition(QUERY)
    between, _, after = rest.partition(DOCUMENT)
    return None if DOCUMENT in before else (before, between, after)
