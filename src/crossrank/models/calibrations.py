"""The calibrations that are saved with a model: ``calibration.json``, an entry for each precision.

Each precision computes other logits, so that each needs a calibration of its own; the engines
compute the same ones, to rounding. The file comes with the model, from anywhere: it is data, its
size is bounded, and every number in it is checked.
"""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crossrank.errors import InputError, ModelFileError
from crossrank.text_files import write_whole

if TYPE_CHECKING:
    from crossrank.evaluation.calibration_maps import Calibration

FILE = "calibration.json"
FORMAT = 1
MAX_BYTES = 16_000_000


def read_calibration(folder: Path, precision: str) -> "Calibration":
    """Read a model's calibration for a precision.

    Raises:
        InputError: The model has none.
        ModelFileError: The file is damaged.
    """
    entries = _read(folder / FILE)
    if precision not in entries:
        known = f"those for {', '.join(sorted(entries))}" if entries else "none"
        raise InputError(
            f"A calibration for {precision} is required, and the model in {folder} has {known}. "
            f"Make one with: crossrank calibrate DATA --model MODEL --precision {precision} --out "
            "FOLDER, and load the model from there."
        )
    try:
        return _parse(entries[precision])
    except (InputError, TypeError, KeyError) as error:
        reason = str(error).removesuffix(".")
        raise _damaged(
            folder / FILE, f"{precision} must be a calibration as crossrank writes it: {reason}."
        ) from error


def write_calibration(
    folder: Path, precision: str, calibration: "Calibration", about: dict[str, Any]
) -> None:
    """Save a calibration with a model, in place of that for the same precision.

    Args:
        folder: The model's folder.
        precision: What the model computes in.
        calibration: What to save.
        about: What is to be known of it: what it was fitted and judged on, with which result.

    Raises:
        ModelFileError: The file that is there is damaged.
    """
    file = folder / FILE
    entry = {"method": calibration.method, **asdict(calibration.map)}
    if calibration.threshold is not None:
        entry["threshold"] = asdict(calibration.threshold)
    entries = _read(file) | {precision: entry | {"about": about}}
    content = {"format": FORMAT, "precisions": entries}
    write_whole(file, json.dumps(content, indent=1, allow_nan=False) + "\n")


def _read(file: Path) -> dict[str, Any]:
    """The entries by precision; empty where there is no file."""
    if not file.is_file():
        return {}
    if file.stat().st_size > MAX_BYTES:
        raise _damaged(
            file, f"at most {MAX_BYTES:,} bytes are read, and it has {file.stat().st_size:,}."
        )
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise _damaged(file, f"it cannot be read: {error}.") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise _damaged(
            file,
            f'a JSON object with "format": {FORMAT} is required. A newer version of crossrank may '
            "have written it.",
        )
    entries = content.get("precisions")
    if not isinstance(entries, dict):
        raise _damaged(file, 'an object "precisions" is required.')
    return entries


def _damaged(file: Path, reason: str) -> ModelFileError:
    return ModelFileError(f"{file}: {reason} Delete {file} and calibrate the model again.")


def _parse(entry: dict[str, Any]) -> "Calibration":
    # Here, since scoring needs nothing of the evaluation.
    from crossrank.evaluation.calibration_maps import MAPS, Calibration, Threshold

    method = entry["method"]
    names = MAPS[method].__dataclass_fields__
    values = {name: _tuple(entry[name]) for name in names}
    threshold = entry.get("threshold")
    return Calibration(
        method, MAPS[method](**values), None if threshold is None else Threshold(**threshold)
    )


def _tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
