"""The architecture: layers import only from those before them, and scoring stays light."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import crossrank

SOURCE = Path(crossrank.__file__).parent

LAYERS = [
    "types errors optional activations cache copying fusion languages compatibility progress "
    "text_files workers",
    "pair_form tokenization batching long_documents losses evaluation",
    "models backends",
    "scoring ranking explanation loaded_model cross_encoder",
    "quantization retrieval multimodal",
    "training demo",
    "server scale integrations",
    "cli",
]
RANK = {name: rank for rank, layer in enumerate(LAYERS) for name in layer.split()}


def room(file: Path) -> str:
    """The top-level module or folder that a file belongs to."""
    return file.relative_to(SOURCE).parts[0].removesuffix(".py")


def imported_rooms(file: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("crossrank."):
            found.add((node.module or "").split(".")[1])
        elif isinstance(node, ast.ImportFrom) and node.module == "crossrank":
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.Import):
            found |= {n.name.split(".")[1] for n in node.names if n.name.startswith("crossrank.")}
    return found


FILES = [file for file in sorted(SOURCE.rglob("*.py")) if room(file)[:2] != "__"]


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(SOURCE)))
def test_no_arrow_points_backwards(file: Path) -> None:
    own = RANK[room(file)]
    for other in imported_rooms(file) & RANK.keys():
        assert RANK[other] <= own, f"{room(file)} must not import {other}"


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(SOURCE)))
def test_files_stay_short(file: Path) -> None:
    assert len(file.read_text(encoding="utf-8").splitlines()) <= 400


def heavy_after(code: str) -> str:
    """Run code in a new process and name the heavy modules it has imported."""
    check = "; import sys; print([m for m in ('torch', 'transformers') if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code + check], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def test_scoring_imports_neither_torch_nor_transformers() -> None:
    assert heavy_after("import crossrank") == "[]"
    code = "import crossrank; crossrank.CrossEncoder().rank('a query', ['a document', 'another'])"
    assert heavy_after(code) == "[]"


def test_importing_crossrank_imports_next_to_nothing() -> None:
    code = (
        "import sys; before = set(sys.modules); import crossrank; "
        "new = {m.partition('.')[0] for m in set(sys.modules) - before}; "
        "print(sorted(new - sys.stdlib_module_names))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['crossrank']"


def test_the_public_names_are_sorted_complete_and_few() -> None:
    assert crossrank.__all__ == sorted(crossrank.__all__)
    assert set(crossrank.__all__) == set(crossrank._HOME)
    assert len(crossrank.__all__) < 25
    for name in crossrank.__all__:
        assert getattr(crossrank, name) is not None
    with pytest.raises(AttributeError, match="nothing_of_this_name"):
        _ = crossrank.nothing_of_this_name
