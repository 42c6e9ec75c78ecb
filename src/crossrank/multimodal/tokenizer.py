"""Queries to token ids, and documents that are images or recordings to features."""

from collections.abc import Callable, Sequence
from typing import Any, Self, cast

import numpy as np
from numpy.typing import NDArray

from crossrank.errors import InputError, UnsupportedModelError
from crossrank.models.json_files import read_json
from crossrank.models.spec import ModelSpec
from crossrank.multimodal.audio import LogMelProcessor, SpectrogramProcessor, WaveformProcessor
from crossrank.multimodal.images import ImageProcessor
from crossrank.multimodal.media import Media, Modality, read_media
from crossrank.optional import require
from crossrank.tokenization import Encoded, Ids, PairTokenizer, Truncation
from crossrank.types import AnyPair, Fetcher, Floats

PROCESSOR = "preprocessor_config.json"
"""How documents are prepared; the file and the names in it are those of transformers."""

Processor = Callable[[Media], Floats]
"""Decodes a document and makes features of it, always of the same shape."""

_PACKAGES = {"image": ("PIL",), "audio": ("soundfile", "scipy")}


class MediaTokenizer(PairTokenizer):
    """The tokenizer of a model whose queries are texts and whose documents are not.

    Attributes:
        modality: What documents are.
        process: Makes their features.
        shape: Of the features.
        positions: How many states the model computes of them.
        fetcher: Gives the file at an address. May be set.
    """

    modality: Modality
    process: Processor
    shape: tuple[int, ...]
    positions: int
    fetcher: Fetcher | None = None

    @classmethod
    def load(cls, spec: ModelSpec, truncation: Truncation = "longest_first") -> Self:
        """Load the tokenizer and the processor of a model's folder.

        Raises:
            ModelFileError: A file is missing or damaged.
            UnsupportedModelError: The processor is of no known kind.
            MissingDependencyError: A package that reads documents is not installed.
        """
        loaded = cls(
            spec.tokenizer_file, spec.template, max_length=spec.max_length, truncation=truncation
        )
        loaded.modality = cast("Modality", spec.modalities[0])
        for package in _PACKAGES[loaded.modality]:
            require(package, extra="multimodal")
        loaded.shape = tuple(spec.config["document_shape"])
        loaded.positions = spec.config["document_positions"]
        loaded.process = load_processor(read_json(spec.folder / PROCESSOR), list(loaded.shape))
        return loaded

    def read(self, document: Any, where: str) -> Media:
        """Check a document before it is encoded; see ``crossrank.multimodal`` for what it may be.

        Raises:
            InputError: It is something else, or a file that does not exist or cannot be fetched.
        """
        values = int(np.prod(self.shape))
        return read_media(document, self.modality, where, values, self.fetcher)

    def encode(
        self, pairs: Sequence[AnyPair], *, prompt: str | None = None, count_all: bool = False
    ) -> list[Encoded]:
        """Tokenise queries, and decode each distinct document once.

        Raises:
            InputError: A document cannot be decoded; the message names it.
        """
        prefix = prompt or ""
        ids = self._ids_of(
            (prefix + query for query, _ in pairs), None if count_all else self.max_length
        )
        documents = [self.read(document, "The document") for _, document in pairs]
        features = {document: self.process(document) for document in dict.fromkeys(documents)}
        return [
            self._encoded(ids[prefix + query], features[document])
            for (query, _), document in zip(pairs, documents, strict=True)
        ]

    def _encoded(self, query: Ids, features: Floats) -> Encoded:
        """Frame a query that stands alone, e.g. ``[CLS] query [SEP]``."""
        assert self._frame is not None
        before, after = self._frame.before, self._frame.after
        kept = query[: self.max_length - len(before) - len(after)]
        ids = np.concatenate((before, kept, after))
        return Encoded(
            ids,
            len(ids),
            truncated_query=len(query) - len(kept),
            features=features,
            positions=self.positions,
        )

    def offsets(self, text: str) -> NDArray[np.int64]:
        """Refuse to cut a document into windows.

        Raises:
            InputError: Always.
        """
        raise InputError(
            f"Windows are cut from texts, and this model reads {self.modality} documents: "
            'long_documents must be "truncate".'
        )


def load_processor(settings: dict[str, Any], shape: list[int]) -> Processor:
    """Choose how documents are prepared.

    Args:
        settings: A ``preprocessor_config.json``.
        shape: Of the features that the model reads.

    Raises:
        UnsupportedModelError: The processor is of no known kind.
    """
    kind = str(settings.get("image_processor_type") or settings.get("feature_extractor_type"))
    if "ImageProcessor" in kind:
        return ImageProcessor.of(settings, shape)
    if kind == "ASTFeatureExtractor":
        return SpectrogramProcessor.of(settings, shape)
    if kind == "Wav2Vec2FeatureExtractor":
        return WaveformProcessor.of(settings, shape)
    if kind == "WhisperFeatureExtractor":
        return LogMelProcessor.of(settings, shape)
    raise UnsupportedModelError(
        "The processor must be an image processor, an ASTFeatureExtractor, a "
        "Wav2Vec2FeatureExtractor or a WhisperFeatureExtractor, "
        f"received {kind!r} in {PROCESSOR}."
    )
