"""Answers: what the language model is given, and where its citations lead."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.retrieval.chat_server import chat_server

from crossrank import CrossEncoder
from crossrank.errors import InputError
from crossrank.retrieval.answer import Answerer, cite
from crossrank.retrieval.index import SearchIndex, update
from crossrank.retrieval.pipeline import RetrieveAndRerank

openai = pytest.importorskip("openai", reason="needs the extra rag")

FILES = {
    "france.md": "# France\n\nParis is the capital of France.\n",
    "bread.txt": "Bread is baked in an oven, also in France.",
    "letters.txt": "A capital letter begins a sentence.",
}


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SearchIndex]:
    home: Path = tmp_path_factory.mktemp("documents")
    for name, text in FILES.items():
        (home / name).write_text(text)
    update(home, home / "index")
    opened = SearchIndex(home / "index")
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def model() -> CrossEncoder:
    return CrossEncoder()


def answerer(index: SearchIndex, model: CrossEncoder, base_url: str, **options: Any) -> Answerer:
    search = RetrieveAndRerank(index.retriever, model, index.texts)
    client = openai.OpenAI(base_url=base_url, api_key="key", max_retries=0)
    return Answerer(index, search, model, client, "tiny", **options)


def test_an_answer_leads_back_to_the_characters_of_a_file(
    index: SearchIndex, model: CrossEncoder
) -> None:
    with chat_server() as (url, received):
        answer = answerer(index, model, url).ask("What is the capital of France?")
    assert answer is not None
    assert answer.text.startswith("Paris is the capital of France. [1]")
    best = answer.cited[0]
    assert (best.number, best.found.path) == (1, "france.md")
    text = FILES["france.md"][best.found.chunk.start : best.found.chunk.end]
    assert text == "# France\n\nParis is the capital of France."
    assert [source.number for source in answer.cited] == list(range(1, len(answer.cited) + 1))
    scores = [source.score for source in answer.cited]
    assert scores == sorted(scores, reverse=True)
    assert 0.9 < scores[0] < 1
    assert answer.unknown == []
    (request,) = received
    assert request["model"] == "tiny"
    assert request["authorization"] == "Bearer key"
    assert request["messages"][1]["content"].endswith("Question: What is the capital of France?")


def test_sources_are_packed_into_the_budget_in_ranked_order(
    index: SearchIndex, model: CrossEncoder
) -> None:
    question = "What is the capital of France?"
    everything = answerer(index, model, "http://127.0.0.1:1/v1").prepare(question)
    assert len(everything.sources) > 1
    sizes = [
        model.count_tokens(f"({source.found.path})\n{source.found.searchable}")
        for source in everything.sources
    ]
    for budget, count in ((1, 1), (sizes[0] + sizes[1] - 1, 1), (sizes[0] + sizes[1], 2)):
        prompt = answerer(index, model, "http://x/v1", context_tokens=budget).prepare(question)
        assert prompt.sources == everything.sources[:count]


def test_a_question_that_the_documents_do_not_answer_is_refused(
    index: SearchIndex, model: CrossEncoder
) -> None:
    with chat_server() as (url, received):
        asked = answerer(index, model, url, min_score=0.7)
        assert asked.ask("zebra") is None
        assert asked.prepare("zebra").best is None
        assert asked.ask("What is the price of bread and letters in Australia?") is None
        assert asked.ask("What is the capital of France?") is not None
    assert len(received) == 1


def test_the_threshold_may_be_a_calibrated_probability(
    index: SearchIndex, model: CrossEncoder, tmp_path: Path
) -> None:
    from crossrank.errors import CrossRankError

    with pytest.raises(CrossRankError, match="crossrank calibrate"):
        answerer(index, model, "http://x/v1", calibrated=True)


def test_citations_of_every_form() -> None:
    answer = cite("One [2]. Two [1, 3]. Three [2][9]. No [x] and no [12345].", [])
    assert (answer.cited, answer.unknown) == ([], [2, 1, 3, 9])


def test_a_budget_below_one_is_refused(index: SearchIndex, model: CrossEncoder) -> None:
    with pytest.raises(InputError, match="context_tokens must be at least 1"):
        answerer(index, model, "http://x/v1", context_tokens=0)
