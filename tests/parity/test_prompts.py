"""Token ids of language models' prompts, against the code their authors publish."""

from pathlib import Path
from typing import Any

import pytest
from tests.parity.tiny_models import PAIRS, make_causal_lm

from crossrank.models import read_spec
from crossrank.models.spec import ModelSpec
from crossrank.tokenization import PairTokenizer

INSTRUCTION = "Judge patents."
ROLES = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}"
    "<|im_end|>\n{% endfor %}<|im_start|>assistant\n"
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A causal language model with Qwen's special tokens."""
    return make_causal_lm(tmp_path_factory.mktemp("causal") / "model")


@pytest.fixture(scope="module")
def reference(folder: Path) -> Any:
    """The tokenizer as transformers loads it."""
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(folder)


def ids_of(spec: ModelSpec, prompt: str | None, max_length: int = 4096) -> list[list[int]]:
    tokenizer = PairTokenizer(spec.tokenizer_file, spec.template, max_length=max_length)
    return [item.ids.tolist() for item in tokenizer.encode(PAIRS, prompt=prompt)]


@pytest.mark.parametrize("prompt", [None, INSTRUCTION])
@pytest.mark.parametrize("max_length", [4096, 250])
def test_qwen3_reranker(folder: Path, reference: Any, prompt: str | None, max_length: int) -> None:
    """As in the model card: prefix and suffix are tokenised apart, the pair is one text."""
    prefix = (
        "<|im_start|>system\nJudge whether the Document meets the requirements based on the Query "
        'and the Instruct provided. Note that the answer can only be "yes" or "no".<|im_end|>\n'
        "<|im_start|>user\n"
    )
    suffix = "<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n"
    instruction = prompt or (
        "Given a web search query, retrieve relevant passages that answer the query"
    )
    before, after = (reference.encode(text, add_special_tokens=False) for text in (prefix, suffix))
    expected = []
    for query, document in PAIRS:
        text = f"<Instruct>: {instruction}\n<Query>: {query}\n<Document>: {document}"
        middle = reference.encode(text, add_special_tokens=False)
        expected.append(before + middle[: max_length - len(before) - len(after)] + after)
    spec = read_spec(folder, "Qwen/Qwen3-Reranker-0.6B")
    assert ids_of(spec, prompt, max_length) == expected
    assert reference.convert_ids_to_tokens([spec.true_token, spec.false_token]) == ["yes", "no"]


@pytest.mark.parametrize("prompt", [None, INSTRUCTION])
def test_mxbai_rerank(folder: Path, reference: Any, prompt: str | None) -> None:
    """As in the mxbai_rerank package: each part is tokenised apart."""
    task = (
        "You are a search relevance expert who evaluates how well documents match search queries. "
        "For each query-document pair, carefully analyze the semantic relationship between them, "
        "then provide your binary relevance judgment (0 for not relevant, 1 for relevant)."
        "\nRelevance:"
    )
    system = (
        "<|im_start|>system\nYou are Qwen, created by Alibaba Cloud. You are a helpful assistant."
        "<|im_end|>\n<|im_start|>user\n"
    )
    expected = []
    for query, document in PAIRS:
        asked = f"instruction: {prompt}\nquery: {query}" if prompt else f"query: {query}"
        parts = [system, asked, "\n", f"document: {document}", "\n", task]
        parts.append("<|im_end|>\n<|im_start|>assistant\n")
        ids = [reference.encode(part, add_special_tokens=False) for part in parts]
        expected.append([token for part in ids for token in part])
    spec = read_spec(folder, "mixedbread-ai/mxbai-rerank-base-v2")
    assert ids_of(spec, prompt) == expected
    assert reference.convert_ids_to_tokens([spec.true_token, spec.false_token]) == ["1", "0"]


@pytest.mark.parametrize("prompt", [None, INSTRUCTION])
@pytest.mark.parametrize(("max_length", "side"), [(4096, "right"), (80, "right"), (80, "left")])
def test_chat_template(tmp_path: Path, prompt: str | None, max_length: int, side: str) -> None:
    """As sentence-transformers feeds a model with LogitScore, its suffix restored when cut."""
    library = pytest.importorskip("sentence_transformers", reason="the library compared with")
    folder = make_causal_lm(tmp_path / "chat", chat_template=ROLES)
    options: dict[str, Any] = {
        "max_length": max_length,
        "processor_kwargs": {"truncation_side": side},
    }
    theirs = library.CrossEncoder(str(folder), device="cpu", **options)
    spec = read_spec(folder, "chat", **options)
    ours = ids_of(spec, prompt, spec.max_length)
    for pair, ids in zip(PAIRS, ours, strict=True):
        features = theirs.preprocess([pair], prompt=prompt)
        assert ids == features["input_ids"][0].tolist()
    assert (theirs[1].true_token_id, theirs[1].false_token_id) == (
        spec.true_token,
        spec.false_token,
    )
