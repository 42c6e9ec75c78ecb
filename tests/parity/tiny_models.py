"""Makers of tiny random models, saved as transformers and sentence-transformers save them.

The weights are rescaled until the standard deviation of the logits over ``PAIRS`` is at least 1:
a wrong template, token type or truncation then changes a logit by far more than the tolerance.
"""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch
import transformers
from tokenizers import (
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)
from transformers import PreTrainedTokenizerFast

TEXTS = [
    "Berlin is well known for its museums and has about 3.5 million people.",
    "How many people live in Berlin?",
    "The stove burns gas, wood or charcoal; it weighs 2 kg.",
    "Does it weigh less than three kilograms?",
    "A cross-encoder reads a query and a document together and answers with one score.",
    "yes no true false relevant irrelevant",
    "Ein Satz auf Deutsch über Straßen, Bücher und das Wetter.",
]
LONG_TEXT = " ".join(TEXTS * 4)
PAIRS = [
    (TEXTS[1], TEXTS[0]),
    (TEXTS[3], TEXTS[2]),
    (TEXTS[1], TEXTS[6]),
    ("stove", "gas"),
    (TEXTS[3], LONG_TEXT),
    (LONG_TEXT, TEXTS[0]),
    (LONG_TEXT, LONG_TEXT),
    (TEXTS[4], TEXTS[4]),
    ("", TEXTS[2]),
]
"""Pairs of unequal lengths; three of them are longer than the 64 tokens that the models read."""

MAX_LENGTH = 64
_SIZES = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 48,
    "initializer_range": 0.25,
}


def wordpiece() -> Tokenizer:
    """``[CLS] query [SEP] document [SEP]`` with token types, as BERT and its kin have it."""
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    characters, beginnings = _pieces(tokenizer)
    pieces = [*special, *characters, *(f"##{character}" for character in characters), *beginnings]
    vocabulary = {piece: number for number, piece in enumerate(pieces)}
    tokenizer.model = models.WordPiece(vocabulary, unk_token="[UNK]")
    tokenizer.add_special_tokens(special)
    _frame(tokenizer, "[CLS] $A [SEP]", "[CLS] $A [SEP] $B:1 [SEP]:1", ("[CLS]", "[SEP]"))
    return tokenizer


def unigram(first: str = "<s>", last: str = "</s>", types: bool = False) -> Tokenizer:
    """SentencePiece's unigram model, framed as XLM-R or, with token types, as DeBERTa-v2."""
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    _fill_unigram(tokenizer, [first, "<pad>", last, "<unk>", "<mask>"])
    pair = f"{first} $A {last} $B:1 {last}:1" if types else f"{first} $A {last} {last} $B {last}"
    _frame(tokenizer, f"{first} $A {last}", pair, (first, last))
    return tokenizer


