"""Every figure that trec_eval's own tests expect and that ir-measures computes, digit by digit.

The expected outputs are trec_eval 10's; ir-measures computes with trec_eval 9. One rule changed
between them: interpolated precision at recall ``r`` begins at relevant document number
``r * relevant``, of which version 9 makes a whole number by adding 0.9 and cutting it off, and
version 10 by rounding (``m_iprec_at_recall.c``). Two of the eleven points of ``out.test`` differ by
that, at recall 0.1 and 0.6. The tests compute both rules at every point that differs, here and in
the other outputs, and see that nothing else does, but for one thing: ``trec_eval -c`` counts a
query that the run lacks, and its relevant documents; ``NumQ`` and ``NumRel`` of ir-measures do not.
"""

import math
import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from crossrank.evaluation.measures import measure, measure_per_query
from crossrank.evaluation.trec import read_qrels, read_run
from crossrank.types import Run

pytest.importorskip("ir_measures", reason="needs the extra demo")

NAMES = {
    "num_q": "NumQ",
    "num_ret": "NumRet",
    "num_rel": "NumRel(rel={rel})",
    "num_rel_ret": "NumRet(rel={rel})",
    "map": "AP(rel={rel})",
    "Rprec": "Rprec(rel={rel})",
    "bpref": "Bpref(rel={rel})",
    "recip_rank": "RR(rel={rel})",
    "infAP": "infAP(rel={rel})",
    "ndcg": "nDCG",
    "set_P": "SetP(rel={rel})",
    "set_relative_P": "SetP(rel={rel},relative=True)",
    "set_recall": "SetR(rel={rel})",
    "set_map": "SetAP(rel={rel})",
    "set_F": "SetF(rel={rel})",
    "P": "P(rel={rel})@{cut}",
    "recall": "R(rel={rel})@{cut}",
    "ndcg_cut": "nDCG@{cut}",
    "map_cut": "AP(rel={rel})@{cut}",
    "success": "Success(rel={rel})@{cut}",
    "iprec_at_recall": "IPrec(rel={rel})@{cut}",
}
NOT_IN_IR_MEASURES = re.compile(
    "runid|relstring|gm_map|gm_bpref|Rprec_mult|utility|11pt_avg|binG|G|ndcg_rel|Rndcg|relative_P|"
    "num_nonrel_judged_ret|rbp|rbp_resid|unj|ndcg_1=3"
)
"""Geometric means and the like; and nDCG with gains that are no whole numbers."""


@dataclass(frozen=True)
class Call:
    """A call of trec_eval and its output."""

    out: str
    compared: int
    run: str = "results.test"
    qrels: str = "qrels.test"
    rel: int = 1
    depth: int | None = None
    rounded: str = ""
    """Where the rules give other digits: ``recall/query``."""
    uncounted: str = ""
    """Counts that leave out a query which the run lacks: ``measure/query``."""


def ir_measures_name(name: str, rel: int) -> str | None:
    """Translate trec_eval's name of a measure."""
    stem, _, cut = name.rpartition("_")
    if name == "num_rel" and rel != 1:
        return None  # ir-measures refuses it
    if name in NAMES:
        return NAMES[name].format(rel=rel)
    if re.fullmatch(r"\d+|\d\.\d\d", cut) and stem in NAMES:
        return NAMES[stem].format(rel=rel, cut=float(cut) if "." in cut else cut)
    assert NOT_IN_IR_MEASURES.match(name), f"{name} has no name here"
    return None


def expected(file: Path) -> dict[tuple[str, str], str]:
    lines = (line.split() for line in file.read_text().splitlines())
    return {(name, query): value for name, query, value in lines}


def pairs(text: str) -> set[tuple[str, str]]:
    return {(first, second) for first, second in (word.split("/") for word in text.split())}


def cut(run: Run, depth: int | None) -> Run:
    return {
        query: {document: scores[document] for document in ranking(scores)[:depth]}
        for query, scores in run.items()
    }


def ranking(scores: dict[str, float]) -> list[str]:
    return sorted(scores, key=lambda document: (scores[document], document), reverse=True)


