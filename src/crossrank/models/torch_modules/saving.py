"""Writing a torch module's weights in the layout they were read from."""

from pathlib import Path

from safetensors.torch import save_file
from torch import nn
from transformers import PreTrainedModel

from crossrank.models.json_files import read_value
from crossrank.models.spec import ModelSpec
from crossrank.models.torch_modules.modular import Modular
from crossrank.models.torch_modules.weights import no_progress_bar


def save_weights(module: nn.Module, spec: ModelSpec, folder: Path) -> None:
    """Write ``config.json`` and safetensors files.

    Args:
        module: What ``load_module`` returned for ``spec``, with other weights by now.
        spec: The model it was loaded from.
        folder: The folder to write; made when it does not exist.
    """
    first, *rest = (
        read_value(spec.folder / "modules.json") if isinstance(module, Modular) else [{"path": ""}]
    )
    with no_progress_bar():
        pretrained(module).save_pretrained(folder / first["path"])
    if not isinstance(module, Modular):
        return
    for entry, head in zip(rest, module.heads, strict=True):
        # A head computes with a module that carries the names of the file, or with a function.
        compute = getattr(head, "compute", None)
        weights = compute.state_dict() if isinstance(compute, nn.Module) else {}
        if weights:
            (folder / entry["path"]).mkdir(parents=True, exist_ok=True)
            save_file(weights, folder / entry["path"] / "model.safetensors")


def pretrained(module: nn.Module) -> PreTrainedModel:
    """Find the transformers model inside."""
    return next(part for part in module.modules() if isinstance(part, PreTrainedModel))
