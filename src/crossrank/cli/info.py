"""``crossrank info``: what was chosen for a model, and why."""

import json
import os
import platform
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from crossrank.cli import options

if TYPE_CHECKING:
    from crossrank.cross_encoder import CrossEncoder

LIBRARIES = ("crossrank", "numpy", "tokenizers", "openvino", "onnxruntime", "torch", "transformers")
CPU_FEATURES = {
    "avx2": "AVX2",
    "avx512f": "AVX-512",
    "avx_vnni": "AVX-VNNI: fast int8",
    "avx512_vnni": "AVX-512 VNNI: fast int8",
    "avx512_bf16": "AVX-512 BF16: fast bf16",
    "amx_int8": "AMX int8: very fast int8",
    "amx_bf16": "AMX bf16: very fast bf16",
    "asimd": "NEON",
    "asimddp": "dot product: fast int8",
    "i8mm": "int8 matrices: very fast int8",
    "bf16": "bf16 matrices: fast bf16",
}
"""The kernel's names of what decides how fast a precision is."""


def info(
    model: Annotated[
        str | None,
        typer.Argument(
            metavar="[MODEL]",
            help="A folder, a hub id, or `small`.",
            show_default="the embedded model",
        ),
    ] = None,
    *,
    format: Annotated[  # noqa: A002  # names the option
        Literal["table", "json"], typer.Option("--format", "-f", help="How to show it.")
    ] = "table",
    backend: options.Backend = "auto",
    precision: options.Precision = "auto",
    device: options.Device = None,
    max_length: options.MaxLength = None,
) -> None:
    """Show what a model is, and what was chosen to run it here, and why.

    \b
    Examples:
      crossrank info
      crossrank info cross-encoder/ms-marco-MiniLM-L6-v2 --precision int8 --format json
    """
    encoder = options.load_model(
        model, backend=backend, precision=precision, device=device, max_length=max_length
    )
    sections = {
        "chosen": _chosen(encoder),
        "model": _model(encoder),
        "machine": {"python": platform.python_version(), "cpu": _cpu(), "cores": os.cpu_count()},
        "versions": _versions(),
    }
    if format == "json":
        typer.echo(json.dumps(sections, ensure_ascii=False, indent=2))
    else:
        typer.echo(_table(sections), nl=False)


def _chosen(encoder: "CrossEncoder") -> dict[str, Any]:
    runtime = encoder.runtime
    return {
        "backend": runtime.name,
        "device": runtime.device,
        "precision": runtime.precision,
        "reason": runtime.reason,
        "files": [str(file) for file in runtime.files],
        "bytes": sum(file.stat().st_size for file in runtime.files),
    }


def _model(encoder: "CrossEncoder") -> dict[str, Any]:
    spec = encoder.spec
    return {
        "name": spec.name,
        "folder": str(spec.folder),
        "kind": spec.kind,
        "template": type(spec.template).__name__,
        "labels": spec.num_labels,
        "max length": spec.max_length,
        "truncation": spec.truncation,
        "activation": spec.activation,
        "prompts": spec.prompts,
        "languages": list(spec.languages),
        "licence": card_value(spec.folder / "README.md", "license"),
    }


def card_value(card: Path, name: str) -> str | None:
    """Read a one-line value from the head of a model card; ``None`` when the card is silent.

    The head is YAML, and what is asked for here is always ``name: word``: no YAML library needed.
    """
    if not card.is_file():
        return None
    head, _, rest = card.read_text(encoding="utf-8", errors="replace").partition("\n")
    if head.strip() != "---":
        return None
    for line in rest.splitlines():
        if line.strip() == "---":
            return None
        key, colon, value = line.partition(":")
        if colon and key == name:
            return value.strip().strip("'\"") or None
    return None


def _cpu() -> dict[str, Any]:
    """Name the processor and its instructions that matter; empty where the kernel does not tell."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    facts = {
        key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)
    }
    flags = (facts.get("flags") or facts.get("Features") or "").split()
    return {
        "name": facts.get("model name") or platform.processor() or platform.machine(),
        "features": [told for flag, told in CPU_FEATURES.items() if flag in flags],
    }


def _versions() -> dict[str, str | None]:
    import importlib.metadata

    found: dict[str, str | None] = {}
    for name in LIBRARIES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = None
    return found


def _table(sections: dict[str, dict[str, Any]]) -> str:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, show_header=False, padding=(0, 1))
    table.add_column()
    table.add_column(overflow="fold")
    for title, facts in sections.items():
        table.add_row(Text(title, style="bold"))
        for name, value in facts.items():
            table.add_row(Text(f"  {name}"), Text(_show(name, value)))
    console = Console()
    with console.capture() as captured:
        console.print(table)
    return captured.get()


def _show(name: str, value: Any) -> str:
    if name == "bytes":
        return f"{value / 1e6:.1f} MB"
    if isinstance(value, dict):
        return "\n".join(f"{key}: {_show(key, part)}" for key, part in value.items()) or "none"
    if isinstance(value, list):
        return "\n".join(value) or "none"
    return "none" if value is None else str(value)
