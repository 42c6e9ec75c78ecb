"""crossrank's own networks, by the ``model_type`` of their ``config.json``; imported when used."""

from typing import TYPE_CHECKING

from crossrank.errors import UnsupportedModelError
from crossrank.optional import require

if TYPE_CHECKING:
    from transformers import PreTrainedModel

ARCHITECTURES = {
    "crossrank-fusion": "crossrank.models.architectures.fusion:Fusion",
    "prettr": "crossrank.models.architectures.prettr:PreTTR",
}


def load_class(model_type: str) -> "type[PreTrainedModel]":
    """Import the network that a model's ``config.json`` names.

    Its ``from_pretrained`` and ``save_pretrained`` read and write a folder, its ``forward`` takes
    ``input_ids, attention_mask, token_type_ids``, one of several modalities also ``features``, and
    returns logits ``[pairs, labels]``.

    Raises:
        UnsupportedModelError: No network of ours has this name.
        MissingDependencyError: torch or transformers is not installed.
    """
    if model_type not in ARCHITECTURES:
        raise UnsupportedModelError(
            f"model_type must be one of {sorted(ARCHITECTURES)}, received {model_type!r}."
        )
    for module in ("torch", "transformers"):
        require(module, extra="torch")
    module_name, _, class_name = ARCHITECTURES[model_type].partition(":")
    network: type[PreTrainedModel] = getattr(require(module_name, extra="torch"), class_name)
    return network
