"""How a bi-encoder makes one vector of the states of all tokens."""

from pathlib import Path

from crossrank.errors import UnsupportedModelError
from crossrank.models.json_files import read_json

_OLD_KEYS = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}
"""What sentence-transformers called them before version 5."""


def read_pooling(folder: Path) -> list[str]:
    """Read the modes of a pooling module; the vectors of several are joined.

    Args:
        folder: Of the module.

    Raises:
        ModelFileError: Its configuration is missing or damaged.
        UnsupportedModelError: It leaves the prompt out.
    """
    config = read_json(folder / "config.json")
    if not config.get("include_prompt", True):
        raise UnsupportedModelError(
            f"{folder} leaves the prompt out of the pooling (include_prompt is false), which "
            "crossrank does not support."
        )
    old = [mode for key, mode in _OLD_KEYS.items() if config.get(key)]
    modes = config.get("pooling_mode", old or "mean")
    return [modes] if isinstance(modes, str) else list(modes)
