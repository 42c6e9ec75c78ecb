"""Rerankers made from language models score here as their authors' code scores."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from crossrank import CrossEncoder

torch = pytest.importorskip("torch", reason="language models are computed by torch")
transformers = pytest.importorskip("transformers", reason="it is the reference")

from tests.parity.tiny_models import PAIRS, make_causal_lm, make_t5, rescale  # noqa: E402

Once = Callable[[str, Callable[[Path], Path]], Path]
IDENTITY = torch.nn.Identity()

# Written out as in Qwen3-Reranker's model card.
QWEN_PREFIX = (
    "<|im_start|>system\nJudge whether the Document meets the requirements based on the Query and "
    'the Instruct provided. Note that the answer can only be "yes" or "no".<|im_end|>\n'
    "<|im_start|>user\n"
)
QWEN_SUFFIX = "<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n"
QWEN_TASK = "Given a web search query, retrieve relevant passages that answer the query"

CHAT_TEMPLATE = (
    "<|im_start|>{% for message in messages %}"
    "{% if message['role'] == 'query' %}Q: {{ message['content'] }}\n"
    "{% elif message['role'] == 'document' %}D: {{ message['content'] }}\n{% endif %}"
    "{% endfor %}<|im_end|>"
)


def qwen3_reranker(
    folder: Path, pairs: list[tuple[str, str]], max_length: int, task: str = QWEN_TASK
) -> np.ndarray:
    """The model card's code; its probability is turned back into log-odds."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder, padding_side="left")
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    prefix = tokenizer.encode(QWEN_PREFIX, add_special_tokens=False)
    suffix = tokenizer.encode(QWEN_SUFFIX, add_special_tokens=False)
    texts = [f"<Instruct>: {task}\n<Query>: {q}\n<Document>: {d}" for q, d in pairs]
    inputs = tokenizer(
        texts,
        padding=False,
        truncation="longest_first",
        return_attention_mask=False,
        max_length=max_length - len(prefix) - len(suffix),
    )
    ids = [prefix + list(text) + suffix for text in inputs["input_ids"]]
    batch = tokenizer.pad({"input_ids": ids}, padding=True, return_tensors="pt")
    with torch.inference_mode():
        logits = model(**batch).logits[:, -1]
    words = [tokenizer.convert_tokens_to_ids(word) for word in ("no", "yes")]
    scores = torch.nn.functional.log_softmax(logits[:, words].double(), dim=1)[:, 1].exp()
    return torch.logit(scores).numpy()


@pytest.fixture(scope="module")
def qwen3(once: Once) -> Path:
    return once("qwen3", make_causal_lm)


@pytest.mark.parametrize("max_length", [4096, 400])
def test_qwen3_reranker(qwen3: Path, max_length: int) -> None:
    ours = CrossEncoder(qwen3, backend="torch", device="cpu", max_length=max_length)
    lengths = [len(pair.ids) for pair in ours._tokenizer.encode(PAIRS)]
    assert (max(lengths) == 400) == (max_length == 400)
    expected = qwen3_reranker(qwen3, PAIRS, max_length)
    assert expected.std() >= 1
    np.testing.assert_allclose(ours.predict(PAIRS, activation_fn="identity"), expected, atol=1e-4)
    probabilities = 1 / (1 + np.exp(-expected))
    np.testing.assert_allclose(ours.predict(PAIRS), probabilities, atol=1e-4)


def test_qwen3_reranker_follows_an_instruction(qwen3: Path) -> None:
    ours = CrossEncoder(qwen3, backend="torch", device="cpu")
    task = "Find the stove"
    scores = ours.predict(PAIRS, prompt=task, activation_fn="identity")
    np.testing.assert_allclose(scores, qwen3_reranker(qwen3, PAIRS, 4096, task), atol=1e-4)
    assert np.abs(scores - ours.predict(PAIRS, activation_fn="identity")).max() > 0.1


def test_neighbours_in_the_batch_change_nothing(qwen3: Path) -> None:
    ours = CrossEncoder(qwen3, backend="torch", device="cpu")
    together = ours.predict(PAIRS, activation_fn="identity", batch_size=len(PAIRS))
    alone = [ours.predict(pair, activation_fn="identity") for pair in PAIRS]
    np.testing.assert_allclose(together, alone, atol=1e-4)


