"""The one guard for optional dependencies."""

import importlib
import importlib.util
import sys
from typing import Any

from crossrank.errors import MissingDependencyError


def require(module: str, *, extra: str) -> Any:
    """Import an optional module, or say how to install it.

    Args:
        module: Dotted name of the module.
        extra: The extra of crossrank that brings it.

    Returns:
        The imported module.

    Raises:
        MissingDependencyError: The module is not installed.

    Example:
        >>> require("math", extra="torch").sqrt(9)
        3.0
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or module.partition(".")[0] != error.name.partition(".")[0]:
            raise
        raise MissingDependencyError(
            f"This needs the package {error.name!r}, which is not installed. "
            f'Install it with: pip install "crossrank[{extra}]"'
        ) from error


def installed(module: str) -> bool:
    """Say whether a module can be imported, without importing it.

    Example:
        >>> installed("math"), installed("no_such_module")
        (True, False)
    """
    return importlib.util.find_spec(module) is not None


def silence_telemetry() -> None:
    """Keep OpenVINO and NNCF from reporting their use to a statistics service.

    Both do it through the package ``openvino_telemetry``, OpenVINO already when it is imported,
    and both do without where that cannot be imported.
    """
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
