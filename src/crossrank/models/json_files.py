"""JSON files of a model's folder."""

import json
from pathlib import Path
from typing import Any

from crossrank.errors import ModelFileError


def read_json(file: Path) -> dict[str, Any]:
    """Read an object.

    Raises:
        ModelFileError: The file is missing or damaged.
    """
    value = read_value(file)
    if not isinstance(value, dict):
        raise ModelFileError(f"{file} must hold a JSON object. Download the model again.")
    return value


def read_optional(file: Path) -> dict[str, Any]:
    """Read an object, empty where there is no such file.

    Raises:
        ModelFileError: The file is damaged.
    """
    return read_json(file) if file.is_file() else {}


def read_value(file: Path) -> Any:
    """Read a value of any kind.

    Raises:
        ModelFileError: The file is missing or damaged.
    """
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        advice = "Is this folder a model?"
        if (file.parent / "adapter_config.json").is_file():
            advice = (
                "The folder holds an adapter of PEFT: load its model with it, merge them "
                "(merge_and_unload), and save that."
            )
        raise ModelFileError(
            f"{file} is required and cannot be read: {error.strerror}. {advice}"
        ) from error
    except (ValueError, RecursionError) as error:
        raise ModelFileError(f"{file} is damaged: {error}. Download the model again.") from error
