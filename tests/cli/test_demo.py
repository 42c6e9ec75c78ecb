"""``crossrank demo``: the numbers of ``run_demo``; what they should be is tested there."""

import io
import os
import re
from collections.abc import Callable

import pytest
from typer.testing import Result

pytest.importorskip("bm25s", reason="the demo's first stage")
pytest.importorskip("ir_measures", reason="the demo's measures")


def test_prints_what_the_demo_finds(invoke: Callable[..., Result]) -> None:
    from rich.console import Console

    from crossrank.demo import run_demo

    result = invoke("demo", "--queries", "5")
    assert result.exit_code == 0, result.stderr
    expected = io.StringIO()
    run_demo(queries=5, console=Console(file=expected, width=int(os.environ["COLUMNS"])))
    assert _without_timings(result.stdout) == _without_timings(expected.getvalue())
    assert "5 questions" in result.stdout
    assert "pairs per second" in result.stdout


def _without_timings(text: str) -> str:
    return re.sub(r"in [\d.]+ s: \d+ pairs", "", text)
