"""What is measured: a function for each way to load the model and score pairs with it.

A loader imports its library inside, since libraries live in two environments, and gives a
function from pairs to raw logits, so that all of them can be compared. Everything that is not
named here is left at the library's default.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from settings import INT8, MAX_LENGTH, MODEL, ONNX, OPENVINO

Pairs = list[tuple[str, str]]
Predict = Callable[[Pairs], Any]


@dataclass(frozen=True)
class Contender:
    """One row of the table.

    Attributes:
        title: How tables and pictures name it.
        load: Loads the model.
        environment: Which Python has the library.
    """

    title: str
    load: Callable[[], Predict]
    environment: Literal["main", "peers"]


def crossrank(folder: Path, precision: Any) -> Callable[[], Predict]:
    def load() -> Predict:
        from crossrank import CrossEncoder

        model = CrossEncoder(
            folder, precision=precision, max_length=MAX_LENGTH, activation_fn="identity"
        )
        return model.predict

    return load


def sentence_transformers(
    folder: Path, backend: Any = "torch", **model_kwargs: str
) -> Callable[[], Predict]:
    def load() -> Predict:
        import torch
        from sentence_transformers import CrossEncoder

        model = CrossEncoder(
            str(folder),
            backend=backend,
            model_kwargs=model_kwargs,
            max_length=MAX_LENGTH,
            activation_fn=torch.nn.Identity(),
        )
        return model.predict

    return load


def onnxruntime(folder: Path, file: str, batch_size: int = 32) -> Callable[[], Predict]:
    """The loop that a careful user writes: batches of similar length, padded to the longest."""

    def load() -> Predict:
        from onnxruntime import InferenceSession
        from tokenizers import Tokenizer

        session = InferenceSession(folder / file)
        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        tokenizer.enable_truncation(MAX_LENGTH)
        tokenizer.enable_padding()

        def predict(pairs: Pairs) -> Any:
            order = np.argsort([-len(query) - len(document) for query, document in pairs])
            logits = np.empty(len(pairs), dtype=np.float32)
            for rows in np.split(order, range(batch_size, len(order), batch_size)):
                encoded = tokenizer.encode_batch([pairs[row] for row in rows])
                feed = {
                    "input_ids": np.array([each.ids for each in encoded]),
                    "attention_mask": np.array([each.attention_mask for each in encoded]),
                    "token_type_ids": np.array([each.type_ids for each in encoded]),
                }
                logits[rows] = session.run(None, feed)[0][:, 0]
            return logits

        return predict

    return load


def flashrank(file: str) -> Callable[[], Predict]:
    """FlashRank takes one query at a time, and makes one batch of all its documents."""

    def load() -> Predict:
        from flashrank import Ranker, RerankRequest
        from flashrank.Ranker import model_file_map

        model_file_map[ONNX.name] = file
        ranker = Ranker(ONNX.name, cache_dir=str(ONNX.parent), max_length=MAX_LENGTH)

        def predict(pairs: Pairs) -> Any:
            by_query: dict[str, list[dict[str, Any]]] = {}
            for position, (query, document) in enumerate(pairs):
                by_query.setdefault(query, []).append({"id": position, "text": document})
            scores = np.empty(len(pairs))
            for query, passages in by_query.items():
                for passage in ranker.rerank(RerankRequest(query=query, passages=passages)):
                    scores[passage["id"]] = passage["score"]
            return np.log(scores / (1 - scores))

        return predict

    return load


def fastembed(file: str) -> Callable[[], Predict]:
    def load() -> Predict:
        from fastembed.common.model_description import ModelSource
        from fastembed.rerank.cross_encoder import TextCrossEncoder

        source = ModelSource(hf=f"local/{ONNX.name}")
        TextCrossEncoder.add_custom_model(source.hf, sources=source, model_file=file)
        model = TextCrossEncoder(source.hf, specific_model_path=str(ONNX))
        return lambda pairs: np.fromiter(model.rerank_pairs(pairs), dtype=np.float32)

    return load


BASELINE = "sentence-transformers fp32"
FP32, DYNAMIC = "model.onnx", "model_dynamic_int8.onnx"
OPENVINO_INT8 = "openvino/openvino_model_qint8_quantized.xml"

CONTENDERS = [
    Contender(BASELINE, sentence_transformers(MODEL), "main"),
    Contender("sentence-transformers bf16", sentence_transformers(MODEL, dtype="bfloat16"), "main"),
    Contender("crossrank fp32", crossrank(MODEL, "fp32"), "main"),
    Contender("crossrank bf16", crossrank(MODEL, "bf16"), "main"),
    Contender("crossrank int8", crossrank(INT8, "int8"), "main"),
    Contender(
        "sentence-transformers OpenVINO", sentence_transformers(OPENVINO, "openvino"), "peers"
    ),
    Contender(
        "sentence-transformers OpenVINO int8",
        sentence_transformers(OPENVINO, "openvino", file_name=OPENVINO_INT8),
        "peers",
    ),
    Contender("ONNX Runtime fp32", onnxruntime(ONNX, FP32), "peers"),
    Contender("ONNX Runtime dynamic int8", onnxruntime(ONNX, DYNAMIC), "peers"),
    Contender("ONNX Runtime, crossrank's int8", onnxruntime(INT8, "onnx/model_int8.onnx"), "peers"),
    Contender("FlashRank fp32", flashrank(FP32), "peers"),
    Contender("FlashRank dynamic int8", flashrank(DYNAMIC), "peers"),
    Contender("fastembed fp32", fastembed(FP32), "peers"),
    Contender("fastembed dynamic int8", fastembed(DYNAMIC), "peers"),
]
