"""From a pair to its explanation."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import get_args

import numpy as np

from crossrank.errors import InputError
from crossrank.explanation.explanation import Explanation, Method, Piece
from crossrank.explanation.faithfulness import measure_faithfulness
from crossrank.explanation.occlusion import Attribution, occlude
from crossrank.explanation.parts import Parts
from crossrank.scoring import Options, Scorer, check_pair
from crossrank.tokenization import PIECE_CHARACTERS, PairTokenizer
from crossrank.types import Floats, Pair


@dataclass(frozen=True)
class Wanted:
    """How a pair is to be explained; see ``CrossEncoder.explain``."""

    method: Method = "sentences"
    label: int = 0
    max_pieces: int = 128
    steps: int = 50
    faithfulness: bool = False

    def check(self, num_labels: int) -> None:
        """Make sure that it can be done.

        Raises:
            InputError: It cannot.
        """
        if self.method not in get_args(Method):
            known = ", ".join(map(repr, get_args(Method)))
            raise InputError(f"method must be one of {known}, received {self.method!r}.")
        if not 0 <= self.label < num_labels:
            possible = f"from 0 to {num_labels - 1}" if num_labels > 1 else "0"
            raise InputError(
                f"label must be {possible}, as the model has {num_labels}; received {self.label}."
            )
        for name in ("max_pieces", "steps"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} must be at least 1, received {getattr(self, name)}.")


def explain_pair(
    scorer: Scorer,
    pair: Pair,
    wanted: Wanted,
    *,
    prompt: str | None,
    finish: Callable[[Floats], Floats],
) -> Explanation:
    """Explain the score of a pair.

    Args:
        scorer: The engine.
        pair: The query and the document.
        wanted: How.
        prompt: Put before the query.
        finish: Makes scores of logits ``[pairs, labels]``.

    Raises:
        InputError: It cannot be explained so, or the model reads only the end of a text.
    """
    wanted.check(scorer.spec.num_labels)
    query, document = check_pair(pair, 0)
    options = Options(prompt)

    def logits(pairs: Sequence[Pair]) -> Floats:
        return np.concatenate([scored.logits for scored in scorer.run(pairs, options)])

    def score(pairs: Sequence[Pair]) -> Floats:
        return logits(pairs)[:, wanted.label]

    # What the model does not read would move up to be read when a part before it is taken out.
    read = _read(scorer.tokenizer, query, document, prompt)
    cut = Parts.sentences if wanted.method == "sentences" else Parts.words
    parts = cut(read[1], wanted.max_pieces)
    if wanted.method == "gradients":
        _check_torch(scorer)
        from crossrank.explanation.gradients import integrate_gradients

        found = integrate_gradients(
            scorer, read[0], parts, prompt=prompt, label=wanted.label, steps=wanted.steps
        )
    else:
        found = occlude(score, read[0], parts)
    faithfulness = None
    if wanted.faithfulness:
        faithfulness = measure_faithfulness(score, read[0], parts, found.values)
    return Explanation(
        query=query,
        document=document,
        method=wanted.method,
        label=wanted.label,
        logit=found.logit,
        score=float(np.ravel(finish(logits([read])))[wanted.label]),
        baseline=found.baseline,
        pieces=_pieces(parts, found),
        read=len(parts.text),
        faithfulness=faithfulness,
    )


def _check_torch(scorer: Scorer) -> None:
    name = scorer.backends[0].name
    if name != "torch":
        raise InputError(
            f"method='gradients' needs a model loaded with backend='torch', received one on "
            f"{name!r}. method='tokens' works on every backend."
        )


def _read(tokenizer: PairTokenizer, query: str, document: str, prompt: str | None) -> Pair:
    """What the model reads of both texts."""
    size = PIECE_CHARACTERS
    while True:  # a text of many megabytes is not tokenised to its end
        part = document[:size]
        (encoded,) = tokenizer.encode([(query, part)], prompt=prompt, count_all=True)
        if size >= len(document) or encoded.truncated_document > tokenizer.max_length:
            break
        size *= 2
    if tokenizer.cuts_left and encoded.truncated_query + encoded.truncated_document:
        raise InputError(
            "This model cuts the beginning of texts, and only what is cut at the end can be "
            f"explained: {encoded.truncated_query + encoded.truncated_document} tokens do not fit. "
            "Shorten the texts."
        )
    return (
        _beginning(tokenizer, query, encoded.truncated_query),
        _beginning(tokenizer, part, encoded.truncated_document),
    )


def _beginning(tokenizer: PairTokenizer, text: str, cut: int) -> str:
    if not cut:
        return text
    ends = [0, *tokenizer.offsets(text)[:, 1].tolist()]
    return text[: ends[max(0, len(ends) - 1 - cut)]]


def _pieces(parts: Parts, found: Attribution) -> tuple[Piece, ...]:
    return tuple(
        Piece(start, end, parts.text[start:end], float(value))
        for (start, end), value in zip(parts.spans, found.values, strict=True)
    )