CALLS = [
    Call("out.test", compared=28, rounded="0.10/all 0.60/all"),
    Call("out.test.a", compared=65, rounded="0.10/all 0.60/all"),
    Call("out.test.aq", compared=257, rounded="0.10/all 0.10/301 0.60/all 0.60/302"),
    Call("out.test.meas_params", compared=64, rounded="0.10/all 0.10/301 0.25/all 0.25/302"),
    # -c: a query that the run lacks counts as 0. The run's lines have text after the tag.
    Call(
        "out.test.aqc",
        run="results.trunc",
        compared=257,
        rounded="0.10/301",
        uncounted="num_q/all num_rel/302 num_rel/all",
    ),
    # -c -M100: 100 documents a query.
    Call(
        "out.test.aqcM",
        run="results.trunc",
        depth=100,
        compared=257,
        uncounted="num_q/all num_rel/302 num_rel/all",
    ),
    # -l2: grades from -1 to 4, relevant from 2.
    Call(
        "out.test.aql",
        qrels="qrels.rel_level",
        rel=2,
        compared=253,
        rounded="0.10/all 0.10/301 0.60/all 0.60/302 0.90/all 0.90/303",
    ),
    # Ids with number signs in them, and a run with queries that are not judged.
    Call(
        "out.comment.test",
        run="results.comment.test",
        qrels="qrels.comment.test",
        compared=28,
        rounded="0.10/all 0.20/all 0.30/all 0.40/all 0.60/all 0.70/all 0.90/all",
    ),
]


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.out)
def test_all_figures(crossrank_data: Path, call: Call) -> None:
    folder = crossrank_data / "trec_eval-test"
    run, qrels = cut(read_run(folder / call.run), call.depth), read_qrels(folder / call.qrels)
    figures = expected(folder / call.out)
    names = {name: ir_measures_name(name, call.rel) for name, _ in figures}
    measures = [name for name in names.values() if name]
    means, each = measure(run, qrels, measures), measure_per_query(run, qrels, measures)
    found = {
        (name, query): (means if query == "all" else each[query])[ours]
        for name, query in figures
        if (ours := names[name])
    }
    wrong = {
        key
        for key, value in found.items()
        if figures[key] != (f"{value:.4f}" if "." in figures[key] else f"{value:.0f}")
    }
    assert len(found) == call.compared
    rounded = {(f"iprec_at_recall_{recall}", query) for recall, query in pairs(call.rounded)}
    assert wrong == rounded | pairs(call.uncounted)
    for name, query in rounded:
        queries = list(qrels) if query == "all" else [query]
        recall = float(name.rpartition("_")[2])

        def mean(extra: float, recall: float = recall, queries: list[str] = queries) -> float:
            return sum(
                interpolated(run.get(q, {}), qrels[q], recall, extra, call.rel) for q in queries
            ) / len(queries)

        assert found[name, query] == pytest.approx(mean(0.9))
        assert figures[name, query] == f"{mean(0.5):.4f}"


def interpolated(
    scores: dict[str, float], grades: dict[str, int], recall: float, extra: float, rel: int
) -> float:
    """Interpolated precision by its definition: the best at the wanted relevant document or later.

    Args:
        scores: Of a ranking.
        grades: Its judgements.
        recall: Which share of the relevant documents is to be found.
        extra: What is added before their number is cut to a whole one.
        rel: The lowest grade of relevant documents.
    """
    wanted = math.floor(recall * sum(grade >= rel for grade in grades.values()) + extra)
    relevant = (rank for rank, d in enumerate(ranking(scores), 1) if grades.get(d, 0) >= rel)
    precisions = [n / rank for n, rank in enumerate(relevant, 1)]
    return max(precisions[max(wanted, 1) - 1 :], default=0.0)


def test_judgements_with_comments(crossrank_data: Path) -> None:
    folder = crossrank_data / "trec_eval-test"
    commented = read_qrels(folder / "qrels.test.with-comments")
    plain = read_qrels(folder / "qrels.test")
    assert commented["301"].pop("CR#93E-1860") == plain["301"].pop("CR93E-1860") == 0
    assert commented == plain
