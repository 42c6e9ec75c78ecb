"""The demo prints what it measured."""

import io
import sys

import pytest
from rich.console import Console

from crossrank import CrossEncoder
from crossrank.demo import DemoResult, run_demo
from crossrank.demo.show import _evenly
from crossrank.errors import MissingDependencyError

pytest.importorskip("ir_measures", reason="needs the extra demo")
pytest.importorskip("bm25s", reason="needs the extra demo")


@pytest.fixture(scope="module")
def demo() -> tuple[DemoResult, str]:
    console = Console(file=io.StringIO(), width=100)
    result = run_demo(queries=170, console=console)
    assert isinstance(console.file, io.StringIO)
    return result, console.file.getvalue()


@pytest.mark.parametrize("package", ["bm25s", "ir_measures"])
def test_a_missing_package_says_how_to_install_it(
    monkeypatch: pytest.MonkeyPatch, package: str
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingDependencyError, match=r'pip install "crossrank\[demo\]"'):
        run_demo()


def test_reranking_gains(demo: tuple[DemoResult, str]) -> None:
    result, _ = demo
    # BM25's value is fixed by the collection.
    assert result.before == pytest.approx({"RR@10": 0.7477, "nDCG@10": 0.7832}, abs=5e-5)
    assert result.after["RR@10"] > result.before["RR@10"]
    assert result.after["nDCG@10"] > result.before["nDCG@10"]
    assert result.pairs == 1700


def test_the_small_model_gains_too(demo: tuple[DemoResult, str]) -> None:
    result = run_demo(model=CrossEncoder("small"), queries=170, console=Console(file=io.StringIO()))
    assert result.before["RR@10"] < result.after["RR@10"] < demo[0].after["RR@10"]


def test_the_output_holds_the_numbers(demo: tuple[DemoResult, str]) -> None:
    result, output = demo
    for values in (result.before, result.after):
        for value in values.values():
            assert f"{value:.3f}" in output
    assert f"Scored {result.pairs:,} pairs" in output
    assert f"{result.pairs / result.seconds:,.0f} pairs per second" in output
    assert "A question that gained: " in output


def test_reranking_by_a_constant_changes_nothing() -> None:
    """Equal scores keep BM25's order, whatever the ids of the documents."""

    class Constant(CrossEncoder):
        def predict(self, inputs: list, **_: object) -> list[float]:  # type: ignore[override]
            return [0.5] * len(inputs)

    console = Console(file=io.StringIO())
    result = run_demo(model=Constant(), queries=30, depth=5, console=console)
    assert result.after == result.before
    assert isinstance(console.file, io.StringIO)
    assert "up for 0 questions, down for 0, and stayed for 30" in console.file.getvalue()


def test_questions_are_taken_from_all_parts() -> None:
    texts = {str(number): "" for number in range(1190)}
    for count in (100, 600, 1000, 1190):
        taken = [int(name) for name in _evenly(texts, count)]
        assert len(taken) == count
        assert (taken[0], taken[-1] >= 1190 - 1190 / count - 1) == (0, True)
    assert len(_evenly(texts, 5000)) == 1190
