"""Finding and reading model files."""

from crossrank.models.integrity import digest
from crossrank.models.reading import read_spec
from crossrank.models.source import locate
from crossrank.models.spec import ModelSpec

__all__ = ["ModelSpec", "digest", "locate", "read_spec"]
