"""Long texts: cut as a request asks, or refused; counted either way."""

import time
from collections.abc import Callable
from typing import Any

import pytest
from tests.server.asking import ASK, ASK_TEI, DOCUMENTS, LONG, QUERY, ask, expected, ranked, same

from crossrank import CrossEncoder
from crossrank.server.reading import Reading, cut


@pytest.mark.parametrize(
    ("path", "body", "status", "words"),
    [
        ("/rerank", {"query": QUERY, "texts": [LONG], "truncate": False}, 413, "truncate is false"),
        (
            "/rerank",
            {"query": QUERY, "texts": [LONG], "truncation_direction": "Left"},
            413,
            "only the end can be cut off",
        ),
        ("/v1/rerank", {"query": QUERY, "documents": [LONG], "truncation": False}, 400, "is false"),
        (
            "/rerank",
            {"query": QUERY, "documents": ["a", LONG], "truncate_prompt_tokens": 100},
            400,
            "index 1 has more than 100 tokens",
        ),
        ("/rerank", ASK | {"instruction": "Judge."}, 400, "'instruction' is not supported"),
        (
            "/v2/rerank",
            ASK | {"relevant_spans": {"mode": "enabled"}},
            422,
            "Input should be 'disabled'",
        ),
        ("/v1/rerank", ASK | {"max_chunks_per_doc": 9999}, 422, "received 5 times 9999"),
    ],
)
def test_what_would_change_scores_is_refused_where_it_is_not_supported(
    path: str, body: dict[str, Any], status: int, words: str, server: str
) -> None:
    problem = ask(server, path, body, status)
    text = problem["error"] if isinstance(problem["error"], str) else problem["detail"]
    assert words in text


@pytest.mark.parametrize(
    "body",
    [
        ASK_TEI | {"truncate": False},
        ASK_TEI | {"truncation_direction": "LEFT"},
        ASK | {"truncation_side": "left"},
        ASK | {"truncate_prompt_tokens": 100},
        ASK | {"truncate_prompt_tokens": -1, "max_tokens_per_doc": 0},
    ],
)
def test_texts_that_fit_are_answered_however_long_ones_were_to_be_cut(
    body: dict[str, Any], server: str, ranking: list[tuple[int, float]]
) -> None:
    assert same(ranked(ask(server, "/rerank", body)), ranking)


def test_max_tokens_per_doc_cuts_documents(server: str, model: CrossEncoder) -> None:
    # Five tokens each, by the tokenizer of the embedded model: words, and a full stop.
    cut = ["Bread is baked from flour", "Paris is the capital and", "Berlin is the capital of"]
    ranking = expected(model, documents=cut)
    body = {"query": QUERY, "documents": DOCUMENTS[:3], "max_tokens_per_doc": 5}
    answer = ask(server, "/v2/rerank", body)
    assert same(ranked(answer), ranking)
    assert answer["meta"]["warnings"] == ["3 of 3 documents were not read to their end: too long."]
    assert same(ranked(ask(server, "/rerank", body)), ranking)


def test_long_documents_are_read_in_chunks_up_to_the_limit(
    server: str, model: CrossEncoder
) -> None:
    buried = LONG + DOCUMENTS[1]
    body = {"query": QUERY, "documents": [buried, DOCUMENTS[2]]}
    scores = [
        dict(ranked(ask(server, "/v1/rerank", body | {"max_chunks_per_doc": chunks})))
        for chunks in (1, 2, 10)
    ]
    assert scores[0][0] == pytest.approx(model.predict((QUERY, buried)), abs=1e-6)
    assert scores[2][0] > scores[2][1] > scores[1][0]
    assert scores[0][1] == scores[2][1]


def test_usage_counts_tokens_whatever_the_cache_knows(
    serve: Callable[..., str], tmp_path_factory: pytest.TempPathFactory, model: CrossEncoder
) -> None:
    base = serve(cache=str(tmp_path_factory.mktemp("cache") / "scores.sqlite"))
    body = {"query": QUERY, "documents": ["a b c", "a b c", "d"]}
    count = model.scorer().tokenizer.count
    around = 4  # <s> query </s> </s> document </s>
    tokens = sum(count(QUERY) + count(text) + around for text in body["documents"])
    for _ in range(2):
        assert ask(base, "/rerank", body)["usage"]["total_tokens"] == tokens
    # What was cut from a document is known the second time, too.
    for _ in range(2):
        problem = {"query": QUERY, "texts": [LONG], "truncate": False}
        assert ask(base, "/rerank", {"query": QUERY, "texts": [LONG]})
        assert ask(base, "/rerank", problem, 413)["error_type"] == "Validation"


def test_chunks_leave_room_for_the_prompt(model: CrossEncoder) -> None:
    tokenizer = model.scorer().tokenizer
    prompt = "Judge whether the document answers the question: "
    document = " ".join(f"word{number}" for number in range(600))
    pieces = cut([(QUERY, document)], Reading(chunks=9), tokenizer, prompt)
    assert len(pieces.pairs) > 2
    encoded = tokenizer.encode(pieces.pairs, prompt=prompt)
    assert [pair.truncated_query + pair.truncated_document for pair in encoded] == [0] * len(
        encoded
    )


@pytest.mark.parametrize(
    "reading",
    [Reading(document_tokens=20), Reading(query_tokens=20), Reading(chunks=3)],
    ids=["a document's first tokens", "a query's", "chunks"],
)
def test_of_a_long_text_no_more_is_tokenised_than_is_wanted(
    model: CrossEncoder, reading: Reading
) -> None:
    """One document of megabytes must not keep other requests waiting for seconds."""
    tokenizer = model.scorer().tokenizer
    sentences = [f"Sentence {number} of a long text says nothing." for number in range(200_000)]
    short, long = " ".join(sentences[:5000]), " ".join(sentences)
    as_ever = cut([(short, short)], reading, tokenizer)
    began = time.perf_counter()
    found = cut([(long, long)], reading, tokenizer)
    assert time.perf_counter() - began < 1
    texts = [(query[:100], document[:2000]) for query, document in found.pairs]
    assert texts == [(query[:100], document[:2000]) for query, document in as_ever.pairs]
    assert found.unread[0] > 0