@pytest.mark.parametrize(
    ("family", "false_word", "chat_template"),
    [
        ("Qwen3", "no", CHAT_TEMPLATE),
        ("Qwen2", "no", CHAT_TEMPLATE),
        ("Qwen3", None, CHAT_TEMPLATE),
        ("Qwen3", "no", None),
        ("Qwen2", "no", None),
    ],
)
def test_logit_score_of_sentence_transformers(
    once: Once, tmp_path: Path, family: str, false_word: str | None, chat_template: str | None
) -> None:
    reference = pytest.importorskip("sentence_transformers", reason="it is the reference")
    from sentence_transformers.cross_encoder.modules import LogitScore, Transformer

    backbone = once(
        f"chat-{family}-{chat_template is None}",
        lambda folder: make_causal_lm(folder, family, chat_template=chat_template),
    )
    transformer = Transformer(str(backbone), transformer_task="text-generation")
    ids = transformer.tokenizer.convert_tokens_to_ids
    head = LogitScore(ids("yes"), ids(false_word) if false_word else None)
    theirs = reference.CrossEncoder(modules=[transformer, head], device="cpu")
    theirs.save_pretrained(str(tmp_path))
    expected = theirs.predict(PAIRS, activation_fn=IDENTITY, show_progress_bar=False)
    ours = CrossEncoder(tmp_path, backend="torch", device="cpu")
    np.testing.assert_allclose(ours.predict(PAIRS, activation_fn="identity"), expected, atol=1e-4)
    assert expected.std() >= 1


@pytest.mark.parametrize("prompt", [None, "Judge with care."])
def test_a_classifier_with_a_chat_template(tmp_path: Path, prompt: str | None) -> None:
    reference = pytest.importorskip("sentence_transformers", reason="it is the reference")
    make_causal_lm(tmp_path / "lm", chat_template=CHAT_TEMPLATE)
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / "lm")
    config = transformers.AutoConfig.from_pretrained(tmp_path / "lm", num_labels=1)
    torch.manual_seed(7)
    model = transformers.Qwen3ForSequenceClassification(config).eval()
    rescale(
        model.score,
        lambda: model(
            **tokenizer([f"{q} {d}" for q, d in PAIRS], padding=True, return_tensors="pt")
        )["logits"],
    )
    model.save_pretrained(tmp_path / "classifier")
    tokenizer.save_pretrained(tmp_path / "classifier")
    theirs = reference.CrossEncoder(str(tmp_path / "classifier"), device="cpu")
    expected = theirs.predict(PAIRS, activation_fn=IDENTITY, prompt=prompt)
    ours = CrossEncoder(tmp_path / "classifier", backend="torch", device="cpu")
    found = ours.predict(PAIRS, activation_fn="identity", prompt=prompt)
    np.testing.assert_allclose(found, expected, atol=1e-4)
    assert expected.std() >= 0.5


def test_mono_t5(tmp_path: Path) -> None:
    """pygaggle's score is log_softmax over (false, true) of the decoder's first word.

    Too long a pair is cut before " Relevant:", where pygaggle would cut the question itself off.
    """
    folder = make_t5(tmp_path / "t5")
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.T5ForConditionalGeneration.from_pretrained(folder).eval()
    texts = [f"Query: {query} Document: {document}" for query, document in PAIRS]
    end = tokenizer(" Relevant:")["input_ids"]
    bodies = [tokenizer(text, add_special_tokens=False)["input_ids"] for text in texts]
    ids = [body[: 128 - len(end)] + end for body in bodies]
    assert ids[0] == tokenizer(texts[0] + " Relevant:")["input_ids"]
    batch = tokenizer.pad({"input_ids": ids}, return_tensors="pt")
    batch["decoder_input_ids"] = torch.full((len(ids), 1), model.config.decoder_start_token_id)
    words = tokenizer.convert_tokens_to_ids(["▁false", "▁true"])

    @torch.inference_mode()
    def answers() -> torch.Tensor:
        return model(**batch).logits[:, 0, words]

    rescale(model.lm_head, lambda: answers().diff(dim=1))
    model.save_pretrained(folder)
    expected = torch.log_softmax(answers(), dim=1)[:, 1].exp()
    ours = CrossEncoder(folder, backend="torch", device="cpu")
    np.testing.assert_allclose(ours.predict(PAIRS), expected, atol=1e-4)
    log_odds = ours.predict(PAIRS, activation_fn="identity")
    np.testing.assert_allclose(log_odds, torch.logit(expected.double()), atol=1e-3)
    assert log_odds.std() >= 1
