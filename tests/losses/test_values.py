"""Every loss against numbers worked out by hand."""

from typing import Any

import pytest
import torch
from tests.losses.cases import CASES, VARIANTS

from crossrank.losses import LOSSES, make_loss


@pytest.mark.parametrize(
    ("name", "options", "scores", "labels", "value"), CASES, ids=lambda part: str(part)[:40]
)
def test_value_by_hand(
    name: str, options: dict[str, Any], scores: list[float], labels: Any, value: float
) -> None:
    loss = make_loss(name, **options)
    found = loss(torch.tensor([scores], dtype=torch.float64), torch.tensor([labels]))
    assert found.item() == pytest.approx(value, rel=1e-6, abs=1e-9)


def test_every_loss_has_a_case_and_is_put_to_every_property() -> None:
    assert {name for name, *_ in CASES} == set(LOSSES)
    assert {name for name, _ in VARIANTS.values()} | {"cross_entropy"} == set(LOSSES)
