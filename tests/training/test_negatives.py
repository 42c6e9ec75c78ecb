"""Mining hard negatives from BM25, a bi-encoder and both."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from crossrank.errors import InputError
from crossrank.retrieval.bm25 import BM25
from crossrank.training import negatives
from crossrank.training.negatives import Mined, mine_negatives
from crossrank.training.selection import Selection
from crossrank.types import Floats, Pair

pytest.importorskip("bm25s", reason="needs the extra demo")

PAIRS = [
    ("red fruit", "a red apple"),
    ("yellow fruit", "a yellow banana"),
    ("red fruit", "a red cherry"),
]
DOCUMENTS = [
    "red paint on the long wall",
    "a red apple",
    "blue sky",
    "a red cherry",
    "fruit salad",
    "yellow paint",
    "fruit salad",
    "a yellow banana",
]


def mine(folder: Path, **options: Any) -> list[tuple[str, ...]]:
    rules = {name: options.pop(name) for name in list(options) if hasattr(Selection, name)}
    mined = mine_negatives(
        options.pop("pairs", PAIRS),
        options.pop("documents", DOCUMENTS),
        folder=folder,
        selection=Selection(**rules),
        **options,
    )
    return [entry.negatives for entry in mined]


def test_no_positive_of_the_query_is_a_negative(tmp_path: Path) -> None:
    """And no text is one twice, and the hardest come first."""
    found = mine(tmp_path)
    scores = BM25(DOCUMENTS).search("red fruit", 8)
    ranking = [DOCUMENTS[position] for position, _ in scores]
    expected = [text for text in dict.fromkeys(ranking) if "apple" not in text and "ch" not in text]
    assert expected == ["fruit salad", "red paint on the long wall"]
    assert found == [tuple(expected), ("fruit salad", "yellow paint"), tuple(expected)]


def test_equal_documents_are_one(tmp_path: Path) -> None:
    """However often a positive stands among the documents, what comes after it is found."""
    found = mine(tmp_path, documents=["a red apple"] * 60 + DOCUMENTS)
    assert found == mine(
        tmp_path / "once", documents=list(dict.fromkeys(["a red apple", *DOCUMENTS]))
    )
    assert set(found[0]) == {"fruit salad", "red paint on the long wall"}


def test_the_positives_are_searched_by_default(tmp_path: Path) -> None:
    pairs = [*PAIRS, ("red things", "a red car"), ("red", "a red apple")]
    found = mine(tmp_path, pairs=pairs, documents=None)
    assert found[0] == ("a red car",)
    assert set(found[3]) == {"a red apple", "a red cherry"}


def test_ranks_are_counted_without_the_positives(tmp_path: Path) -> None:
    assert mine(tmp_path, range_min=1, num_negatives=1)[0] == ("red paint on the long wall",)
    assert mine(tmp_path, range_max=1, num_negatives=1)[0] == ("fruit salad",)
    assert mine(tmp_path, range_min=2, num_negatives=1)[0] == ()


def test_margins_compare_with_the_pair_s_own_positive(tmp_path: Path) -> None:
    index = BM25(DOCUMENTS)
    apple, wall = index.score([("red fruit", "a red apple"), ("red fruit", DOCUMENTS[0])]).tolist()
    salad = index.score([("red fruit", "fruit salad")]).item()
    assert wall < apple < salad  # so the salad may be relevant
    assert mine(tmp_path, absolute_margin=0.0)[0] == (DOCUMENTS[0],)
    assert mine(tmp_path, absolute_margin=apple - wall + 0.01)[0] == ()
    assert mine(tmp_path, relative_margin=(1 - wall / apple) / 2)[0] == (DOCUMENTS[0],)


class Judge:
    """A stand-in for a cross-encoder that finds every salad relevant, and counts."""

    num_labels = 1

    def __init__(self) -> None:
        self.seen: list[Pair] = []

    def predict(self, pairs: Sequence[Pair], show_progress_bar: bool) -> Floats:
        assert not show_progress_bar
        self.seen += pairs
        return np.float32([0.9 if "salad" in document else 0.5 for _, document in pairs])


def test_a_cross_encoder_leaves_out_what_may_be_relevant(tmp_path: Path) -> None:
    judge = Judge()
    found = mine(tmp_path, cross_encoder=judge, max_score=0.6)
    assert found == [(DOCUMENTS[0],), ("yellow paint",), (DOCUMENTS[0],)]
    assert len(judge.seen) == 4  # two candidates of each of two queries, and no positive
    assert mine(tmp_path, cross_encoder=judge, absolute_margin=0.0)[0] == (DOCUMENTS[0],)
    assert mine(tmp_path, cross_encoder=judge, relative_margin=0.1)[0] == ()


def test_a_cross_encoder_with_nothing_to_compare_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="received none: add"):
        mine(tmp_path, cross_encoder=Judge())
    judge = Judge()
    judge.num_labels = 3
    with pytest.raises(InputError, match="one label is required, received 3"):
        mine(tmp_path, cross_encoder=judge, max_score=0.5)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"pairs": []}, "At least one pair"),
        ({"documents": []}, "At least one document"),
        ({"pairs": [("a query", "a document"), ("a query", None)]}, "pair at index 1"),
        ({"documents": ["text", None]}, "Text 1 must be a string"),
        ({"documents": ["", "the"]}, "BM25 needs documents with words"),
        ({"retriever": "bm52"}, "retriever must be 'bm25', 'dense' or 'both'"),
        ({"retriever": "dense"}, "needs a bi-encoder, received None"),
        ({"bi_encoder": "name"}, "'bm25' needs no bi-encoder"),
    ],
)
def test_what_cannot_be_mined_is_refused(
    tmp_path: Path, options: dict[str, Any], said: str
) -> None:
    with pytest.raises(InputError, match=said):
        mine(tmp_path, **options)


def test_rows_in_both_layouts() -> None:
    mined = Mined("q", "p", ("n1", "n2"))
    tuple_row = {"query": "q", "positive": "p", "negative_1": "n1", "negative_2": "n2"}
    assert mined.row("n-tuple", 2) == tuple_row
    assert mined.row("n-tuple", 3) is None
    list_row = {"query": "q", "documents": ["p", "n1", "n2"], "labels": [1, 0, 0]}
    assert mined.row("labeled-list", 3) == list_row
    assert Mined("q", "p", ()).row("labeled-list", 1) is None


def test_the_trainer_reads_both_layouts() -> None:
    datasets = pytest.importorskip("datasets", reason="needs the extra train")
    from crossrank.training.columns import Examples

    mined = Mined("q", "p", ("n1", "n2"))
    for layout in ("n-tuple", "labeled-list"):
        dataset = datasets.Dataset.from_list([mined.row(layout, 2)])
        (example,) = Examples(dataset, "mined")
        assert (example.query, example.documents) == ("q", ("p", "n1", "n2"))
        assert example.labels == (1.0, 0.0, 0.0)


def test_from_a_bi_encoder_and_from_both(tmp_path: Path) -> None:
    """Limits compare its cosines, also those of what BM25 found."""
    pytest.importorskip("sentence_transformers", reason="random bi-encoders are saved by it")
    from tests.retrieval.tiny_bi_encoder import make_bi_encoder

    from crossrank.retrieval.dense import BiEncoder

    bi_encoder = make_bi_encoder(tmp_path / "model")
    encoder = BiEncoder.load(bi_encoder, device="cpu")
    query, positive = PAIRS[0]
    others = ["red paint on the long wall", "blue sky", "fruit salad", "yellow paint"]
    others += ["a yellow banana"]
    cosines = encoder.score([(query, text) for text in others])
    best_first = [others[place] for place in np.argsort(-cosines)]
    options: dict[str, Any] = {"bi_encoder": bi_encoder, "num_negatives": 5}
    found = mine(tmp_path, retriever="dense", **options)
    assert found[0] == tuple(best_first)
    limit = float(encoder.score([(query, positive)])[0])
    below = [text for text in best_first if cosines[others.index(text)] <= limit]
    assert mine(tmp_path, retriever="dense", absolute_margin=0.0, **options)[0] == tuple(below)
    middle = float(np.sort(cosines)[1:3].mean())
    low = {others[place] for place in np.flatnonzero(cosines < middle)}
    both = mine(tmp_path, retriever="both", max_score=middle, **options)
    assert set(both[0]) == low
    assert len(low) == 2


def test_a_later_call_goes_on_where_one_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Block by block, also with random draws; and the index is not made again."""
    monkeypatch.setattr(negatives, "BLOCK", 4)
    words = ["red", "blue", "green", "black"]
    documents = [f"{one} {two} {n}" for one in words for two in words for n in range(9)]
    pairs = [(f"{words[n % 4]} thing {n}", documents[n]) for n in range(18)]
    options = {"pairs": pairs, "documents": documents, "sampling": "random", "num_negatives": 2}
    whole = mine(tmp_path / "one", **options)
    assert len(whole) == 18
    assert len(set(whole)) > 10
    steps: list[str] = []
    assert mine(tmp_path / "two", **options, skip=8, progress=steps.append) == whole[8:]
    assert steps[1:] == ["Indexing 144 texts", "Mining for 10 pairs"]
    steps.clear()
    assert mine(tmp_path / "two", **options, progress=steps.append) == whole
    assert steps == ["Reading pairs and documents", "Mining for 18 pairs"]
    assert mine(tmp_path / "two", **options | {"documents": documents[::-1]}) != whole
