"""What a model's folder says about it."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.models.model_folders import CONFIG, set_config, write_json

from crossrank.errors import InputError, ModelFileError, UnsupportedModelError
from crossrank.models import read_spec
from crossrank.models.lengths import read_max_length
from crossrank.models.prompts import BGE, MXBAI, QWEN3
from crossrank.tokenization import PairTemplate, PromptTemplate


def test_a_plain_classifier(model_folder: Path) -> None:
    spec = read_spec(model_folder, "name")
    assert (spec.kind, spec.num_labels, spec.activation) == (
        "sequence-classification",
        1,
        "sigmoid",
    )
    assert (spec.max_length, spec.pad_token_id, spec.padding_side) == (512, 0, "right")
    assert spec.template == PairTemplate()
    assert spec.tokenizer_file == model_folder / "tokenizer.json"


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"id2label": {"0": "a", "1": "b", "2": "c"}}, (3, "identity")),
        ({"id2label": None}, (2, "identity")),
        ({"id2label": None, "num_labels": 1}, (1, "sigmoid")),
        ({"architectures": ["BertModel"], "id2label": None}, (1, "sigmoid")),
        ({"sentence_transformers": {"activation_fn": "torch.nn.modules.linear.Identity"}},
         (1, "identity")),
        ({"sbert_ce_default_activation_function": "torch.nn.modules.linear.Identity"},
         (1, "identity")),
        ({"sentence_transformers": {"activation_fn": "torch.nn.modules.activation.Tanh"},
          "sbert_ce_default_activation_function": "torch.nn.modules.linear.Identity"},
         (1, "tanh")),
    ],
)  # fmt: skip
def test_labels_and_activation(
    model_folder: Path, config: dict[str, Any], expected: tuple[int, str]
) -> None:
    set_config(model_folder, **config)
    spec = read_spec(model_folder, "name")
    assert (spec.num_labels, spec.activation) == expected


def test_the_caller_knows_better(model_folder: Path) -> None:
    spec = read_spec(
        model_folder, "name", num_labels=3, max_length=64, config_kwargs={"hidden_act": "relu"}
    )
    assert (spec.num_labels, spec.activation, spec.max_length) == (3, "identity", 64)
    assert spec.config["hidden_act"] == "relu"
    processor = {"model_max_length": 32}
    assert read_spec(model_folder, "name", processor_kwargs=processor).max_length == 32


def test_an_unknown_activation_is_named(model_folder: Path) -> None:
    set_config(model_folder, sentence_transformers={"activation_fn": "evil.module.Function"})
    with pytest.warns(UserWarning, match=r"evil\.module\.Function"):
        assert read_spec(model_folder, "name").activation == "sigmoid"


@pytest.mark.parametrize(
    ("config", "tokenizer_length", "asked", "expected"),
    [
        ({}, 128, None, 128),
        ({}, 10**30, None, 512),
        ({}, 128, 300, 300),
        ({}, 128, 512, 512),
        ({"model_type": "roberta", "max_position_embeddings": 514, "pad_token_id": 1}, 10**30,
         None, 512),
        ({"model_type": "xlm-roberta", "max_position_embeddings": 514, "pad_token_id": 1}, 10**30,
         512, 512),
        ({"model_type": "xmod", "max_position_embeddings": 514, "pad_token_id": 1}, 10**30,
         None, 512),
        ({"model_type": "longformer", "max_position_embeddings": 4098, "pad_token_id": 1}, 10**30,
         None, 4096),
        ({"model_type": "modernbert", "max_position_embeddings": 8192}, 10**30, None, 8192),
        ({"model_type": "modernbert", "max_position_embeddings": 8192}, 512, 9000, 9000),
        ({"max_position_embeddings": -1, "model_type": "xlnet"}, 10**30, None, 512),
    ],
)  # fmt: skip
def test_max_length(
    model_folder: Path,
    config: dict[str, Any],
    tokenizer_length: int,
    asked: int | None,
    expected: int,
) -> None:
    set_config(model_folder, **config)
    write_json(model_folder / "tokenizer_config.json", {"model_max_length": tokenizer_length})
    assert read_spec(model_folder, "name", max_length=asked).max_length == expected


@pytest.mark.parametrize(
    ("config", "asked", "used"),
    [
        ({}, {"max_length": 513}, 512),
        ({}, {"processor_kwargs": {"model_max_length": 9999}}, 512),
        (
            {"model_type": "roberta", "max_position_embeddings": 514, "pad_token_id": 1},
            {"max_length": 514},
            512,
        ),
        ({"model_type": "prettr"}, {"max_length": 2000}, 512),
    ],
)
def test_a_length_without_positions_is_cut_with_a_warning(
    model_folder: Path, config: dict[str, Any], asked: dict[str, Any], used: int
) -> None:
    set_config(model_folder, **config)
    received = asked.get("max_length", 9999)
    with pytest.warns(UserWarning, match=f"at most {used} tokens") as said:
        spec = read_spec(model_folder, "name", **asked)
    assert spec.max_length == used
    (message,) = [str(warning.message) for warning in said]
    assert f"received {received}; {used} is used" in message


def test_a_saved_length_without_positions_is_cut_without_a_word(model_folder: Path) -> None:
    set_config(model_folder, architectures=["BertModel"], id2label=None)
    write_modules(model_folder, "Transformer", "Pooling")
    write_json(model_folder / "sentence_bert_config.json", {"max_seq_length": 9999})
    assert read_spec(model_folder, "name").max_length == 512


@pytest.mark.parametrize("arguments", [{"num_labels": 0}, {"max_length": -1}])
def test_refuses_numbers_that_make_no_sense(model_folder: Path, arguments: dict[str, int]) -> None:
    with pytest.raises(InputError, match="at least 1"):
        read_spec(model_folder, "name", **arguments)


@pytest.mark.parametrize("value", ["64", 64.0, [64]])
def test_refuses_lengths_that_are_no_integers(model_folder: Path, value: Any) -> None:
    for arguments in ({"max_length": value}, {"processor_kwargs": {"model_max_length": value}}):
        with pytest.raises(
            InputError, match=r"max_length must be an integer, received (str|float)?"
        ):
            read_spec(model_folder, "name", **arguments)
    assert read_spec(model_folder, "name", max_length=np.int64(64)).max_length == 64


def test_which_end_of_long_texts_is_cut(model_folder: Path) -> None:
    def side(**processor: Any) -> str | None:
        return read_spec(model_folder, "name", processor_kwargs=processor).template.truncation_side

    assert side() is None
    assert side(truncation_side="left") == "left"
    write_json(model_folder / "tokenizer_config.json", {"truncation_side": "left"})
    assert (side(), side(truncation_side="right")) == ("left", "right")
    with pytest.raises(InputError, match="must be 'left' or 'right', received 'middle'"):
        side(truncation_side="middle")


@pytest.mark.parametrize("value", ["only_query", None, ["only_document"]])
def test_an_unknown_truncation_is_refused(model_folder: Path, value: Any) -> None:
    with pytest.raises(ModelFileError, match=r"truncation in config\.json must be 'longest_first'"):
        read_spec(model_folder, "name", config_kwargs={"crossrank": {"truncation": value}})


def test_unknown_settings_of_the_tokenizer_are_refused(model_folder: Path) -> None:
    harmless = {"use_fast": True, "padding_side": "left", "clean_up_tokenization_spaces": False}
    plain = read_spec(model_folder, "name")
    assert read_spec(model_folder, "name", processor_kwargs=harmless) == plain
    unknown = {"do_lower_case": False, "cache_dir": "x", "model_max_length": 32}
    with pytest.raises(InputError, match="truncation_side; received cache_dir, do_lower_case"):
        read_spec(model_folder, "name", processor_kwargs=unknown)


def write_modules(folder: Path, *types: str) -> None:
    modules = [
        {"idx": index, "name": str(index), "path": f"{index}_{kind}" if index else "",
         "type": f"sentence_transformers.models.{kind}"}
        for index, kind in enumerate(types)
    ]  # fmt: skip
    write_json(folder / "modules.json", modules)


def test_a_modular_model(model_folder: Path) -> None:
    set_config(model_folder, architectures=["ModernBertModel"], id2label=None)
    write_modules(model_folder, "Transformer", "Pooling", "Dense")
    head = {"out_features": 4, "module_output_name": "scores"}
    write_json(model_folder / "2_Dense" / "config.json", head)
    write_json(model_folder / "sentence_bert_config.json", {"max_seq_length": 77})
    saved = {
        "activation_fn": "torch.nn.modules.activation.Softmax",
        "prompts": {"web": "Search: ", "empty": ""},
        "default_prompt_name": "web",
    }
    write_json(model_folder / "config_sentence_transformers.json", saved)
    spec = read_spec(model_folder, "name")
    assert (spec.kind, spec.num_labels, spec.activation) == ("modular", 4, "softmax")
    assert (spec.max_length, spec.prompts) == (77, {"web": "Search: "})
    assert spec.default_prompt_name == "web"
    assert read_spec(model_folder, "name", max_length=50).max_length == 50


def test_a_lone_transformer_is_a_classifier(model_folder: Path) -> None:
    write_modules(model_folder, "Transformer")
    assert read_spec(model_folder, "name").kind == "sequence-classification"


def test_modules_stay_inside_the_folder(model_folder: Path) -> None:
    modules = [{"path": "", "type": "T"}, {"path": "../../elsewhere", "type": "P"}]
    write_json(model_folder / "modules.json", modules)
    with pytest.raises(ModelFileError, match="points outside"):
        read_spec(model_folder, "name")


@pytest.mark.parametrize(
    ("name", "model_type", "template", "tokens"),
    [
        ("Qwen/Qwen3-Reranker-0.6B", "qwen3", QWEN3, (7, 8)),
        ("mixedbread-ai/mxbai-rerank-base-v2", "qwen2", MXBAI, (10, 9)),
        ("BAAI/bge-reranker-v2-gemma", "gemma", BGE, (11, None)),
    ],
)
def test_language_models(
    model_folder: Path,
    name: str,
    model_type: str,
    template: PromptTemplate,
    tokens: tuple[int, int | None],
) -> None:
    set_config(model_folder, architectures=["SomeForCausalLM"], model_type=model_type)
    spec = read_spec(model_folder, name)
    assert (spec.kind, spec.num_labels, spec.padding_side) == ("causal-lm", 1, "left")
    assert (spec.template, (spec.true_token, spec.false_token)) == (template, tokens)


ROLES = (
    "{% for message in messages %}{% if message['role'] == 'system' %}<sys>{{ message['content'] }}"
    "</sys>{% else %}<{{ message['role'] }}>{{ message['content'] }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<answer>{% endif %}"
)


@pytest.mark.parametrize(
    ("file", "value"),
    [
        ("config.json", {"sentence_transformers": "x"}),
        ("config.json", {"architectures": 5}),
        ("config.json", {"num_labels": "two", "id2label": 5}),
        ("config.json", {"model_type": "roberta", "pad_token_id": None}),
        ("config_sentence_transformers.json", {"activation_fn": 5}),
        ("config_sentence_transformers.json", {"prompts": ["x"]}),
        ("tokenizer_config.json", {"model_max_length": "512"}),
        ("chat_template.json", []),
        ("modules.json", [{"path": 5, "type": "x"}, {"path": "1_Y", "type": "y"}]),
    ],
)
def test_settings_of_another_type_are_damage(model_folder: Path, file: str, value: Any) -> None:
    write_json(model_folder / file, CONFIG | value if file == "config.json" else value)
    with pytest.raises(ModelFileError, match=str(model_folder)):
        read_spec(model_folder, "name")


def test_an_adapter_alone_is_no_model(model_folder: Path) -> None:
    (model_folder / "config.json").unlink()
    with pytest.raises(ModelFileError, match="Is this folder a model"):
        read_spec(model_folder, "name")
    write_json(model_folder / "adapter_config.json", {"peft_type": "LORA"})
    with pytest.raises(ModelFileError, match=r"an adapter of PEFT: .* merge them"):
        read_spec(model_folder, "name")


def test_brackets_without_end_are_damage(model_folder: Path) -> None:
    (model_folder / "config.json").write_text('{"a": ' * 100_000)
    with pytest.raises(ModelFileError, match=str(model_folder)):
        read_spec(model_folder, "name")


def test_the_default_prompt_must_be_one_of_the_models(model_folder: Path) -> None:
    file = model_folder / "config_sentence_transformers.json"
    write_json(file, {"prompts": {"query": "", "web": "Web: "}, "default_prompt_name": "query"})
    assert read_spec(model_folder, "name").default_prompt_name is None
    write_json(file, {"prompts": {"query": "", "web": "Web: "}, "default_prompt_name": "wib"})
    with pytest.raises(ModelFileError, match=r"its prompts \('query', 'web'\), and is 'wib'"):
        read_spec(model_folder, "name")


def test_a_chat_template_with_roles_wins(model_folder: Path) -> None:
    set_config(model_folder, architectures=["Qwen3ForCausalLM"], model_type="qwen3")
    spec = read_spec(model_folder, "name", processor_kwargs={"chat_template": ROLES})
    assert spec.template == PromptTemplate(
        "<sys>{prompt}</sys><query>", "<document>", "", without_prompt="<query>"
    )


def test_a_saved_logit_score_model(model_folder: Path) -> None:
    set_config(model_folder, architectures=["LlamaForCausalLM"], model_type="llama")
    write_modules(model_folder, "Transformer", "LogitScore")
    head = {"true_token_id": 5, "false_token_id": None}
    write_json(model_folder / "1_LogitScore" / "config.json", head)
    kwargs = {"chat_template": {"add_generation_prompt": True}}
    write_json(model_folder / "sentence_bert_config.json", {"processing_kwargs": kwargs})
    (model_folder / "chat_template.jinja").write_text(ROLES, encoding="utf-8")
    spec = read_spec(model_folder, "name")
    assert (spec.kind, spec.true_token, spec.false_token) == ("causal-lm", 5, None)
    assert isinstance(spec.template, PromptTemplate)
    assert spec.template.after == "<answer>"


def test_a_language_model_of_unknown_form(model_folder: Path) -> None:
    set_config(model_folder, architectures=["LlamaForCausalLM"], model_type="llama")
    with pytest.raises(UnsupportedModelError, match="chat template with the roles"):
        read_spec(model_folder, "name")


def test_other_models_that_write_text_are_refused(model_folder: Path) -> None:
    set_config(model_folder, architectures=["BartForConditionalGeneration"])
    with pytest.raises(UnsupportedModelError, match="BartForConditionalGeneration"):
        read_spec(model_folder, "name")


def test_models_with_code_of_their_own_are_refused(model_folder: Path) -> None:
    code = {"AutoModelForSequenceClassification": "modeling_new.NewForSequenceClassification"}
    set_config(model_folder, model_type="new-and-unknown", auto_map=code)
    with pytest.raises(UnsupportedModelError, match=r"modeling_new\.py.*trust_remote_code=True"):
        read_spec(model_folder, "name")
    read_spec(model_folder, "name", trust_remote_code=True)
    (model_folder / "model.onnx").write_bytes(b"")
    assert read_spec(model_folder, "name").kind == "sequence-classification"


def test_the_padding_token_is_looked_up_where_the_configuration_is_silent(
    model_folder: Path,
) -> None:
    set_config(model_folder, pad_token_id=None)
    settings = {"pad_token": {"content": "c", "special": True}}
    write_json(model_folder / "tokenizer_config.json", settings)
    assert read_spec(model_folder, "name").pad_token_id == 6


@pytest.mark.parametrize(
    ("front", "expected"),
    [
        ("language: en", ("en",)),
        ("license: mit\nlanguage:\n- en\n- de\ntags:\n- fr", ("en", "de")),
        ("language: [en, 'no']", ("en", "no")),
        ("language:\n- multilingual", ()),
        ("license: mit", ()),
    ],
)
def test_languages(model_folder: Path, front: str, expected: tuple[str, ...]) -> None:
    (model_folder / "README.md").write_text(f"---\n{front}\n---\n# A model\nlanguage: ja\n")
    assert read_spec(model_folder, "name").languages == expected


@pytest.mark.parametrize("text", ["{", "[1]", "\udcff"])
def test_damaged_files_are_named(model_folder: Path, text: str) -> None:
    data = text.encode("utf-8", "surrogateescape")
    (model_folder / "config.json").write_bytes(data)
    with pytest.raises(ModelFileError, match=r"config\.json"):
        read_spec(model_folder, "name")


def test_missing_files_are_named(model_folder: Path) -> None:
    (model_folder / "tokenizer.json").unlink()
    with pytest.raises(ModelFileError, match=r"tokenizer\.json is required"):
        read_spec(model_folder, "name")
    (model_folder / "config.json").unlink()
    with pytest.raises(ModelFileError, match=r"config\.json is required"):
        read_spec(model_folder, "name")


def test_an_old_vocabulary_is_converted_once(
    model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("transformers", reason="converts the vocabulary")
    monkeypatch.setenv("CROSSRANK_CACHE", str(tmp_path / "cache"))
    vocabulary = json.loads((model_folder / "tokenizer.json").read_text())["model"]["vocab"]
    (model_folder / "tokenizer.json").unlink()
    (model_folder / "vocab.txt").write_text("\n".join(vocabulary))
    write_json(model_folder / "tokenizer_config.json", {"tokenizer_class": "BertTokenizer"})
    file = read_spec(model_folder, "name").tokenizer_file
    assert file.is_relative_to(tmp_path / "cache")
    from crossrank.tokenization import PairTokenizer

    tokenizer = PairTokenizer(file, PairTemplate(), max_length=16)
    assert tokenizer.encode([("a", "b c")])[0].ids.tolist() == [2, 4, 3, 5, 6, 3]
    written = file.stat().st_mtime_ns
    copy = tmp_path / "copy"
    shutil.copytree(model_folder, copy)
    assert read_spec(copy, "name").tokenizer_file == file
    assert file.stat().st_mtime_ns == written


def test_a_fusion_model_reads_as_much_as_its_text_encoder() -> None:
    roberta = {"model_type": "roberta", "max_position_embeddings": 514, "pad_token_id": 1}
    fusion = {"model_type": "crossrank-fusion", "max_position_embeddings": 514}
    config = fusion | {"text_config": roberta}
    assert read_max_length(config, {"model_max_length": 10**30}, {}, {}) == 512
    bert = fusion | {"text_config": {"model_type": "bert", "max_position_embeddings": 512}}
    assert read_max_length(bert, {"model_max_length": 10**30}, {}, {}) == 512
