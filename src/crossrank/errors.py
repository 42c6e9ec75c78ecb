"""Every error that crossrank raises for a user's sake.

::

    CrossRankError
    ├── InputError              a pair, a document or an option cannot be used (also a ValueError)
    │   └── QueryTooLongError   a query that is to be kept whole leaves no room for a document
    ├── ModelError              a model cannot be found or used
    │   ├── ModelNotFoundError  no such folder, hub repository or embedded model
    │   ├── ModelFileError      a file of the model is missing, damaged or refused
    │   └── UnsupportedModelError   an architecture or layout that crossrank does not know
    ├── MissingDependencyError  an optional package is not installed (also an ImportError)
    ├── BackendError            an inference engine failed
    │   └── OutOfMemoryError    the device has no memory for the batch (the engine retries smaller)
    ├── InvalidScoreError       the model answered NaN or infinity, or logits of another shape
    ├── CacheError              the score cache cannot be used
    ├── ExportError             an export failed; nothing was written
    │   └── QualityLimitError   the export lost more ranking quality than allowed
    ├── TrainingError           a training run had to stop; its checkpoints are kept
    ├── LanguageModelError      a language model did not answer
    └── RequestError            a server cannot answer a request as asked (crossrank.server)

Each message says what was required, what was received and what to do.
"""

from typing import Any


class CrossRankError(Exception):
    """Root of all errors raised by crossrank."""


class InputError(CrossRankError, ValueError):
    """A pair, a document or an option cannot be used as given."""


class QueryTooLongError(InputError):
    """A query that is to be kept whole leaves no room for a document.

    Attributes:
        tokens: How many it has.
        most: How many it may have.
    """

    def __init__(self, message: str, tokens: int = 0, most: int = 0) -> None:
        super().__init__(message)
        self.tokens = tokens
        self.most = most


class ModelError(CrossRankError):
    """A model cannot be found or used."""


class ModelNotFoundError(ModelError):
    """No folder, hub repository or embedded model has this name."""


class ModelFileError(ModelError):
    """A file of the model is missing, damaged or refused."""


class UnsupportedModelError(ModelError):
    """The architecture or layout of the model is not supported."""


class MissingDependencyError(CrossRankError, ImportError):
    """An optional package is needed and not installed."""


class BackendError(CrossRankError, RuntimeError):
    """An inference engine failed."""


class OutOfMemoryError(BackendError):
    """The device has no memory for this batch."""


class InvalidScoreError(CrossRankError, ArithmeticError):
    """The model answered NaN or infinity for a pair."""


class CacheError(CrossRankError):
    """The score cache cannot be used."""


class ExportError(CrossRankError):
    """An export failed; nothing was written."""


class QualityLimitError(ExportError):
    """The export lost more ranking quality than the stated limit."""


class TrainingError(CrossRankError):
    """A training run had to stop; its checkpoints are kept."""


class LanguageModelError(CrossRankError):
    """A language model did not answer."""


def describe(value: Any) -> str:
    """Show a value that was received, in short."""
    if value is None:
        return "None"
    shown = repr(value)
    return f"{type(value).__name__} {shown if len(shown) <= 60 else shown[:57] + '...'}"
