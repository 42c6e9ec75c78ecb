"""A teacher to try: what three bi-encoders say of a pair, added up.

    CROSSRANK_DATA=FOLDER python recipes/default_model/ensemble.py

prints how it ranks the development set. None of the three saw pairs. Of each, two or three numbers
count: the cosine of the texts' vectors as it was trained to give, and MaxSim of the token states.
Each number is divided by its usual spread over the documents of a query.
"""

import argparse
from collections.abc import Callable, Sequence

import numpy as np
from bi_encoders import BGE, E5, MPNET, BiEncoder
from make import parsed
from measure import trec
from numpy.typing import NDArray
from teacher import List, States, forth, mean, token_states
from tokenizers import Tokenizer
from torch import Tensor
from torch.nn.functional import cosine_similarity
from transformers import AutoModel

from crossrank.evaluation.significance import bootstrap

LONGEST = 256  # tokens of a text that are read

Similarity = Callable[[Tensor, Tensor], float]


def main() -> None:
    """Measure it on BM25's best 100 of dl21."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    chosen = parsed(options)
    task = trec(chosen.data / "trec-dl/dl21")
    lists = [
        (task.queries[query], [task.documents[document] for document in found])
        for query, found in task.candidates.items()
    ]
    scores = teach(lists)
    for measure, values in task.values(scores[~np.isnan(scores)].tolist()).items():
        print(f"{measure} {bootstrap(values)}")


def first(query: Tensor, document: Tensor) -> float:
    """Compute the cosine of the first states."""
    return float(cosine_similarity(query[0], document[0], dim=0))


def back(query: Tensor, document: Tensor) -> float:
    """Compute MaxSim from the document to the query."""
    return forth(document, query)


COUNTED: dict[BiEncoder, tuple[Similarity, ...]] = {
    BGE: (first, forth),
    E5: (mean, forth),
    MPNET: (mean, forth, back),
}


def teach(lists: Sequence[List]) -> NDArray[np.float64]:
    """Score lists, ``[lists, documents]``; NaN where a list is shorter than the longest."""
    parts = [
        spread_out(measured(lists, bi_encoder, similarities))
        for bi_encoder, similarities in COUNTED.items()
    ]
    scores: NDArray[np.float64] = np.sum(parts, axis=0)
    return scores


def measured(
    lists: Sequence[List], bi_encoder: BiEncoder, similarities: Sequence[Similarity]
) -> NDArray[np.float64]:
    """Compute similarities of one bi-encoder, ``[similarities, lists, documents]``."""
    ask, answer = bi_encoder.prefixes
    texts = dict.fromkeys(t for q, found in lists for t in (ask + q, *(answer + d for d in found)))
    states = states_of(bi_encoder, list(texts))
    longest = max(len(found) for _, found in lists)
    values = np.full((len(similarities), len(lists), longest), np.nan)
    for row, (query, found) in enumerate(lists):
        asked = states[ask + query].float()
        for column, document in enumerate(found):
            answered = states[answer + document].float()
            values[:, row, column] = [alike(asked, answered) for alike in similarities]
    return values


def states_of(bi_encoder: BiEncoder, texts: list[str]) -> States:
    """Compute the token states of texts."""
    folder = bi_encoder.folder()
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(LONGEST)
    network = AutoModel.from_pretrained(folder, add_pooling_layer=False).eval()
    return token_states(network, tokenizer, texts, LONGEST)


def spread_out(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Centre each similarity on its lists, divide by its mean spread, and add all up."""
    centred = values - np.nanmean(values, axis=2, keepdims=True)
    spreads = np.nanmean(np.nanstd(centred, axis=2), axis=1)
    summed: NDArray[np.float64] = (centred / spreads[:, None, None]).sum(axis=0)
    return summed


if __name__ == "__main__":
    main()
