"""Listwise losses worked out by hand: name, options, scores, labels, value of one query."""

from math import e, log, log2

L3 = log(3)
"""A difference of log 3 in scores is a sigmoid of 3/4, and odds of 3 to 1 in a softmax."""
DCG12 = 1 + 3 / log2(3)
"""Of grades 1 and 2, the better one second."""
BEST12 = 3 + 1 / log2(3)
"""The same, the better one first."""

CASES = [
    # softmax of labels (3/4, 1/4), of scores (1/4, 3/4)
    ("listnet", {}, [0, L3], [L3, 0], 0.75 * log(4) + 0.25 * log(4 / 3)),
    (
        "listnet",
        {"label_temperature": 0.5},
        [0, L3],
        [L3 / 2, 0],
        0.75 * log(4) + 0.25 * log(4 / 3),
    ),
    ("listnet", {}, [5], [1], 0),
    # scores weigh 1, 3, 1; the positives have a half each, then 1/3 and 2/3
    ("softmax_cross_entropy", {}, [0, L3, 0], [1, 1, 0], (log(5) + log(5 / 3)) / 2),
    ("softmax_cross_entropy", {}, [0, L3, 0], [1, 2, 0], log(5) / 3 + 2 * log(5 / 3) / 3),
    ("softmax_cross_entropy", {}, [0, L3, 0], [0, 0, 0], 0),
    ("softmax_cross_entropy", {}, [7], [1], 0),
    # placed in the order of labels: weights 1, then 3, then 1 of what is left
    ("listmle", {}, [0, L3, 0], [3, 2, 1], log(5) + log(4 / 3)),
    ("listmle", {}, [0, L3, 0], [1, 2, 3], log(5) + log(4 / 3)),
    ("listmle", {}, [L3, 0, 0], [1, 2, 3], log(5) + log(4)),
    # labels 0 are tied: the higher score is placed before
    ("listmle", {}, [0, 0, L3], [1, 0, 0], log(5) + log(4 / 3)),
    ("listmle", {}, [2], [1], 0),
    ("position_aware_listmle", {}, [0, L3, 0], [3, 2, 1], 0.75 * log(5) + 0.25 * log(4 / 3)),
    ("position_aware_listmle", {}, [0, L3], [2, 1], log(4)),
    # weights 7, 3, 1, 0 of 11
    ("position_aware_listmle", {}, [0] * 4, [4, 3, 2, 1], (7 * log(4) + 3 * L3 + log(2)) / 11),
    ("position_aware_listmle", {}, [2], [1], 0),
    # soft ranks 1.75 and 1.25; the positive first, then the negative, then both
    ("approx_ndcg", {}, [0, L3], [1, 0], 1 - 1 / log2(2.75)),
    ("approx_ndcg", {}, [0, L3], [0, 1], 1 - 1 / log2(2.25)),
    ("approx_ndcg", {}, [0, L3], [2, 1], 1 - (3 / log2(2.75) + 1 / log2(2.25)) / BEST12),
    ("approx_ndcg", {"temperature": 2}, [0, 2 * L3], [1, 0], 1 - 1 / log2(2.75)),
    ("approx_ndcg", {}, [0, L3], [0, 0], 0),
    ("approx_mrr", {}, [0, L3], [1, 0], 1 - 1 / 1.75),
    ("approx_mrr", {}, [0, L3], [2, 1], 1 - 1 / 1.25),
    ("approx_mrr", {"temperature": 0.5}, [0, L3 / 2], [1, 0], 1 - 1 / 1.75),
    ("approx_mrr", {}, [0, L3], [0, 0], 0),
    # NeuralSort of two scores 1 apart: each row a softmax of 1 apart, so already scaled
    ("neural_ndcg", {}, [0, 1], [1, 0], 1 - (1 + e / log2(3)) / (1 + e)),
    ("neural_ndcg", {"transposed": True}, [0, 1], [1, 0], 1 - (1 + e / log2(3)) / (1 + e)),
    ("neural_ndcg", {"temperature": 2}, [0, 2], [1, 0], 1 - (1 + e / log2(3)) / (1 + e)),
    ("neural_ndcg", {"k": 1}, [0, 1], [1, 0], 1 - 1 / (1 + e)),
    ("neural_ndcg", {"k": 1, "transposed": True}, [0, 1], [1, 0], 1 - 1 / (1 + e)),
    ("neural_ndcg", {}, [0, 0], [2, 1], 1 - (DCG12 + BEST12) / 2 / BEST12),
    ("neural_ndcg", {}, [0, 1], [0, 0], 0),
    # true ranks 1 and 2, soft ranks 1.75 and 1.25; then both true ranks 1.5
    ("adr_mse", {}, [0, L3], [1, 0], (0.75**2 + 0.75**2 / log2(3)) / 2),
    ("adr_mse", {}, [0, L3], [0, 1], (0.25**2 + 0.25**2 / log2(3)) / 2),
    ("adr_mse", {}, [0, L3], [1, 1], 0.25**2 / log2(2.5)),
    ("adr_mse", {"temperature": 2}, [0, 2 * L3], [1, 0], (0.75**2 + 0.75**2 / log2(3)) / 2),
    ("adr_mse", {}, [3], [1], 0),
]