def byte_level(special: Iterable[str]) -> Tokenizer:
    """Byte-level BPE without a frame, as language models have it."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=450,
        special_tokens=list(special),
        initial_alphabet=alphabet,
        show_progress=False,
    )
    tokenizer.train_from_iterator(TEXTS * 3, trainer)
    return tokenizer


def roberta_tokenizer() -> Tokenizer:
    """``<s> query </s></s> document </s>``, every token type 0."""
    tokenizer = byte_level(["<s>", "<pad>", "</s>", "<unk>", "<mask>"])
    ids = [(token, tokenizer.token_to_id(token)) for token in ("</s>", "<s>")]
    tokenizer.post_processor = processors.RobertaProcessing(*ids, add_prefix_space=False)
    return tokenizer


def modernbert_tokenizer() -> Tokenizer:
    """``[CLS] query [SEP] document [SEP]``, every token type 0."""
    tokenizer = byte_level(["[CLS]", "[SEP]", "[PAD]", "[UNK]", "[MASK]"])
    _frame(tokenizer, "[CLS] $A [SEP]", "[CLS] $A [SEP] $B [SEP]", ("[CLS]", "[SEP]"))
    return tokenizer


def _fill_unigram(tokenizer: Tokenizer, special: list[str]) -> None:
    characters, beginnings = _pieces(tokenizer)
    vocabulary = [
        *((token, 0.0) for token in special),
        *((character, -8.0) for character in characters),
        *((piece, -4.0) for piece in beginnings),
    ]
    tokenizer.model = models.Unigram(vocabulary, unk_id=special.index("<unk>"))
    tokenizer.add_special_tokens(special)


def _pieces(tokenizer: Tokenizer) -> tuple[list[str], list[str]]:
    """Take the characters of ``TEXTS``, and the beginnings of its words, each sorted.

    Not trained: trainers of WordPiece and Unigram break ties at random, and every process would
    test other models.
    """
    normal = tokenizer.normalizer.normalize_str if tokenizer.normalizer else str
    words = {
        word for text in TEXTS for word, _ in tokenizer.pre_tokenizer.pre_tokenize_str(normal(text))
    }
    beginnings = {word[:end] for word in words for end in range(2, len(word) + 1)}
    return sorted(set("".join(words))), sorted(beginnings)


def _frame(tokenizer: Tokenizer, single: str, pair: str, special: tuple[str, ...]) -> None:
    ids = [(token, tokenizer.token_to_id(token)) for token in special]
    tokenizer.post_processor = processors.TemplateProcessing(
        single=single, pair=pair, special_tokens=ids
    )


_BRACKETS = {"cls_token": "[CLS]", "sep_token": "[SEP]", "pad_token": "[PAD]", "unk_token": "[UNK]"}
_ANGLES = {
    "bos_token": "<s>",
    "eos_token": "</s>",
    "cls_token": "<s>",
    "sep_token": "</s>",
    "pad_token": "<pad>",
    "unk_token": "<unk>",
}
_DEBERTA = {"cls_token": "[CLS]", "sep_token": "[SEP]", "pad_token": "<pad>", "unk_token": "<unk>"}

# transformers' class prefix, tokenizer, its special tokens, does it give token types, more config
_Entry = tuple[str, Callable[[], Tokenizer], dict[str, str], bool, dict[str, Any]]
CLASSIFIERS: dict[str, _Entry] = {
    "bert": ("Bert", wordpiece, _BRACKETS, True, {}),
    "roberta": (
        "Roberta",
        roberta_tokenizer,
        _ANGLES,
        False,
        {"max_position_embeddings": MAX_LENGTH + 2, "type_vocab_size": 1, "pad_token_id": 1},
    ),
    "xlm-roberta": (
        "XLMRoberta",
        unigram,
        _ANGLES,
        False,
        {"max_position_embeddings": MAX_LENGTH + 2, "type_vocab_size": 1, "pad_token_id": 1},
    ),
    "distilbert": (
        "DistilBert",
        wordpiece,
        _BRACKETS,
        False,
        {"dim": 32, "n_layers": 2, "n_heads": 2, "hidden_dim": 48},
    ),
    "electra": ("Electra", wordpiece, _BRACKETS, True, {"embedding_size": 24}),
    "deberta-v2": (
        "DebertaV2",
        lambda: unigram("[CLS]", "[SEP]", types=True),
        _DEBERTA,
        True,
        {
            "type_vocab_size": 0,
            "relative_attention": True,
            "position_buckets": 16,
            "norm_rel_ebd": "layer_norm",
            "share_att_key": True,
            "pos_att_type": ["p2c", "c2p"],
            "position_biased_input": False,
            "max_relative_positions": -1,
            "pad_token_id": 1,
        },
    ),
    "modernbert": (
        "ModernBert",
        modernbert_tokenizer,
        _BRACKETS,
        False,
        {"num_hidden_layers": 4, "local_attention": 16, "pad_token_id": 2},
    ),
}
"""The families of sequence classifiers; each name is transformers' ``model_type``."""


def make_classifier(folder: Path, family: str, *, labels: int = 1, **config: Any) -> Path:
    """Save a random sequence classifier.

    Args:
        folder: Where to; made when absent.
        family: A key of ``CLASSIFIERS``.
        labels: Width of the head.
        config: Further entries of the model's configuration.

    Returns:
        The folder.
    """
    prefix, make_tokenizer, special, types, more = CLASSIFIERS[family]
    tokenizer = wrap(make_tokenizer(), special, types=types)
    sizes = {**_SIZES, "max_position_embeddings": MAX_LENGTH, **more, **config}
    settings = getattr(transformers, f"{prefix}Config")(
        vocab_size=len(tokenizer), num_labels=labels, **sizes
    )
    torch.manual_seed(7)
    model = getattr(transformers, f"{prefix}ForSequenceClassification")(settings).eval()
    head = getattr(model, "classifier", None)
    head = getattr(head, "out_proj", head)
    rescale(head, lambda: classify(model, tokenizer, PAIRS))
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def wrap(
    tokenizer: Tokenizer, special: dict[str, str], *, types: bool, **options: Any
) -> PreTrainedTokenizerFast:
    """Make a transformers tokenizer; it saves ``tokenizer.json`` and ``tokenizer_config.json``."""
    names = ["input_ids", "token_type_ids", "attention_mask"]
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        model_max_length=MAX_LENGTH,
        model_input_names=names if types else [names[0], names[2]],
        **special,
        **options,
    )


@torch.inference_mode()
def classify(model: Any, tokenizer: Any, pairs: list[tuple[str, str]]) -> torch.Tensor:
    """Score pairs as transformers' users do; the reference for crossrank.

    Returns:
        Logits ``[pairs, labels]``.
    """
    queries, documents = zip(*pairs, strict=True)
    batch = tokenizer(
        list(queries), list(documents), padding=True, truncation=True, return_tensors="pt"
    )
    return model(**batch).logits.float()


@torch.no_grad()
def rescale(head: torch.nn.Linear, logits: Callable[[], torch.Tensor], target: float = 2.0) -> None:
    """Scale a final linear layer until the logits vary by ``target`` over the pairs."""
    values = logits()
    factor = target / values.std(dim=0).min().clamp(min=1e-6)
    head.weight.mul_(factor)
    if head.bias is not None:
        head.bias.mul_(factor)


