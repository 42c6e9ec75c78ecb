"""Losses worked out by hand, and the options under which every property is tested.

A case is a name, options, the scores and labels of one query, and its value. A difference of log 3
in scores is handy: sigma(log 3) = 3/4, so log(1 + e^-log 3) = log(4/3) and log(1 + e^log 3) =
log 4; at 2 log 3 the latter is log 10.
"""

from math import e, exp, log, log2
from typing import Any

from tests.losses.listwise_cases import CASES as LISTWISE_CASES

L3 = log(3)

POINTWISE_CASES: list[tuple[Any, ...]] = [
    # -log(3/4) for the positive, -log(1/4) for the negative
    ("binary_cross_entropy", {}, [L3, L3], [1, 0], (log(4 / 3) + log(4)) / 2),
    ("binary_cross_entropy", {"pos_weight": 3}, [L3, L3], [1, 0], (3 * log(4 / 3) + log(4)) / 2),
    ("binary_cross_entropy", {}, [L3], [0.25], 0.25 * log(4 / 3) + 0.75 * log(4)),
    # k = 2, alpha = 2/8, beta = 1/4 (1/2 (1 - 4) + 4) = 5/8
    ("gbce", {"pool": 8, "t": 0.5}, [L3, L3, 0], [1, 0, 0], (5 / 8 * log(4 / 3) + log(8)) / 3),
    # t = 0 is binary cross-entropy; t = 1 has beta = alpha = 1/4
    ("gbce", {"pool": 4, "t": 0}, [L3, L3], [1, 0], (log(4 / 3) + log(4)) / 2),
    ("gbce", {"pool": 4, "t": 1}, [L3, L3], [1, 0], (log(4 / 3) / 4 + log(4)) / 2),
    ("mse", {}, [2, 0, -1], [1, 0.5, 1], (1 + 1 / 4 + 4) / 3),
    # sigma is 3/4 and 1/4
    ("mse", {"activation": "sigmoid"}, [L3, -L3], [1, 1], (1 / 16 + 9 / 16) / 2),
    # one pair of three classes, whose weights are 1, 3, 1
    ("cross_entropy", {}, [0, L3, 0], 1, log(5 / 3)),
    ("cross_entropy", {}, [0, L3, 0], 2, log(5)),
]

# Three documents in the wrong order: ranks 2, 1, 3, and as y_i > y_j the pairs
#   (0, 1) margin -log 3, (2, 0) margin -log 3, (2, 1) margin -2 log 3.
WRONG: tuple[list[float], list[int]] = ([L3, 2 * L3, 0], [1, 0, 2])
D2 = 1 / log2(3)
"""The discount of rank 2; those of 1 and 3 are 1 and 1/2."""
BEST = 3 + 1 * D2
"""maxDCG of grades 0, 1, 2, whose gains are 0, 1, 3."""

# |G_i - G_j| is 1, 2, 3 over BEST; the change of the discount 1 - D2, D2 - 1/2, 1 - 1/2
LAMBDARANK = (1 * (1 - D2) * 2 + 2 * (D2 - 1 / 2) * 2 + 3 * (1 / 2) * log2(10)) / BEST / 3
# ranks are 1, 1, 2 apart: delta is 1/D_1 - 1/D_2 = 1 - D2, again, and 1/D_2 - 1/D_3 = D2 - 1/2
NDCG_LOSS2 = (1 * (1 - D2) * 2 + 2 * (1 - D2) * 2 + 3 * (D2 - 1 / 2) * log2(10)) / BEST / 3


def weighted(weighting: str, **options: Any) -> dict[str, Any]:
    """Options of LambdaLoss."""
    return {"weighting": weighting, **options}


