"""Bi-encoders: texts as vectors, and the documents whose vectors are nearest to a query's."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray

from crossrank.backends import load_backend
from crossrank.backends.base import Backend
from crossrank.errors import InputError, UnsupportedModelError
from crossrank.models.integrity import digest
from crossrank.models.json_files import read_optional
from crossrank.models.reading import read_modules, read_spec
from crossrank.models.source import locate
from crossrank.models.spec import ModelSpec
from crossrank.optional import installed
from crossrank.retrieval.base import Hits
from crossrank.retrieval.pooling import find_pool
from crossrank.retrieval.vectors import nearest
from crossrank.scoring import Options, Scorer
from crossrank.tokenization import Encoded, PairTokenizer
from crossrank.types import Floats, Pair, Precision

Role = Literal["query", "document"]

PROMPTS: dict[Role, tuple[str, ...]] = {
    "query": ("query",),
    "document": ("document", "passage", "corpus"),
}
"""Which of a model's prompts goes before a text, as in sentence-transformers."""

BLOCK_TEXTS = 8192
"""Texts that are sorted by length and computed together."""


class BiEncoder:
    """A model in sentence-transformers' layout that makes one vector of a text.

    Vectors have length 1, so that inner products are cosines, unless the model says that it is to
    be compared by inner products (``similarity_fn_name`` is ``dot``) and does not normalise.

    Attributes:
        width: Numbers a vector.
        normalized: Whether vectors have length 1.
        digest: Says which weights and settings these are.

    Example:
        >>> encoder = BiEncoder.load("all-MiniLM-L6-v2")                    # doctest: +SKIP
        >>> encoder.encode(["How do magnets work?"], role="query").shape    # doctest: +SKIP
        (1, 384)
    """

    def __init__(self, spec: ModelSpec, backend: Backend) -> None:
        self._spec = spec
        self._backend = backend
        tokenizer = PairTokenizer(spec.tokenizer_file, spec.template, max_length=spec.max_length)
        self._scorer = Scorer(spec, tokenizer, [backend])
        self._pool = find_pool(spec)
        self._tokenizer = tokenizer.tokenizer
        self._tokenizer.enable_truncation(spec.max_length)
        file = spec.folder / "config_sentence_transformers.json"
        saved = read_optional(file)
        normalizes = any(
            entry["type"].endswith(".Normalize") for entry in read_modules(spec.folder)
        )
        by_products = saved.get("similarity_fn_name") in ("dot", "dot_score")
        self.normalized = normalizes or not by_products
        self.width = self._encode(["a"]).shape[1]
        self.digest = f"{digest(spec, backend.files)} {backend.precision}"

    @classmethod
    def load(
        cls,
        name: str | Path,
        *,
        backend: str = "auto",
        device: str | None = None,
        precision: Precision | None = None,
    ) -> Self:
        """Load a bi-encoder; safetensors, ONNX and OpenVINO files are read.

        Args:
            name: A folder, or a hub id; one without an organisation is looked for in
                ``sentence-transformers/``.
            backend: ``"openvino"``, ``"onnx"`` or ``"torch"``. By default torch on a GPU and
                OpenVINO elsewhere, but for models with more than mean or CLS pooling behind the
                transformer, which torch computes.
            device: E.g. ``"cpu"``; by default a GPU if there is one.
            precision: What the weights are computed in; by default fp32, unless the model ships
                quantised only.

        Raises:
            ModelNotFoundError: There is no such folder or repository.
            ModelFileError: A file is missing, damaged or refused.
            UnsupportedModelError: It is no bi-encoder in this layout.
            MissingDependencyError: The backend's library is not installed.
        """
        if "/" not in str(name) and not Path(name).is_dir():
            name = f"sentence-transformers/{name}"
        folder = locate(name, backend=backend, device=device, precision=precision)
        if not (folder / "modules.json").is_file():
            raise UnsupportedModelError(
                f"A bi-encoder in sentence-transformers' layout is required, and {name} has no "
                "modules.json. Save it once with SentenceTransformer(...).save_pretrained."
            )
        spec = replace(read_spec(folder, str(name)), kind="bi-encoder")
        if backend == "auto" and find_pool(spec) is None:
            backend = "torch"
        return cls(spec, load_backend(spec, backend, device=device, precision=precision))

    @property
    def device(self) -> str:
        """Where it computes."""
        return self._backend.device

    def encode(self, texts: Sequence[str], *, role: Role) -> Floats:
        """Compute the vectors of texts.

        Args:
            texts: The texts; equal ones are computed once. Long ones are cut.
            role: What they are; a model may have a prompt for queries and one for documents.

        Returns:
            Vectors ``[texts, width]``, in the order of the texts.
        """
        prompts = self._spec.prompts
        prompt = next((prompts[name] for name in PROMPTS[role] if name in prompts), "")
        distinct = dict.fromkeys(texts)
        places = {text: place for place, text in enumerate(distinct)}
        vectors = np.empty((len(distinct), self.width), dtype=np.float32)
        remaining = iter(distinct)
        start = 0
        while block := list(islice(remaining, BLOCK_TEXTS)):
            vectors[start : start + len(block)] = self._encode([prompt + text for text in block])
            start += len(block)
        return vectors[[places[text] for text in texts]]

    def score(self, pairs: Sequence[Pair]) -> Floats:
        """Compute the products of the vectors of queries and documents; ``[pairs]``."""
        queries = self.encode([query for query, _ in pairs], role="query")
        documents = self.encode([document for _, document in pairs], role="document")
        scores: Floats = np.einsum("pw,pw->p", queries, documents)
        return scores

    def _encode(self, texts: list[str]) -> Floats:
        encodings = self._tokenizer.encode_batch_fast([_clean(text) for text in texts])
        encoded = [
            Encoded(np.array(encoding.ids, dtype=np.int32), document_start=len(encoding.ids))
            for encoding in encodings
        ]
        parts: list[tuple[NDArray[np.intp], Floats]] = []

        def keep(rows: NDArray[np.intp], output: Floats) -> None:
            lengths = np.array([encoded[row].length for row in rows])
            parts.append((rows, self._pooled(output, lengths)))

        self._scorer.forward_all(encoded, Options(), keep)
        vectors = np.concatenate([part for _, part in parts])
        vectors[np.concatenate([rows for rows, _ in parts])] = vectors.copy()
        if self.normalized:
            norms = np.linalg.norm(vectors, axis=1, keepdims=True)
            vectors /= np.maximum(norms, 1e-12)
        return vectors

    def _pooled(self, output: Floats, lengths: NDArray[np.intp]) -> Floats:
        """Make vectors of what a graph gives: vectors already, or the states of all tokens."""
        if output.ndim == 2:
            return output
        if self._pool is None:
            raise UnsupportedModelError(
                f"The graph of {self._spec.name} ends in the states of tokens, and crossrank makes "
                "vectors of these by their mean or by the first one. Use backend='torch'."
            )
        return self._pool(output, lengths)