_QWEN_SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<think>", "</think>", "yes", "no"]


def make_causal_lm(
    folder: Path, family: str = "Qwen3", *, chat_template: str | None = None, **config: Any
) -> Path:
    """Save a random causal language model with Qwen's special tokens; ``yes``, ``no``, ``0`` and
    ``1`` are single tokens.

    Args:
        folder: Where to; made when absent.
        family: Class prefix in transformers: ``"Qwen3"`` or ``"Qwen2"``.
        chat_template: Jinja template for roles system, query and document.
        config: Further entries of the model's configuration.

    Returns:
        The folder.
    """
    special = {"eos_token": "<|im_end|>", "pad_token": "<|endoftext|>"}
    tokenizer = wrap(byte_level(_QWEN_SPECIAL), special, types=False, padding_side="left")
    tokenizer.model_max_length = 4096
    tokenizer.chat_template = chat_template
    sizes = {**_SIZES, "num_key_value_heads": 1, "head_dim": 16, "max_position_embeddings": 4096}
    settings = getattr(transformers, f"{family}Config")(
        vocab_size=len(tokenizer),
        tie_word_embeddings=False,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        **{**sizes, **config},
    )
    torch.manual_seed(7)
    model = getattr(transformers, f"{family}ForCausalLM")(settings).eval()

    def margins() -> torch.Tensor:
        texts = [f"{query} {document}" for query, document in PAIRS]
        batch = tokenizer(texts, padding=True, return_tensors="pt")
        last = model(**batch).logits[:, -1].float()
        tokens = [tokenizer.convert_tokens_to_ids(token) for token in ("yes", "no", "1", "0")]
        return last[:, tokens[0::2]] - last[:, tokens[1::2]]

    rescale(model.lm_head, margins)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def make_t5(folder: Path) -> Path:
    """Save a random T5, framed as ``text </s>``, with single tokens ``▁true`` and ``▁false``."""
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    _fill_unigram(tokenizer, ["<pad>", "</s>", "<unk>"])
    _frame(tokenizer, "$A </s>", "$A </s> $B </s>", ("</s>",))
    names = {"eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>"}
    wrapped = wrap(tokenizer, names, types=False)
    wrapped.model_max_length = 128
    settings = transformers.T5Config(
        vocab_size=len(wrapped),
        d_model=32,
        d_kv=16,
        d_ff=48,
        num_layers=2,
        num_heads=2,
        tie_word_embeddings=False,
        decoder_start_token_id=0,
        pad_token_id=0,
        eos_token_id=1,
        initializer_factor=2.0,
    )
    torch.manual_seed(7)
    model = transformers.T5ForConditionalGeneration(settings).eval()

    def margins() -> torch.Tensor:
        texts = [f"Query: {query} Document: {document} Relevant:" for query, document in PAIRS]
        batch = wrapped(texts, padding=True, truncation=True, return_tensors="pt")
        start = torch.zeros((len(texts), 1), dtype=torch.long)
        last = model(**batch, decoder_input_ids=start).logits[:, -1]
        true, false = wrapped.convert_tokens_to_ids(["▁true", "▁false"])
        return (last[:, true] - last[:, false]).unsqueeze(1)

    rescale(model.lm_head, margins)
    model.save_pretrained(folder)
    wrapped.save_pretrained(folder)
    return folder


def make_modular(folder: Path, *, labels: int = 1, pooling: str = "cls") -> Path:
    """Save a sentence-transformers cross-encoder of the ettin rerankers' layout.

    ModernBERT, pooling, a dense layer with GELU, layer norm, and a dense head called ``scores``.

    Returns:
        The folder.
    """
    from sentence_transformers import CrossEncoder
    from sentence_transformers.base.modules import Dense, Transformer
    from sentence_transformers.sentence_transformer.modules import LayerNorm, Pooling

    backbone = folder.with_name(folder.name + "-backbone")
    tokenizer = wrap(modernbert_tokenizer(), _BRACKETS, types=False)
    sizes = {**_SIZES, "max_position_embeddings": MAX_LENGTH, **CLASSIFIERS["modernbert"][4]}
    torch.manual_seed(7)
    settings = transformers.ModernBertConfig(vocab_size=len(tokenizer), **sizes)
    transformers.ModernBertModel(settings).save_pretrained(backbone)
    tokenizer.save_pretrained(backbone)
    head = Dense(
        32,
        labels,
        activation_function=torch.nn.Identity(),
        module_input_name="sentence_embedding",
        module_output_name="scores",
    )
    modules = [
        Transformer(str(backbone)),
        Pooling(32, pooling_mode=pooling),
        Dense(32, 32, bias=False, activation_function=torch.nn.GELU()),
        LayerNorm(32),
        head,
    ]
    encoder = CrossEncoder(modules=modules, device="cpu")
    identity = torch.nn.Identity()

    def logits() -> torch.Tensor:
        scores = encoder.predict(PAIRS, activation_fn=identity, convert_to_tensor=True)
        return scores.reshape(len(PAIRS), -1)

    rescale(head.linear, logits)
    encoder.save_pretrained(str(folder))
    return folder
