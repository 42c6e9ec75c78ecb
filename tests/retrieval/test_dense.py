"""Vectors are those of sentence-transformers."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="vectors are computed with torch")
pytest.importorskip("sentence_transformers", reason="random bi-encoders are saved by it")

from tests.parity.tiny_models import LONG_TEXT, TEXTS, make_classifier, make_modular
from tests.retrieval.tiny_bi_encoder import make_bi_encoder, without_safetensors

from crossrank.batching import Batch
from crossrank.errors import InputError, ModelFileError, OutOfMemoryError, UnsupportedModelError
from crossrank.retrieval.dense import BiEncoder, Dense
from crossrank.types import Floats

ALL = [*TEXTS, LONG_TEXT, "", TEXTS[0]]


def reference(folder: Path, texts: list[str], **options: Any) -> Floats:
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(folder), device="cpu")
    vectors: Floats = model.encode(texts, convert_to_numpy=True, **options)
    return vectors


@pytest.mark.parametrize("backend", ["auto", "openvino", "onnx", "torch"])
def test_the_vectors_of_sentence_transformers(bi_encoder: Path, backend: str) -> None:
    encoder = BiEncoder.load(bi_encoder, backend=backend, device="cpu")
    expected = reference(bi_encoder, ALL, normalize_embeddings=True)
    found = encoder.encode(ALL, role="document")
    assert encoder.width == found.shape[1] == 32
    assert np.allclose(found, expected, atol=1e-5)
    assert np.abs(found[0] - found[1]).max() > 0.05
    assert encoder.encode([], role="query").shape == (0, 32)
    assert np.isfinite(encoder.encode(["a lone \ud800 surrogate"], role="query")).all()


@pytest.fixture(scope="module")
def graph(bi_encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bi-encoder whose only weights are a graph that ends in the states of tokens."""
    return without_safetensors(tmp_path_factory.mktemp("graph") / "model", bi_encoder)


@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_graphs_that_end_in_the_states_of_tokens(
    bi_encoder: Path, graph: Path, tmp_path: Path, pooling: str
) -> None:
    whole = shutil.copytree(bi_encoder, tmp_path / "whole")
    folder = shutil.copytree(graph, tmp_path / "graph")
    for model in (whole, folder):
        (model / "1_Pooling/config.json").write_text(
            json.dumps({"embedding_dimension": 32, "pooling_mode": pooling})
        )
    expected = reference(whole, ALL, normalize_embeddings=True)
    for backend in ("openvino", "onnx"):
        encoder = BiEncoder.load(folder, backend=backend, device="cpu")
        assert np.allclose(encoder.encode(ALL, role="document"), expected, atol=1e-5)


def test_a_model_that_normalises_does_so_behind_the_states_of_tokens(
    bi_encoder: Path, graph: Path, tmp_path: Path
) -> None:
    whole = shutil.copytree(bi_encoder, tmp_path / "whole")
    folder = shutil.copytree(graph, tmp_path / "graph")
    last = {"idx": 2, "name": "2", "path": "2_Normalize"}
    last["type"] = "sentence_transformers.models.Normalize"
    for model in (whole, folder):
        (model / "2_Normalize").mkdir()
        for name, change in (
            ("modules.json", lambda modules: [*modules, last]),
            ("config_sentence_transformers.json", lambda it: it | {"similarity_fn_name": "dot"}),
        ):
            content = json.loads((model / name).read_text())
            (model / name).write_text(json.dumps(change(content)))
    found = BiEncoder.load(folder, backend="openvino", device="cpu").encode(ALL, role="document")
    assert np.allclose(found, reference(whole, ALL), atol=1e-5)
    assert np.allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)


def test_torch_is_not_needed_where_there_is_a_graph(
    bi_encoder: Path, graph: Path, tmp_path: Path
) -> None:
    np.save(tmp_path / "expected.npy", reference(bi_encoder, TEXTS, normalize_embeddings=True))
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", WITHOUT_TORCH, graph, tmp_path / "expected.npy"],
        input=json.dumps(TEXTS),
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "[0, 1, 2, 3, 4, 5, 6]\n", "")
    with pytest.raises(ModelFileError, match="torch backend reads safetensors"):
        BiEncoder.load(graph, backend="torch")


