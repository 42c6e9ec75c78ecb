"""Measures explanations over XQuAD's paragraphs: do they point at the answer, and beat chance?

python benchmarks/explanations.py --questions 100 --methods sentences tokens

Questions are evenly spaced over all paragraphs of ``xquad/xquad.en.json`` in ``CROSSRANK_DATA``. An
answer counts as found when the piece with the highest attribution, a sentence or a word, is of the
sentence that holds it. Chance is the mean share of such pieces. ``--model`` names another model,
e.g. one on torch for ``--methods gradients``.
"""

import argparse
import json
import time
from itertools import islice
from typing import Any

import numpy as np
from data import data_folder
from settings import pin

Question = tuple[str, str, int, int]
"""Question, paragraph, and where the sentence with its answer begins and ends."""


def main() -> None:
    """Print what was measured as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--questions", type=int, default=100)
    parser.add_argument("--methods", nargs="+", default=["sentences", "tokens"])
    parser.add_argument("--model")
    parser.add_argument("--backend", default="auto")
    parser.add_argument("--faithfulness", action="store_true", help="up to 242 variants more each")
    chosen = parser.parse_args()
    pin()
    from crossrank import CrossEncoder

    with CrossEncoder(chosen.model, backend=chosen.backend) as model:
        asked = questions(chosen.questions)
        found = {
            method: measure(model, asked, method, chosen.faithfulness) for method in chosen.methods
        }
    print(json.dumps(found, indent=2))


def questions(count: int) -> list[Question]:
    """So many questions, evenly spaced."""
    from crossrank.explanation.parts import Parts

    file = data_folder() / "xquad/xquad.en.json"
    data = json.loads(file.read_text(encoding="utf-8"))["data"]
    found = []
    for paragraph in (paragraph for article in data for paragraph in article["paragraphs"]):
        text = paragraph["context"]
        for entry in paragraph["qas"]:
            (answer, *_) = entry["answers"]
            first = answer["answer_start"]
            last = first + len(answer["text"])
            sentences = Parts.sentences(text, len(text)).spans
            inside = [(start, end) for start, end in sentences if start < last and first < end]
            found.append((entry["question"].strip(), text, inside[0][0], inside[-1][1]))
    return list(islice(found, 0, None, max(1, len(found) // count)))[:count]


def measure(model: Any, asked: list[Question], method: str, faithful: bool) -> dict[str, Any]:
    """Explain each question's paragraph with one method."""
    hits, chances, gains, beaten, pieces = [], [], [], [], []
    start = time.perf_counter()
    for question, paragraph, begin, end in asked:
        found = model.explain(question, paragraph, method, faithfulness=faithful)
        (best, *_) = found.relevant_spans(top=1) or [None]
        hits.append(best is not None and best.start < end and begin < best.end)
        chances.append(np.mean([p.start < end and begin < p.end for p in found.pieces]))
        pieces.append(len(found.pieces))
        if found.faithfulness is not None:
            gains.append(found.faithfulness.gain)
            beaten.append(found.faithfulness.beaten)
    seconds = time.perf_counter() - start
    result = {
        "questions": len(hits),
        "pieces": float(np.mean(pieces)),
        "answer found": float(np.mean(hits)),
        "chance": float(np.mean(chances)),
        "seconds an explanation": seconds / len(hits),
    }
    if gains:
        result["gain over random orders"] = float(np.mean(gains))
        result["explanations that gain"] = float(np.mean(np.array(gains) > 0))
        result["random orders beaten"] = float(np.mean(beaten))
    return {name: round(value, 3) for name, value in result.items()}


if __name__ == "__main__":
    main()
