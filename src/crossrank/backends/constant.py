"""A backend without weights, for tests of what lies above it."""

from typing import Any, ClassVar, Self

import numpy as np

from crossrank.backends.base import Backend
from crossrank.batching import Batch
from crossrank.models.spec import ModelSpec
from crossrank.types import Floats, Precision


class ConstantBackend(Backend):
    """Gives a pair the share of its document's tokens that its query has too.

    A pair's logits follow from its token ids alone: label ``i`` is the share plus ``i``.
    """

    name: ClassVar[str] = "constant"

    def __init__(self, num_labels: int = 1) -> None:
        self.device = "cpu"
        self.precision = "fp32"
        self.reason = "no weights: the share of the document's tokens that the query has too"
        self.num_labels = num_labels

    @classmethod
    def load(
        cls,
        spec: ModelSpec,
        *,
        device: str | None = None,
        precision: Precision | None = None,
        options: dict[str, Any] | None = None,
    ) -> Self:
        """Take nothing from the model but its number of labels."""
        return cls(spec.num_labels)

    def forward(self, batch: Batch) -> Floats:
        """Compare the tokens of both sides."""
        shares = [
            _share(ids[(mask == 1) & (types == 0)], ids[types == 1])
            for ids, mask, types in zip(
                batch.input_ids, batch.attention_mask, batch.token_type_ids, strict=True
            )
        ]
        labels = np.arange(self.num_labels, dtype=np.float32)
        return np.add.outer(shares, labels).astype(np.float32)


def _share(query: Any, document: Any) -> float:
    return float(np.isin(document, query).mean()) if len(document) else 0.0
