"""Trains a small network on learning-to-rank features with each loss, beside LambdaMART.

The data is LightGBM's own example for ``lambdarank`` (201 training queries, 50 test queries, grades
0 to 4, 300 features). For each seed, a fifth of the training queries is held out to choose when to
stop, the same one for all losses and for LightGBM.

    python benchmarks/losses/learning_to_rank.py
"""

import copy
import sys
import time
from pathlib import Path
from typing import NamedTuple

import lightgbm
import numpy as np
import torch
from report import Row, Values, per_query, publish
from sklearn.datasets import load_svmlight_file
from torch import Tensor, nn
from variants import CONTRASTIVE, LISTWISE, PAIRWISE, POINTWISE, Variant

from crossrank.losses import make_loss

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from data import data_folder

SEEDS = [0, 1, 2]
HELD_OUT, EPOCHS, BATCH = 0.2, 60, 16
HIDDEN, DROPOUT, LEARNING_RATE, WEIGHT_DECAY = 64, 0.5, 1e-3, 1e-2
TOP_GRADE = 4
LAMBDAMART = "LightGBM LambdaMART"
# LightGBM's own settings for this data, in its examples/lambdarank/train.conf.
TREES = {
    "objective": "lambdarank",
    "learning_rate": 0.1,
    "num_leaves": 31,
    "bagging_freq": 1,
    "bagging_fraction": 0.9,
    "min_data_in_leaf": 50,
    "min_sum_hessian_in_leaf": 5.0,
    "num_threads": 1,
    "deterministic": True,
    "verbose": -1,
}
MOST_TREES, PATIENCE = 300, 50


class Queries(NamedTuple):
    """Features and grades of some queries, document by document, and how many each query has."""

    features: np.ndarray
    grades: np.ndarray
    lengths: np.ndarray

    @classmethod
    def read(cls, name: str) -> "Queries":
        home = data_folder() / "lightgbm-lambdarank"
        features, grades = load_svmlight_file(str(home / name), n_features=301, zero_based=True)
        return cls(features.toarray(), grades, np.loadtxt(home / f"{name}.query", dtype=int))

    def chosen(self, which: np.ndarray) -> "Queries":
        """Take those queries for which ``which`` is true."""
        documents = np.repeat(which, self.lengths)
        return Queries(self.features[documents], self.grades[documents], self.lengths[which])

    def measured(self, scores: np.ndarray) -> Values:
        """Measure a ranking by the scores."""
        run, qrels = {}, {}
        starts = np.cumsum(self.lengths) - self.lengths
        for start, length in zip(starts, self.lengths, strict=True):
            rows = range(start, start + length)
            run[f"{start}"] = {f"{row}": float(scores[row]) for row in rows}
            qrels[f"{start}"] = {f"{row}": int(self.grades[row]) for row in rows}
        return per_query(run, qrels)


class Lists(NamedTuple):
    """The same, padded: ``[queries, documents, features]`` and ``[queries, documents]``."""

    features: Tensor
    grades: Tensor
    mask: Tensor

    @classmethod
    def of(cls, queries: Queries) -> "Lists":
        mask = torch.arange(queries.lengths.max()) < torch.from_numpy(queries.lengths)[:, None]
        features = torch.zeros(*mask.shape, queries.features.shape[1])
        features[mask] = torch.from_numpy(queries.features).float()
        grades = torch.zeros(mask.shape)
        grades[mask] = torch.from_numpy(queries.grades).float()
        return cls(features, grades, mask)


def main() -> None:
    """Train everything, and report."""
    torch.set_num_threads(1)  # batches are so small that threads would only wait for each other
    train, test = Queries.read("rank.train"), Queries.read("rank.test")
    mean, deviation = train.features.mean(axis=0), train.features.std(axis=0)
    deviation[deviation == 0] = 1
    train = train._replace(features=(train.features - mean) / deviation)
    test = test._replace(features=(test.features - mean) / deviation)
    splits = [np.random.default_rng(seed).random(len(train.lengths)) < HELD_OUT for seed in SEEDS]

    def row(title: str, fit: object) -> Row:
        start = time.perf_counter()
        seeds = [
            test.measured(fit(train.chosen(~held), train.chosen(held), test, seed))
            for seed, held in zip(SEEDS, splits, strict=True)
        ]
        print(title, f"{time.perf_counter() - start:.1f} s", file=sys.stderr)
        return Row(title, seeds, time.perf_counter() - start)

    rows = [row(LAMBDAMART, lambdamart)]
    for variant in [*POINTWISE, *PAIRWISE, *LISTWISE, *CONTRASTIVE]:
        rows.append(row(str(variant), lambda *data, variant=variant: network(variant, *data)))
    setting = {
        "seeds": SEEDS,
        "held_out": HELD_OUT,
        "epochs": EPOCHS,
        "batch": BATCH,
        "hidden": HIDDEN,
        "dropout": DROPOUT,
        "learning_rate": LEARNING_RATE,
        "weight_decay": WEIGHT_DECAY,
        "trees": TREES | {"most": MOST_TREES, "patience": PATIENCE},
    }
    publish("learning_to_rank", setting, rows, LAMBDAMART)


def lambdamart(train: Queries, held_out: Queries, test: Queries, seed: int) -> np.ndarray:
    """Train LightGBM, stop by the queries held out, and score the test queries."""
    data = lightgbm.Dataset(train.features, train.grades, group=train.lengths)
    watched = data.create_valid(held_out.features, held_out.grades, group=held_out.lengths)
    trees = lightgbm.train(
        TREES | {"seed": seed, "metric": "ndcg", "eval_at": [10]},
        data,
        num_boost_round=MOST_TREES,
        valid_sets=[watched],
        callbacks=[lightgbm.early_stopping(PATIENCE, verbose=False)],
    )
    return trees.predict(test.features, num_iteration=trees.best_iteration)


def network(
    variant: Variant, train: Queries, held_out: Queries, test: Queries, seed: int
) -> np.ndarray:
    """Train a network, keep its best epoch by the queries held out, and score the test queries."""
    torch.manual_seed(seed)
    lists, loss = Lists.of(train), make_loss(variant.loss, **variant.options)
    # These two take probabilities.
    labels = lists.grades / TOP_GRADE if loss.activation == "sigmoid" else lists.grades
    model = nn.Sequential(
        nn.Linear(train.features.shape[1], HIDDEN),
        nn.ReLU(),
        nn.Dropout(DROPOUT),
        nn.Linear(HIDDEN, 1),
    )
    optimizer = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    best, weights = -1.0, model.state_dict()
    for _ in range(EPOCHS):
        model.train()
        for rows in torch.randperm(len(labels)).split(BATCH):
            optimizer.zero_grad()
            loss(model(lists.features[rows])[..., 0], labels[rows], lists.mask[rows]).backward()
            optimizer.step()
        reached = float(np.mean([*held_out.measured(scores(model, held_out)).values()]))
        if reached > best:
            best, weights = reached, copy.deepcopy(model.state_dict())
    model.load_state_dict(weights)
    return scores(model, test)


@torch.no_grad()
def scores(model: nn.Module, queries: Queries) -> np.ndarray:
    """Score every document."""
    model.eval()
    return model(torch.from_numpy(queries.features).float())[:, 0].numpy()


if __name__ == "__main__":
    main()
