"""``crossrank ask``: answer a question from an index, with citations."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from crossrank.cli import options
from crossrank.cli.index import INDEX, IndexFolder
from crossrank.cli.reporting import say
from crossrank.errors import LanguageModelError

if TYPE_CHECKING:
    from crossrank.retrieval.answer import Answer, Source

KEY = "OPENAI_API_KEY"


def ask(
    question: Annotated[str, typer.Argument(metavar="QUESTION", help="The question.")],
    *,
    language_model: Annotated[
        str, typer.Option("--llm", help="Name of the language model at its server.", metavar="NAME")
    ],
    base_url: Annotated[
        str | None,
        typer.Option(
            help="Its server, which speaks OpenAI's protocol, e.g. http://localhost:11434/v1.",
            show_default="OPENAI_BASE_URL, or OpenAI's",
            metavar="URL",
        ),
    ] = None,
    index: IndexFolder = INDEX,
    depth: Annotated[int, typer.Option(min=1, help="How many chunks are reranked.")] = 100,
    context_tokens: Annotated[
        int, typer.Option(min=1, help="Most tokens of all sources together.")
    ] = 3000,
    min_score: Annotated[
        float | None,
        typer.Option(
            help="Do not ask where the best source scores less.", show_default="always ask"
        ),
    ] = None,
    calibrated: options.Calibrated = False,
    model: options.Model = None,
    backend: options.Backend = "auto",
    precision: options.Precision = "auto",
    device: options.Device = None,
    max_length: options.MaxLength = None,
) -> None:
    """Answer a question from what crossrank index has indexed, with citations.

    The key of the server, where it needs one, is read from the variable OPENAI_API_KEY.

    \b
    Examples:
      crossrank ask "what is a calibrated score" --llm llama3.2 --base-url http://localhost:11434/v1
    """
    from crossrank.optional import require

    openai = require("openai", extra="rag")
    from crossrank.retrieval.answer import Answerer, cite
    from crossrank.retrieval.index import SearchIndex
    from crossrank.retrieval.pipeline import RetrieveAndRerank

    opened = SearchIndex(Path(index))
    encoder = options.load_model(
        model, backend=backend, precision=precision, device=device, max_length=max_length
    )
    search = RetrieveAndRerank(
        opened.retriever, encoder, opened.texts, depth=depth, top_k=depth, unique=0.9
    )
    # Servers on one's own machine need no key, but the client does.
    client = openai.OpenAI(base_url=base_url, api_key=os.environ.get(KEY) or "none")
    answerer = Answerer(
        opened,
        search,
        encoder,
        client,
        language_model,
        context_tokens=context_tokens,
        min_score=min_score,
        calibrated=calibrated,
    )
    prompt = answerer.prepare(question)
    if prompt.refused:
        best = "nothing was found" if prompt.best is None else f"the best scores {prompt.best:.2f}"
        say(f"The documents do not answer this: {best}.", "yellow")
        raise typer.Exit(1)
    answer = cite(_write(answerer.stream(prompt), openai), prompt.sources)
    sys.stdout.writelines(f"{line}\n" for line in _sources(answer))


def _write(pieces: Any, openai: Any) -> str:
    """Write the answer as it comes."""
    text = ""
    try:
        for piece in pieces:
            sys.stdout.write(piece)
            sys.stdout.flush()
            text += piece
    # The client lets through what json makes of a stream that is none.
    except (openai.OpenAIError, ValueError) as error:
        raise LanguageModelError(f"The language model did not answer: {error}") from error
    if not text.strip():
        raise LanguageModelError("The language model answered nothing: is --base-url right?")
    sys.stdout.write("\n\n")
    return text


def _sources(answer: "Answer") -> list[str]:
    lines = [_line(source) for source in answer.cited]
    if not lines:
        lines = ["The answer cites no source."]
    if answer.unknown:
        numbers = ", ".join(map(str, answer.unknown))
        lines.append(f"The answer cites sources that it was not given: {numbers}.")
    return lines


def _line(source: "Source") -> str:
    found, chunk = source.found, source.found.chunk
    where = ", ".join(filter(None, [found.path, chunk.place, chunk.heading]))
    return (
        f"[{source.number}] {where}, characters {chunk.start} to {chunk.end} ({source.score:.2f})"
    )
