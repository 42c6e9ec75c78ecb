"""A step in parts gives the gradient of the whole, and computes next to no padding."""

import contextlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

torch = pytest.importorskip("torch", reason="training needs torch")
pytest.importorskip("transformers", reason="training needs transformers")

from tests.parity.tiny_models import TEXTS, make_classifier  # noqa: E402

from crossrank.batching import Batch  # noqa: E402
from crossrank.training.collation import Collator, TrainingBatch  # noqa: E402
from crossrank.training.examples import Example  # noqa: E402
from crossrank.training.mini_batches import MAX_PADDING, Scorer, Step, plan, split  # noqa: E402
from crossrank.training.model import TrainableModel  # noqa: E402
from crossrank.training.objective import Objective, objectives  # noqa: E402

ALL = 10**9


@given(st.lists(st.integers(1, 512), min_size=1, max_size=300), st.integers(1, 20_000))
def test_mini_batches_hold_everything_once_and_hardly_any_padding(
    lengths: list[int], tokens: int
) -> None:
    parts = list(plan(lengths, tokens))
    assert sorted(np.concatenate(parts).tolist()) == list(range(len(lengths)))
    areas = [max(lengths[place] for place in part) * len(part) for part in parts]
    assert sum(lengths) >= (1 - MAX_PADDING) * sum(areas) - 1e-6
    for area, part in zip(areas, parts, strict=True):
        assert area <= tokens or len(part) == 1


def test_neighbours_are_joined_as_long_as_padding_allows() -> None:
    # 2 tokens of padding of 402 are fine, 80 more are not
    assert [part.tolist() for part in plan([99, 20, 100, 21, 20, 100], 1000)] == [
        [2, 5, 0],
        [3, 1, 4],
    ]
    # all have one length: as many as fit
    assert [len(part) for part in plan([10] * 25, 100)] == [10, 10, 5]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> TrainableModel:
    folder = make_classifier(tmp_path_factory.mktemp("bert"), "bert")
    loaded = TrainableModel.load(folder)
    loaded.module.double()
    return loaded


@pytest.fixture(scope="module")
def batch(model: TrainableModel) -> TrainingBatch:
    examples = [
        Example(TEXTS[1], (TEXTS[0], TEXTS[2], TEXTS[6]), (2.0, 0.0, 1.0)),
        Example(TEXTS[3], tuple(TEXTS), (0.0, 1.0, 0.0, 3.0, 0.0, 1.0, 2.0)),
        Example("stove", ("gas", "wood or charcoal"), (0.0, 1.0)),
        Example("alone", ("one",), (1.0,)),
    ]
    return Collator(model.tokenizer)(examples)


def gradient(
    model: TrainableModel,
    batch: TrainingBatch,
    loss: Objective,
    mini_batch: int,
    part: int,
    score: Scorer | None = None,
) -> tuple[float, torch.Tensor]:
    """Run a step; give the loss and the gradient of all parameters."""
    model.module.zero_grad()
    step = Step(
        score=score or Scorer(model.module, model.spec, torch.device("cpu")),
        loss=loss,
        separable=loss.separable,
        mini_batch=mini_batch,
        part=part,
        backward=lambda value: value.backward(),
        unsynchronised=contextlib.nullcontext,
    )
    value, logits = step.run(batch)
    assert logits.shape == (len(batch.encoded), 1)
    return value.item(), flat(model)


def flat(model: TrainableModel) -> torch.Tensor:
    gradients = [weight.grad for weight in model.module.parameters()]
    return torch.cat([g.flatten() for g in gradients if g is not None])


def one_by_one(
    model: TrainableModel, batch: TrainingBatch, loss: Callable[..., torch.Tensor]
) -> tuple[float, torch.Tensor]:
    """The same, with nothing clever: each pair alone, one graph."""
    model.module.zero_grad()
    score = Scorer(model.module, model.spec, torch.device("cpu"))
    value = loss(torch.cat([score([pair]) for pair in batch.encoded]), batch)
    value.backward()
    return value.item(), flat(model)