PAIRWISE_CASES: list[tuple[Any, ...]] = [
    ("ranknet", {}, *WRONG, (log(4) + log(4) + log(10)) / 3),
    ("ranknet", {"reduction": "sum"}, *WRONG, log(4) + log(4) + log(10)),
    ("ranknet", {"sigma": 2}, [0, L3 / 2], [1, 0], log(4)),
    ("ranknet", {}, [0, L3, 5], [1, 0, 1], (log(4) + log(1 + exp(L3 - 5))) / 2),
    # short of a margin of 1 by 0.75, and not at all
    ("hinge", {}, [0.25, 0, -2], [1, 0, 0], (0.75 + 0) / 2),
    ("hinge", {"margin": 3}, [0.25, 0, -2], [1, 0, 0], (2.75 + 0.75) / 2),
    ("hinge", {"margin": 3, "reduction": "sum"}, [0.25, 0, -2], [1, 0, 0], 3.5),
    ("lambda_loss", weighted("none"), *WRONG, (2 + 2 + log2(10)) / 3),
    ("lambda_loss", weighted("none", reduction="sum"), *WRONG, 2 + 2 + log2(10)),
    ("lambda_loss", weighted("none", log_base=e), *WRONG, (log(4) + log(4) + log(10)) / 3),
    ("lambda_loss", weighted("none", sigma=2), [0, L3 / 2], [1, 0], 2),
    ("lambda_loss", weighted("lambdarank"), *WRONG, LAMBDARANK),
    ("lambda_loss", weighted("ndcg_loss2"), *WRONG, NDCG_LOSS2),
    ("lambda_loss", weighted("ndcg_loss2pp"), *WRONG, 10 * NDCG_LOSS2 + LAMBDARANK),
    ("lambda_loss", weighted("ndcg_loss2pp", mu=2), *WRONG, 2 * NDCG_LOSS2 + LAMBDARANK),
    # document 1 alone is in the top 1: two pairs are left, and maxDCG@1 is 3
    (
        "lambda_loss",
        weighted("lambdarank", k=1),
        *WRONG,
        (1 / 3 * (1 - D2) * 2 + 3 / 3 * (1 / 2) * log2(10)) / 2,
    ),
    # all six pairs; G_i / D_i is D2, 0, 3/2 over BEST
    (
        "lambda_loss",
        weighted("ndcg_loss1"),
        *WRONG,
        (D2 * (2 + log2(4 / 3)) + 3 / 2 * (2 + log2(10))) / BEST / 6,
    ),
    (
        "lambda_loss",
        weighted("arp_loss1"),
        *WRONG,
        (1 * (2 + log2(4 / 3)) + 2 * (2 + log2(10))) / 6,
    ),
    ("lambda_loss", weighted("arp_loss2"), *WRONG, (1 * 2 + 1 * 2 + 2 * log2(10)) / 3),
    # relevant at 2 and 3: whichever goes to rank 1 lifts MRR from 1/2 to 1; swapped, they do not
    ("lambda_loss", weighted("lambda_mrr"), *WRONG, (2 / 2 + 0 * 2 + log2(10) / 2) / 3),
    # relevant at 1 and 4: if the first sinks to 2 or 3, MRR falls to that; the last lifts nothing
    (
        "lambda_loss",
        weighted("lambda_mrr"),
        [3 * L3, 2 * L3, L3, 0],
        [1, 0, 0, 1],
        ((1 - 1 / 2) * log2(4 / 3) + (1 - 1 / 3) * log2(10 / 9)) / 4,
    ),
    # relevant at 1 and 2: if the first sinks to 3, the other takes its place
    (
        "lambda_loss",
        weighted("lambda_mrr"),
        [2 * L3, L3, 0],
        [1, 1, 0],
        (1 - 1 / 2) * log2(10 / 9) / 2,
    ),
    # equal scores are ranked at their worst: the positive second
    ("lambda_loss", weighted("lambdarank"), [0, 0], [1, 0], 1 - D2),
    ("lambda_loss", weighted("ndcg_loss1"), [0, 0], [1, 0], D2 / 2),
]

CONTRASTIVE_CASES: list[tuple[Any, ...]] = [
    # weights 1, 3, 1
    ("multiple_negatives_ranking", {}, [0, L3, 0], [1, 0, 0], log(5)),
    ("multiple_negatives_ranking", {}, [0, L3, 0], [0, 1, 0], log(5 / 3)),
    ("multiple_negatives_ranking", {"scale": 2}, [0, L3 / 2, 0], [1, 0, 0], log(5)),
    # each positive against the one negative
    ("multiple_negatives_ranking", {}, [0, L3, 0], [1, 1, 0], (log(2) + log(4 / 3)) / 2),
    # 10 sigma is 7.5 and 2.5
    (
        "multiple_negatives_ranking",
        {"scale": 10, "activation": "sigmoid"},
        [L3, -L3],
        [1, 0],
        log(1 + exp(-5)),
    ),
    ("multiple_negatives_ranking", {}, [1, 2], [0, 0], 0),
    ("multiple_negatives_ranking", {}, [1, 2], [1, 1], 0),
]

