"""The demo's collection: the sentences and questions of XQuAD English.

Nothing may be trained on it. ``recipes/demo_collection/make.py`` makes its files; their licence and
origin stand beside them.
"""

from pathlib import Path

from crossrank.evaluation.trec import read_qrels, read_texts
from crossrank.types import Qrels

FOLDER = Path(__file__).parent / "xquad-en-sentences"


def load() -> tuple[dict[str, str], dict[str, str], Qrels]:
    """Read the demo's collection.

    Returns:
        1,219 documents and 1,190 queries, each text by its id, and the qrels: a sentence that holds
        the answer to a question, or part of it, is relevant.

    Example:
        >>> documents, queries, qrels = load()
        >>> query, text = next(iter(queries.items()))
        >>> text
        'How many points did the Panthers defense surrender?'
        >>> [documents[document][:53] for document in qrels[query]]
        ['The Panthers defense gave up just 308 points, ranking']
    """
    return (
        read_texts(FOLDER / "corpus.jsonl.gz"),
        read_texts(FOLDER / "queries.jsonl.gz"),
        read_qrels(FOLDER / "qrels.txt.gz"),
    )