@pytest.mark.parametrize("loss", ["ranknet", "lambda_loss", "listmle", "binary_cross_entropy"])
@pytest.mark.parametrize(
    ("mini_batch", "part"),
    [(ALL, ALL), (40, ALL), (40, 60), (40, 1), (1, 1)],
    ids=["whole", "mini-batches", "lists apart", "cached", "pair by pair"],
)
def test_parts_give_the_gradient_of_the_whole(
    model: TrainableModel, batch: TrainingBatch, loss: str, mini_batch: int, part: int
) -> None:
    if loss == "binary_cross_entropy":  # wants labels from 0 to 1
        batch = TrainingBatch(
            batch.encoded, batch.rows, batch.columns, batch.labels / 3, batch.mask
        )
    objective = objectives(loss, ["train"])["train"]
    model.module.eval()  # no dropout
    expected_value, expected = one_by_one(model, batch, objective)
    value, found = gradient(model, batch, objective, mini_batch, part)
    assert value == pytest.approx(expected_value, rel=1e-5)
    # Logits leave the network in fp32.
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)


class Graphs(Scorer):
    """Keeps the tokens of each mini-batch whose graph is held."""

    sizes: list[int]

    def forward(self, batch: Batch) -> torch.Tensor:
        if torch.is_grad_enabled():
            self.sizes.append(batch.input_ids.size)
        return super().forward(batch)


def test_no_graph_is_larger_than_a_part(model: TrainableModel) -> None:
    examples = [Example(TEXTS[1], (TEXTS[0],) * 12, (1.0,) + (0.0,) * 11)]  # of one length
    batch = Collator(model.tokenizer)(examples)
    length = batch.encoded[0].length
    score = Graphs(model.module, model.spec, torch.device("cpu"))
    objective = objectives("ranknet", ["train"])["train"]
    for mini_batch, part, held in ((ALL, 4, 4), (2, 4, 2), (ALL, ALL, 12)):
        score.sizes = []
        gradient(model, batch, objective, mini_batch * length, part * length, score)
        assert score.sizes == [held * length] * (12 // held)


def test_gradient_caching_repeats_the_dropout(model: TrainableModel, batch: TrainingBatch) -> None:
    objective = objectives("listmle", ["train"])["train"]
    model.module.train()
    lists = batch.select(np.array([1]))
    torch.manual_seed(5)
    value, direct = gradient(model, lists, objective, 40, ALL)
    torch.manual_seed(5)
    again, cached = gradient(model, lists, objective, 40, 40)
    assert value == again
    torch.testing.assert_close(cached, direct, rtol=1e-5, atol=1e-7)
    torch.manual_seed(6)
    other, _ = gradient(model, lists, objective, 40, 40)
    assert other != value
    model.module.eval()


def test_a_loss_that_is_no_mean_over_queries_sees_the_whole_batch(
    model: TrainableModel, batch: TrainingBatch
) -> None:
    seen = []

    def spread(
        scores: torch.Tensor, labels: torch.Tensor, mask: torch.Tensor | None
    ) -> torch.Tensor:
        seen.append(scores.shape)
        return scores.std()

    objective = Objective(spread)
    expected_value, expected = one_by_one(model, batch, objective)
    value, found = gradient(model, batch, objective, 40, 1)
    assert value == pytest.approx(expected_value, rel=1e-5)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)
    assert set(seen) == {(4, 7)}


def test_queries_are_grouped_by_tokens(batch: TrainingBatch) -> None:
    sizes = [
        sum(len(batch.encoded[place].ids) for place in (batch.rows == row).nonzero()[:, 0])
        for row in range(4)
    ]
    assert [part.tolist() for part in split(batch, sum(sizes))] == [[0, 1, 2, 3]]
    assert [part.tolist() for part in split(batch, sizes[1] + sizes[2])] == [[0], [1, 2], [3]]
    assert [part.tolist() for part in split(batch, 1)] == [[0], [1], [2], [3]]


def test_padding_is_counted(model: TrainableModel, batch: TrainingBatch, tmp_path: Path) -> None:
    score = Scorer(model.module, model.spec, torch.device("cpu"))
    lengths = [len(pair.ids) for pair in batch.encoded]
    score(batch.encoded)
    assert score.tokens == [max(lengths) * len(lengths), sum(lengths)]