DISTILLATION_CASES: list[tuple[Any, ...]] = [
    # margins 1 and 3; then of pairs (0, 1), (0, 2), (1, 2) by 1, 3 and 2
    ("margin_mse", {}, [1, 0], [5, 2], 4),
    ("margin_mse", {}, [0, 0, 0], [0, 1, 3], (1 + 9 + 4) / 3),
    ("margin_mse", {}, [2], [7], 0),
    # (3/4, 1/4) from (1/4, 3/4)
    ("kl_divergence", {}, [0, L3], [L3, 0], 3 / 4 * L3 - 1 / 4 * L3),
    ("kl_divergence", {"temperature": 2}, [0, 2 * L3], [2 * L3, 0], L3 / 2),
    ("kl_divergence", {}, [2], [7], 0),
]

CASES = [
    *POINTWISE_CASES,
    *PAIRWISE_CASES,
    *CONTRASTIVE_CASES,
    *DISTILLATION_CASES,
    *LISTWISE_CASES,
]

WEIGHTINGS = [
    "none",
    "lambdarank",
    "ndcg_loss1",
    "ndcg_loss2",
    "ndcg_loss2pp",
    "lambda_mrr",
    "arp_loss1",
    "arp_loss2",
]

VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    "binary_cross_entropy": ("binary_cross_entropy", {"pos_weight": 2}),
    "gbce": ("gbce", {"pool": 50}),
    "mse": ("mse", {}),
    "mse-sigmoid": ("mse", {"activation": "sigmoid"}),
    "ranknet": ("ranknet", {}),
    "ranknet-sum": ("ranknet", {"reduction": "sum", "sigma": 2}),
    "hinge": ("hinge", {}),
    **{f"lambda-{name}": ("lambda_loss", weighted(name)) for name in WEIGHTINGS},
    "lambda-lambdarank-2": ("lambda_loss", weighted("lambdarank", k=2)),
    "lambda-ndcg_loss1-1": ("lambda_loss", weighted("ndcg_loss1", k=1)),
    "multiple_negatives_ranking": ("multiple_negatives_ranking", {}),
    "multiple_negatives_ranking-sigmoid": (
        "multiple_negatives_ranking",
        {"activation": "sigmoid", "scale": 10},
    ),
    "margin_mse": ("margin_mse", {}),
    "kl_divergence": ("kl_divergence", {"temperature": 2}),
    "listnet": ("listnet", {"label_temperature": 0.5}),
    "softmax_cross_entropy": ("softmax_cross_entropy", {}),
    "listmle": ("listmle", {}),
    "position_aware_listmle": ("position_aware_listmle", {}),
    "approx_ndcg": ("approx_ndcg", {}),
    "approx_mrr": ("approx_mrr", {}),
    "neural_ndcg": ("neural_ndcg", {}),
    "neural_ndcg-transposed-2": ("neural_ndcg", {"transposed": True, "k": 2}),
    "adr_mse": ("adr_mse", {}),
}
"""Losses of lists with the options under which every property is tested."""

POINTWISE = {"binary_cross_entropy", "gbce", "mse", "mse-sigmoid"}
PAIRWISE = {name for name in VARIANTS if name.startswith(("ranknet", "hinge", "lambda"))}
ALL_PAIRS = {"lambda-ndcg_loss1", "lambda-ndcg_loss1-1", "lambda-arp_loss1"}
SATURATING = {
    "mse-sigmoid",
    "multiple_negatives_ranking-sigmoid",
    "approx_ndcg",
    "approx_mrr",
    "neural_ndcg",
    "neural_ndcg-transposed-2",
    "adr_mse",
}
"""Built on a sigmoid or a soft permutation, which no longer move far from a tie."""
BINARY = {"binary_cross_entropy", "gbce"}
"""Those that take labels from 0 to 1 only."""
