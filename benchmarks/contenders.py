"""What is measured: a function for each way to load the model and score pairs with it.

A loader imports its library inside, since libraries live in three environments, and gives a
function from pairs to raw logits, so that all of them can be compared. Everything that is not
named here is left at the library's default.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from settings import INFINITY, INT8, MAIN, MAX_LENGTH, MODEL, ONNX, OPENVINO, PEERS

Pairs = list[tuple[str, str]]
Predict = Callable[[Pairs], Any]


@dataclass(frozen=True)
class Contender:
    """One row of the table.

    Attributes:
        title: How tables and pictures name it.
        load: Loads the model.
        python: Of the environment that has the library.
    """

    title: str
    load: Callable[[], Predict]
    python: Path


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
            scores = np.empty(len(pairs))
            for query, positions in _by_query(pairs).items():
                passages = [{"id": position, "text": pairs[position][1]} for position in positions]
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


def rerankers() -> Predict:
    """rerankers takes one query at a time, and its documents as they come, 16 a batch."""
    from rerankers import Reranker

    ranker = Reranker(str(MODEL), model_type="cross-encoder", verbose=0)

    def predict(pairs: Pairs) -> Any:
        logits = np.empty(len(pairs), dtype=np.float32)
        for query, positions in _by_query(pairs).items():
            ranked = ranker.rank(query, [pairs[row][1] for row in positions], doc_ids=positions)
            for result in ranked.results:
                logits[result.document.doc_id] = result.score
        return logits

    return predict


def infinity() -> Predict:
    """infinity's engine without its server, on torch: all queries wait in its queue at once."""
    from infinity_emb import EngineArgs, SyncEngineArray

    # No BetterTransformer, which is slower on a CPU; and no warm-up of its own, half a minute.
    arguments = EngineArgs(
        model_name_or_path=str(MODEL), bettertransformer=False, model_warmup=False
    )
    engines = SyncEngineArray.from_args([arguments])

    def predict(pairs: Pairs) -> Any:
        logits = np.empty(len(pairs), dtype=np.float32)
        waiting = [
            (
                positions,
                engines.rerank(
                    model=str(MODEL),
                    query=query,
                    docs=[pairs[position][1] for position in positions],
                    raw_scores=True,
                ),
            )
            for query, positions in _by_query(pairs).items()
        ]
        for positions, answer in waiting:
            for found in answer.result()[0]:
                logits[positions[found.index]] = found.relevance_score
        return logits

    return predict


def _by_query(pairs: Pairs) -> dict[str, list[int]]:
    """Where the pairs of each query are."""
    positions: dict[str, list[int]] = {}
    for position, (query, _) in enumerate(pairs):
        positions.setdefault(query, []).append(position)
    return positions


BASELINE = "sentence-transformers fp32"
BEST_PEER = "sentence-transformers OpenVINO int8"
"""The fastest of the others, by ``results/speed.json``."""
FP32, DYNAMIC = "model.onnx", "model_dynamic_int8.onnx"
OPENVINO_INT8 = "openvino/openvino_model_qint8_quantized.xml"

CONTENDERS = [
    Contender(BASELINE, sentence_transformers(MODEL), MAIN),
    Contender("sentence-transformers bf16", sentence_transformers(MODEL, dtype="bfloat16"), MAIN),
    Contender("crossrank fp32", crossrank(MODEL, "fp32"), MAIN),
    Contender("crossrank bf16", crossrank(MODEL, "bf16"), MAIN),
    Contender("crossrank int8", crossrank(INT8, "int8"), MAIN),
    Contender("sentence-transformers OpenVINO", sentence_transformers(OPENVINO, "openvino"), PEERS),
    Contender(
        BEST_PEER,
        sentence_transformers(OPENVINO, "openvino", file_name=OPENVINO_INT8),
        PEERS,
    ),
    Contender("ONNX Runtime fp32", onnxruntime(ONNX, FP32), PEERS),
    Contender("ONNX Runtime dynamic int8", onnxruntime(ONNX, DYNAMIC), PEERS),
    Contender("ONNX Runtime, crossrank's int8", onnxruntime(INT8, "onnx/model_int8.onnx"), PEERS),
    Contender("FlashRank fp32", flashrank(FP32), PEERS),
    Contender("FlashRank dynamic int8", flashrank(DYNAMIC), PEERS),
    Contender("fastembed fp32", fastembed(FP32), PEERS),
    Contender("fastembed dynamic int8", fastembed(DYNAMIC), PEERS),
    Contender("rerankers", rerankers, PEERS),
    Contender("infinity", infinity, INFINITY),
]