WITHOUT_TORCH = """
import json, sys
sys.modules |= {"torch": None, "transformers": None}
import numpy as np
from crossrank.retrieval.dense import BiEncoder, Dense
texts, expected = json.load(sys.stdin), np.load(sys.argv[2])
encoder = BiEncoder.load(sys.argv[1])
vectors = encoder.encode(texts, role="document")
np.testing.assert_allclose(vectors, expected, atol=1e-5)
print([hits[0][0] for hits in Dense(encoder, vectors.astype(np.float16)).search_many(texts, 1)])
"""


def test_layers_behind_the_pooling_are_computed_by_torch(graph: Path, tmp_path: Path) -> None:
    folder = make_bi_encoder(tmp_path / "model", dense=True)
    expected = reference(folder, ALL, normalize_embeddings=True)
    encoder = BiEncoder.load(folder, device="cpu")
    assert (encoder.width, encoder._backend.name) == (16, "torch")
    assert np.allclose(encoder.encode(ALL, role="document"), expected, atol=1e-5)
    unknown = shutil.copytree(graph, tmp_path / "graph")
    shutil.copytree(folder / "2_Dense", unknown / "2_Dense")
    shutil.copy(folder / "modules.json", unknown)
    with pytest.raises(UnsupportedModelError, match="Use backend='torch'"):
        BiEncoder.load(unknown, backend="openvino")


def test_prompts_and_inner_products(tmp_path: Path) -> None:
    folder = make_bi_encoder(
        tmp_path / "model",
        prompts={"query": "How many: ", "passage": "Berlin: "},
        similarity_fn_name="dot",
    )
    encoder = BiEncoder.load(folder, device="cpu")
    for role, prompt in (("query", "How many: "), ("document", "Berlin: ")):
        expected = reference(folder, ALL, prompt=prompt)
        assert np.allclose(encoder.encode(ALL, role=role), expected, atol=1e-4)  # type: ignore[arg-type]
    assert np.linalg.norm(encoder.encode(ALL, role="query"), axis=1).max() > 1.5


def test_memory_running_out_halves_the_batch(
    bi_encoder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = BiEncoder.load(bi_encoder, device="cpu")
    expected = encoder.encode(ALL, role="document")
    forward, sizes = encoder._backend.forward, []

    def small(batch: Batch) -> Floats:
        sizes.append(len(batch.input_ids))
        if len(batch.input_ids) > 2:
            raise OutOfMemoryError("no memory")
        return forward(batch)

    monkeypatch.setattr(encoder._backend, "forward", small)
    assert np.allclose(encoder.encode(ALL, role="document"), expected, atol=1e-6)
    assert max(sizes) > 2 > 1 == min(sizes)


@pytest.mark.parametrize("make", [make_modular, lambda folder: make_classifier(folder, "bert")])
def test_no_bi_encoder_is_refused(tmp_path: Path, make: Any) -> None:
    with pytest.raises(UnsupportedModelError, match="bi-encoder"):
        BiEncoder.load(make(tmp_path / "model"), device="cpu")


def test_search_and_score_agree(bi_encoder: Path) -> None:
    encoder = BiEncoder.load(bi_encoder, device="cpu")
    vectors = encoder.encode(TEXTS, role="document").astype(np.float16)
    index = Dense(encoder, vectors)
    for query, hits in zip(TEXTS, index.search_many(TEXTS, 3), strict=True):
        assert len(hits) == 3
        assert TEXTS[hits[0][0]] == query
        assert hits[0][1] == pytest.approx(1, abs=1e-3)
        scores = index.score([(query, TEXTS[place]) for place, _ in hits])
        assert scores.tolist() == pytest.approx([score for _, score in hits], abs=1e-3)
    with pytest.raises(InputError, match=r"\[documents, 32\] are required.*received \[7, 16\]"):
        Dense(encoder, vectors[:, :16])