class Dense:
    """Documents ranked by the inner product of their vector and the query's.

    Args:
        encoder: Makes the vectors of queries.
        vectors: The documents' vectors, fp16, ``[documents, width]``.
    """

    def __init__(self, encoder: BiEncoder, vectors: NDArray[np.float16]) -> None:
        if vectors.ndim != 2 or vectors.shape[1] != encoder.width:
            raise InputError(
                f"Vectors [documents, {encoder.width}] are required, as wide as the model's; "
                f"received {list(vectors.shape)}."
            )
        self.encoder = encoder
        self.vectors = vectors

    def search_many(self, queries: Sequence[str], k: int) -> list[Hits]:
        """Find the nearest documents of each query: exact, ties by position."""
        return self.search_vectors(self.encoder.encode(queries, role="query"), k)

    def search_vectors(self, queries: Floats, k: int) -> list[Hits]:
        """Find the nearest documents of vectors ``[queries, width]``."""
        device = self.encoder.device if installed("torch") else "cpu"
        return nearest(queries, self.vectors, k, device=device)

    def score(self, pairs: Sequence[Pair]) -> Floats:
        """Score pairs of a query and any text; ``[pairs]``."""
        return self.encoder.score(pairs)


def _clean(text: str) -> str:
    """Replace lone surrogates, which no tokenizer accepts."""
    return text.encode("utf-8", "replace").decode("utf-8")
