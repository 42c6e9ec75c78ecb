"""Activations against torch, and where half precision would go wrong."""

from typing import Any

import numpy as np
import pytest

from crossrank import activations
from crossrank.errors import InputError

LOGITS = np.float32([[-100.0, -1.5], [0.0, 0.25], [3.0, 1000.0]])


@pytest.mark.parametrize("name", sorted(activations.NAMED))
def test_same_values_as_torch(name: str) -> None:
    torch = pytest.importorskip("torch", reason="the reference is torch")
    modules: dict[str, Any] = {
        "identity": torch.nn.Identity(),
        "sigmoid": torch.nn.Sigmoid(),
        "softmax": torch.nn.Softmax(dim=-1),
        "tanh": torch.nn.Tanh(),
    }
    expected = modules[name](torch.from_numpy(LOGITS)).numpy()
    found = activations.resolve(name)(LOGITS)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-12)
    np.testing.assert_allclose(activations.resolve(modules[name])(LOGITS), expected)


@pytest.mark.parametrize("name", sorted(activations.NAMED))
def test_saved_names_round_trip(name: str) -> None:
    path = activations.to_saved(activations.NAMED[name])
    assert path is not None
    assert activations.from_saved(path) == name


def test_saved_names_are_those_of_torch() -> None:
    torch = pytest.importorskip("torch", reason="the reference is torch")
    for module in (torch.nn.Sigmoid(), torch.nn.Identity(), torch.nn.Softmax(), torch.nn.Tanh()):
        path = f"{type(module).__module__}.{type(module).__name__}"
        assert activations.to_saved(module) == path
        assert activations.from_saved(path) == type(module).__name__.lower()


def test_unknown_classes_have_no_name() -> None:
    assert activations.from_saved("my.package.Sigmoid") is None
    assert activations.from_saved("torch.nn.modules.activation.Mish") is None
    assert activations.to_saved(np.tanh) is None


def test_functions_of_numpy() -> None:
    np.testing.assert_array_equal(activations.resolve(np.tanh)(LOGITS), np.tanh(LOGITS))


def test_functions_of_torch() -> None:
    torch = pytest.importorskip("torch", reason="they are its functions")
    for function in (torch.sigmoid, lambda logits: logits.sigmoid()):
        found = activations.resolve(function)(LOGITS)
        np.testing.assert_allclose(found, activations.sigmoid(LOGITS), rtol=1e-6, atol=1e-12)
    with pytest.raises(TypeError, match="sqrt"):
        activations.resolve(lambda logits: torch.sqrt("4"))(LOGITS)


@pytest.mark.parametrize("value", ["swish", 3, None])
def test_anything_else_is_refused(value: Any) -> None:
    with pytest.raises(InputError, match="activation_fn must be"):
        activations.resolve(value)
