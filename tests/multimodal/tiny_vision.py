"""Makers of tiny random vision-language rerankers, in sentence-transformers' layout."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from tests.parity.tiny_models import byte_level, wrap

CHAT = (
    "<|im_start|>system\nJudge whether the Document meets the requirements.<|im_end|>\n"
    "<|im_start|>user\n<Instruct>: {{ (messages | selectattr('role', 'eq', 'system') | list"
    " or [{'content': [{'text': 'Find what fits.'}]}])[0]['content'][0]['text'] }}"
    "{% for message in messages if message['role'] != 'system' %}"
    "{{ '<Query>:' if message['role'] == 'query' else '\n<Document>:' }}"
    "{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<|vision_start|><|image_pad|><|vision_end|>"
    "{% else %}{{ part['text'] }}{% endif %}{% endfor %}{% endfor %}<|im_end|>\n"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
"""A chat template as Qwen3-VL-Reranker's: query, then texts and images of the document."""

SPECIAL = [
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|image_pad|>",
    "<|video_pad|>",
    "yes",
    "no",
]
IMAGES = {
    "image_processor_type": "Qwen2VLImageProcessor",
    "patch_size": 4,
    "merge_size": 2,
    "temporal_patch_size": 2,
    "size": {"shortest_edge": 128, "longest_edge": 1024},
    "image_mean": [0.5, 0.4, 0.3],
    "image_std": [0.25, 0.3, 0.35],
}
_TEXT = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "intermediate_size": 48,
    "max_position_embeddings": 4096,
    "initializer_range": 0.25,
    "bos_token_id": None,
}
_VISION = {"depth": 2, "patch_size": 4, "num_heads": 2, "initializer_range": 0.25}
_ROPE = {"rope_type": "default", "rope_theta": 10_000.0, "mrope_section": [4, 2, 2]}
_WIDE = {"hidden_size": 32, "intermediate_size": 48, "out_hidden_size": 32}

# The class prefix in transformers; what its text and its vision config need besides.
FAMILIES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "Qwen3VL": (
        {"head_dim": 16, "rope_parameters": _ROPE | {"mrope_interleaved": True}},
        _WIDE | {"num_position_embeddings": 16, "deepstack_visual_indexes": [0]},
    ),
    "Qwen2_5_VL": (
        {"rope_parameters": _ROPE},
        _WIDE | {"window_size": 16, "fullatt_block_indexes": [1]},
    ),
    "Qwen2VL": ({"rope_parameters": _ROPE}, {"embed_dim": 32, "hidden_size": 32, "mlp_ratio": 2}),
}


def make_reranker(folder: Path, family: str = "Qwen3VL", **settings: Any) -> Path:
    """Save a model that answers ``yes`` or ``no``.

    Args:
        folder: Where to.
        family: A key of ``FAMILIES``.
        settings: Entries that ``modality_config`` and others of ``sentence_bert_config.json`` get.

    Returns:
        The folder.
    """
    ids = _save(folder, family, "ForConditionalGeneration")
    params = {"method": "forward", "method_output_name": "logits"}
    _write_modules(
        folder,
        {
            "transformer_task": "any-to-any",
            "modality_config": {
                "text": params,
                "image": params,
                "message": params | {"format": "structured"},
            },
            "module_output_name": "causal_logits",
            "processing_kwargs": {"chat_template": {"add_generation_prompt": True}},
            **settings,
        },
        {"LogitScore": {"true_token_id": ids["yes"], "false_token_id": ids["no"]}},
    )
    return folder


def make_pooled(folder: Path, family: str = "Qwen2VL") -> Path:
    """Save a model with a head of its own: two layers on the state of the last token."""
    _save(folder, family, "Model")
    params = {"method": "forward", "method_output_name": "last_hidden_state"}
    dense = {"in_features": 32, "bias": True, "module_input_name": "sentence_embedding"}
    relu, identity = (f"torch.nn.modules.{name}" for name in ("activation.ReLU", "linear.Identity"))
    inner = {"out_features": 32, "activation_function": relu}
    outer = {"out_features": 1, "activation_function": identity, "module_output_name": "scores"}
    _write_modules(
        folder,
        {
            "transformer_task": "feature-extraction",
            "modality_config": {
                "text": params,
                "image": params,
                "message": params | {"format": "structured"},
            },
            "module_output_name": "token_embeddings",
        },
        {
            "Pooling": {"embedding_dimension": 32, "pooling_mode": "lasttoken"},
            "Dense": dense | inner,
            "Dense2": dense | outer,
        },
    )
    return folder


def _save(folder: Path, family: str, kind: str) -> dict[str, int]:
    """Save transformer, tokenizer and image processor; gives the ids of special tokens."""
    special = {"eos_token": "<|im_end|>", "pad_token": "<|endoftext|>"}
    tokenizer = wrap(byte_level(SPECIAL), special, types=False, padding_side="left")
    tokenizer.model_max_length = 4096
    tokenizer.chat_template = CHAT
    ids = {token: tokenizer.convert_tokens_to_ids(token) for token in SPECIAL}
    text, vision = FAMILIES[family]
    config = getattr(transformers, f"{family}Config")(
        text_config=_TEXT | {"vocab_size": len(tokenizer), "pad_token_id": 0} | text,
        vision_config=_VISION | vision,
        image_token_id=ids["<|image_pad|>"],
        video_token_id=ids["<|video_pad|>"],
        vision_start_token_id=ids["<|vision_start|>"],
        vision_end_token_id=ids["<|vision_end|>"],
        tie_word_embeddings=False,
    )
    torch.manual_seed(7)
    model = getattr(transformers, f"{family}{kind}")(config)
    if kind != "Model":
        model.lm_head.weight.data.mul_(3)  # scores far apart show small differences
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(json.dumps(IMAGES))
    return ids


def _write_modules(folder: Path, transformer: dict[str, Any], heads: dict[str, Any]) -> None:
    places = {
        "LogitScore": "cross_encoder.modules.logit_score.LogitScore",
        "Pooling": "sentence_transformer.modules.pooling.Pooling",
        "Dense": "base.modules.dense.Dense",
    }
    modules = [("", "base.modules.transformer.Transformer")]
    generator = torch.Generator().manual_seed(7)
    for number, (name, config) in enumerate(heads.items(), start=1):
        kind = name.rstrip("2")
        path = folder / f"{number}_{kind}"
        path.mkdir()
        (path / "config.json").write_text(json.dumps(config))
        if kind == "Dense":
            from safetensors.torch import save_file

            weight = torch.randn(config["out_features"], 32, generator=generator)
            bias = torch.zeros(config["out_features"])
            save_file({"linear.weight": weight, "linear.bias": bias}, path / "model.safetensors")
        modules.append((path.name, places[kind]))
    entries = [
        {"idx": number, "name": str(number), "path": path, "type": f"sentence_transformers.{kind}"}
        for number, (path, kind) in enumerate(modules)
    ]
    (folder / "modules.json").write_text(json.dumps(entries))
    (folder / "sentence_bert_config.json").write_text(json.dumps(transformer))
    saved = {"model_type": "CrossEncoder", "__version__": {"sentence_transformers": "6.2.0"}}
    (folder / "config_sentence_transformers.json").write_text(json.dumps(saved))


def pixels(height: int, width: int, seed: int = 0) -> np.ndarray:
    """Colours at random, ``[height, width, 3]``."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
