"""crossrank: score and rank query-document pairs with cross-encoders.

Names are loaded when they are first used, so that ``import crossrank`` costs next to nothing.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from crossrank.cache import ScoreCache
    from crossrank.cross_encoder import CrossEncoder
    from crossrank.errors import (
        BackendError,
        CacheError,
        CrossRankError,
        ExportError,
        InputError,
        InvalidScoreError,
        MissingDependencyError,
        ModelError,
        ModelFileError,
        ModelNotFoundError,
        OutOfMemoryError,
        QualityLimitError,
        UnsupportedModelError,
    )
    from crossrank.types import Pair, Precision, RankedDocument

__version__ = "0.1.0"

_HOME = {
    "BackendError": "errors",
    "CacheError": "errors",
    "CrossEncoder": "cross_encoder",
    "CrossRankError": "errors",
    "ExportError": "errors",
    "InputError": "errors",
    "InvalidScoreError": "errors",
    "MissingDependencyError": "errors",
    "ModelError": "errors",
    "ModelFileError": "errors",
    "ModelNotFoundError": "errors",
    "OutOfMemoryError": "errors",
    "Pair": "types",
    "Precision": "types",
    "QualityLimitError": "errors",
    "RankedDocument": "types",
    "ScoreCache": "cache",
    "UnsupportedModelError": "errors",
}

__all__ = [
    "BackendError",
    "CacheError",
    "CrossEncoder",
    "CrossRankError",
    "ExportError",
    "InputError",
    "InvalidScoreError",
    "MissingDependencyError",
    "ModelError",
    "ModelFileError",
    "ModelNotFoundError",
    "OutOfMemoryError",
    "Pair",
    "Precision",
    "QualityLimitError",
    "RankedDocument",
    "ScoreCache",
    "UnsupportedModelError",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
