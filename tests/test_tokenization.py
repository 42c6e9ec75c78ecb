"""Tokenisation against Hugging Face's own pair encoding, and what is reported as cut."""

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

from crossrank.errors import InputError, ModelFileError, QueryTooLongError
from crossrank.tokenization import PairTemplate, PairTokenizer, PromptTemplate

CORPUS = ["the quick brown fox jumps over the lazy dog", "pack my box with five dozen jugs"]


def wordpiece() -> Tokenizer:
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    tokenizer.train_from_iterator(
        CORPUS, trainers.WordPieceTrainer(vocab_size=120, special_tokens=special)
    )
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    return tokenizer


def byte_level() -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    special = ["<s>", "<pad>", "</s>"]
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
    return tokenizer


@pytest.fixture(scope="module", params=[wordpiece, byte_level])
def file(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    request.param().save(str(path))
    return path


texts = st.text(max_size=60).filter(lambda text: "\x00" not in text)


@settings(max_examples=150, deadline=None)
@given(
    query=texts,
    document=texts,
    max_length=st.integers(6, 40),
    side=st.sampled_from(["left", "right"]),
)
def test_same_ids_as_tokenizers(
    file: Path, query: str, document: str, max_length: int, side: Any
) -> None:
    reference = Tokenizer.from_file(str(file))
    reference.enable_truncation(max_length, strategy="longest_first", direction=side)
    expected = reference.encode(query, document)
    tokenizer = PairTokenizer(file, PairTemplate(side), max_length=max_length)
    found = tokenizer.encode([(query, document)])
    assert found[0].ids.tolist() == expected.ids
    types = [0] * found[0].document_start + [1] * (len(expected.ids) - found[0].document_start)
    assert types == expected.type_ids


def test_counts_what_was_cut(file: Path) -> None:
    tokenizer = PairTokenizer(file, PairTemplate(), max_length=12)
    document = "the quick brown fox jumps over the lazy dog " * 3
    encoded = tokenizer.encode([("pack my box", document)])[0]
    total = tokenizer.count("pack my box") + tokenizer.count(document)
    special = len(Tokenizer.from_file(str(file)).encode("", "").ids)
    assert len(encoded.ids) == 12
    assert encoded.truncated_query == 0
    assert encoded.truncated_document == total + special - 12


def test_only_document_keeps_the_query_whole(file: Path) -> None:
    tokenizer = PairTokenizer(file, PairTemplate(), max_length=16, truncation="only_document")
    query = "pack my box with five dozen jugs"
    encoded = tokenizer.encode([(query, "the lazy dog " * 9)])[0]
    assert encoded.truncated_query == 0
    assert encoded.truncated_document == tokenizer.count("the lazy dog " * 9) - (
        tokenizer.room(query)
    )
    with pytest.raises(QueryTooLongError, match="leaves no room") as caught:
        tokenizer.encode([(query * 9, "the lazy dog")])
    told = caught.value
    frame = len(tokenizer.encode([("", "")])[0].ids)
    assert (told.tokens, told.most) == (tokenizer.count(query * 9), 16 - frame - 1)
    again = copy.copy(told)  # as it goes from process to process
    assert (str(again), again.tokens, again.most) == (str(told), told.tokens, told.most)


@pytest.mark.parametrize("side", ["left", "right"])
def test_long_texts_are_read_only_as_far_as_needed(file: Path, side: Any) -> None:
    tokenizer = PairTokenizer(file, PairTemplate(side), max_length=32)
    document = "the quick brown fox jumps over the lazy dog " * 20_000 + "my box"
    reference = Tokenizer.from_file(str(file))
    reference.enable_truncation(32, direction=side)
    (part,) = tokenizer.encode([("my box", document)])
    (encoded,) = tokenizer.encode([("my box", document)], count_all=True)
    assert part.ids.tolist() == encoded.ids.tolist()
    assert part.truncated_document < encoded.truncated_document
    assert encoded.ids.tolist() == reference.encode("my box", document).ids
    assert encoded.truncated_document == tokenizer.count(document) - (
        32 - len(reference.encode("my box", "").ids)
    )
    assert tokenizer.count(document) == len(
        Tokenizer.from_file(str(file)).encode(document, add_special_tokens=False).ids
    )


def test_the_file_says_what_is_cut_where_nothing_else_does(file: Path, tmp_path: Path) -> None:
    saved = Tokenizer.from_file(str(file))
    saved.enable_truncation(99, direction="left")
    saved.save(str(tmp_path / "tokenizer.json"))
    pair = ("my box", "the quick brown fox jumps over the lazy dog")
    sides = (PairTemplate(), PairTemplate("left"), PairTemplate("right"))
    silent, left, right = (
        PairTokenizer(tmp_path / "tokenizer.json", side, max_length=8).encode([pair])[0]
        for side in sides
    )
    assert silent.ids.tolist() == left.ids.tolist() != right.ids.tolist()
    assert silent.truncated_document == right.truncated_document > 0


@pytest.mark.parametrize("prompt", [None, "the dog"])
def test_a_window_fits_beside_query_and_prompt(file: Path, prompt: str | None) -> None:
    template = PromptTemplate("the lazy fox {prompt} jumps ", " over ", "", without_prompt="box ")
    words = "the quick brown fox jumps over the lazy dog " * 9
    for how in (template, PairTemplate()):
        tokenizer = PairTokenizer(file, how, max_length=32)
        room = tokenizer.room("jugs", prompt)
        text = words[: tokenizer.offsets(words)[room - 1, 1]]
        (encoded,) = tokenizer.encode([("jugs", text)], prompt=prompt)
        assert encoded.truncated_document == 0
        assert encoded.length in (31, 32)  # a word that begins a text may be one token less


def test_a_document_has_half_of_the_room_beside_a_long_query(file: Path) -> None:
    tokenizer = PairTokenizer(file, PairTemplate(), max_length=32)
    words = "the quick brown fox jumps over the lazy dog " * 9
    both = 32 - len(Tokenizer.from_file(str(file)).encode("", "").ids)
    assert tokenizer.room("dog") == both - tokenizer.count("dog")
    assert tokenizer.room(words) == both // 2
    whole = PairTokenizer(file, PairTemplate(), max_length=32, truncation="only_document")
    assert whole.room(words) == 1
    # A document of that many tokens is read whole, and the query is cut.
    text = words[: tokenizer.offsets(words)[both // 2 - 1, 1]]
    (encoded,) = tokenizer.encode([(words, text)])
    assert (len(encoded.ids), encoded.truncated_document) == (32, 0)
    assert encoded.truncated_query == tokenizer.count(words) - (both - both // 2)


def test_offsets_point_into_the_text(file: Path) -> None:
    tokenizer = PairTokenizer(file, PairTemplate(), max_length=32)
    text = "the lazy dog " * 10_000
    offsets = tokenizer.offsets(text)
    assert len(offsets) == tokenizer.count(text)
    covered = "".join(text[start:end] for start, end in offsets.tolist())
    assert covered.replace(" ", "") == text.replace(" ", "")
    assert np.all(np.diff(offsets[:, 0]) >= 0)


def test_lone_surrogates_become_the_replacement_character(file: Path) -> None:
    tokenizer = PairTokenizer(file, PairTemplate(), max_length=32)
    broken, replaced = tokenizer.encode([("my \ud83d box", "dog"), ("my \ufffd box", "dog")])
    assert broken.ids.tolist() == replaced.ids.tolist()


def test_a_prompt_template_keeps_its_end(file: Path) -> None:
    template = PromptTemplate("{prompt} fox: ", " over: ", " dog", default_prompt="quick")
    tokenizer = PairTokenizer(file, template, max_length=24)
    plain = Tokenizer.from_file(str(file))

    def ids(text: str) -> list[int]:
        return plain.encode(text, add_special_tokens=False).ids

    short, long = tokenizer.encode([("my", "box"), ("my", "lazy " * 50)])
    assert short.ids.tolist() == ids("quick fox: my over: box") + ids(" dog")
    tail = ids(" dog")
    assert long.ids.tolist() == ids("quick fox: my over: " + "lazy " * 50)[: 24 - len(tail)] + tail
    left = PairTokenizer(file, replace(template, truncation_side="left"), max_length=24)
    (end,) = left.encode([("my", "lazy " * 50 + "box")])
    text = "quick fox: my over: " + "lazy " * 50 + "box"
    assert end.ids.tolist() == ids(text)[len(tail) - 24 :] + tail
    asked = tokenizer.encode([("my", "box")], prompt="lazy")[0]
    assert asked.ids.tolist() == ids("lazy fox: my over: box") + ids(" dog")


def test_a_damaged_tokenizer_is_named(tmp_path: Path) -> None:
    damaged = tmp_path / "tokenizer.json"
    damaged.write_text('{"version": ')
    with pytest.raises(ModelFileError, match="cannot be read"):
        PairTokenizer(damaged, PairTemplate(), max_length=32)
    with pytest.raises(ModelFileError, match="does not exist"):
        PairTokenizer(tmp_path / "absent.json", PairTemplate(), max_length=32)


@pytest.mark.parametrize("length", [0, -1, 3])
def test_a_length_without_room_is_refused(file: Path, length: int) -> None:
    with pytest.raises(InputError, match="max_length must be at least"):
        PairTokenizer(file, PairTemplate(), max_length=length)
