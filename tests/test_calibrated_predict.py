"""Calibrated scores: read with the model, applied by predict, stream and rank."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.cli.conftest import make_model

from crossrank import CrossEncoder, InputError, ModelFileError
from crossrank.evaluation.calibration_maps import (
    Calibration,
    Isotonic,
    Platt,
    Temperature,
    Threshold,
)
from crossrank.models.calibrations import FILE, read_calibration, write_calibration

PLATT = Calibration("platt", Platt(2.0, -1.0), Threshold(0.9, 0.5, 0.88, 0.71, 0.4))
PAIRS = [("w1 w2", "w1 w2 w3"), ("w1 w2", "w4"), ("w1", "w1"), ("w1", "")]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_model(tmp_path / "model")


def load(folder: Path) -> CrossEncoder:
    return CrossEncoder(folder, backend="constant")  # type: ignore[arg-type]


@pytest.fixture
def model(folder: Path) -> Iterator[CrossEncoder]:
    write_calibration(folder, "fp32", PLATT, {})
    with load(folder) as model:
        yield model


def test_predict_and_stream_give_probabilities(model: CrossEncoder) -> None:
    logits = model.predict(PAIRS)
    assert len(set(logits.tolist())) > 2
    wanted = 1 / (1 + np.exp(1 - 2 * logits.astype(np.float64)))
    found = model.predict(PAIRS, calibrated=True)
    np.testing.assert_allclose(found, wanted, rtol=1e-6)
    assert found.dtype == np.float32
    assert model.predict(PAIRS[0], calibrated=True) == found[0]
    assert list(model.stream(PAIRS, calibrated=True)) == found.tolist()
    assert model.predict([], calibrated=True).shape == (0,)
    np.testing.assert_array_equal(model.predict(PAIRS), logits)


def test_what_ties_in_probability_stays_ranked_by_logit(folder: Path) -> None:
    flat = Calibration("isotonic", Isotonic((-1.0, 2.0), (0.25, 0.25)))
    write_calibration(folder, "fp32", flat, {})
    documents = ["w4 w5", "w1 w2", "w1 w4"]
    with load(folder) as model:
        plain = model.rank("w1 w2", documents)
        ranking = model.rank("w1 w2", documents, calibrated=True)
    assert len({entry["score"] for entry in plain}) == 3
    assert [entry["corpus_id"] for entry in ranking] == [1, 2, 0]
    assert [entry["score"] for entry in ranking] == [0.25] * 3


def test_the_threshold_comes_with_the_model(model: CrossEncoder) -> None:
    assert model.calibration == PLATT
    chosen = model.predict(PAIRS, calibrated=True) >= model.calibration.threshold.probability  # type: ignore[union-attr]
    assert chosen.tolist() == (2 * model.predict(PAIRS) - 1 >= 0).tolist()


def test_saving_carries_it(model: CrossEncoder, tmp_path: Path) -> None:
    model.save_pretrained(tmp_path / "copy")
    with load(tmp_path / "copy") as copy:
        assert copy.calibration == PLATT


def test_each_precision_has_its_own(folder: Path) -> None:
    int8 = Calibration("temperature", Temperature(1.5))
    write_calibration(folder, "fp32", PLATT, {"fitted_on": 3})
    write_calibration(folder, "int8", int8, {})
    assert read_calibration(folder, "fp32") == PLATT
    assert read_calibration(folder, "int8") == int8
    write_calibration(folder, "int8", PLATT, {})  # again
    assert read_calibration(folder, "int8") == PLATT
    with pytest.raises(InputError, match=r"for bf16 is required.*those for fp32, int8.*calibrate"):
        read_calibration(folder, "bf16")
    assert json.loads((folder / FILE).read_text())["precisions"]["fp32"]["about"] == {
        "fitted_on": 3
    }


def test_a_model_without_one_says_what_to_do(folder: Path) -> None:
    with load(folder) as model:
        assert len(model.predict(PAIRS)) == 4
        for call in (
            lambda: model.predict(PAIRS, calibrated=True),
            lambda: model.rank("w1", ["w2"], calibrated=True),
            lambda: list(model.stream(PAIRS, calibrated=True)),
        ):
            with pytest.raises(InputError, match=r"has none\. Make one with: crossrank calibrate"):
                call()
        write_calibration(folder, "fp32", PLATT, {})
        assert len(model.predict(PAIRS, calibrated=True)) == 4


@pytest.mark.parametrize("options", [{"activation_fn": "tanh"}, {"apply_softmax": True}])
def test_an_activation_beside_it_is_refused(model: CrossEncoder, options: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="takes the place of an activation"):
        model.predict(PAIRS, calibrated=True, **options)


def test_several_labels_are_refused(tmp_path: Path) -> None:
    folder = make_model(tmp_path / "model", labels=2)
    write_calibration(folder, "fp32", PLATT, {})
    with load(folder) as model, pytest.raises(InputError, match=r"one label.* has 2"):
        model.predict(PAIRS, calibrated=True)


def entry(**changes: Any) -> str:
    values = {"method": "platt", "slope": 1.0, "intercept": 0.0} | changes
    return json.dumps({"format": 1, "precisions": {"fp32": values}})


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "\udc80",
        "[" * 100_000,
        '{"format": 2, "precisions": {}}',
        '{"format": 1}',
        '{"format": 1, "precisions": {"fp32": 3}}',
        '{"format": 1, "precisions": {"fp32": []}}',
        '{"format": 1, "precisions": {"fp32": {}}}',
        entry(method="pickle"),
        entry(method=["platt"]),
        entry(slope=-1.0),
        entry(slope=float("nan")),
        entry(slope=float("inf")),
        entry(slope="1"),
        entry(slope=10**400),
        entry(slope=None),
        entry(slope=[1.0]),
        entry(intercept={}),
        entry(method="temperature"),
        entry(method="isotonic", logits=[0, 1], probabilities=[0.9, 0.1]),
        entry(method="isotonic", logits=[1, 0], probabilities=[0.1, 0.9]),
        entry(method="isotonic", logits=[0, 1], probabilities=[0.1, 1.9]),
        entry(method="isotonic", logits=[[0], [1]], probabilities=[0.1, 0.9]),
        entry(method="isotonic", logits="01", probabilities="01"),
        entry(method="isotonic", logits=3, probabilities=4),
        entry(method="isotonic", logits=list(range(100_001)), probabilities=[0.5] * 100_001),
        entry(threshold=0.5),
        entry(threshold={"probability": 0.5}),
        entry(threshold={**vars(PLATT.threshold), "probability": 2}),
        entry(threshold={**vars(PLATT.threshold), "more": 2}),
        " " * 16_000_001,
    ],
    ids=lambda text: ascii(text[:60]),
)
def test_a_file_from_anywhere_is_checked(folder: Path, text: str) -> None:
    (folder / FILE).write_text(text, errors="surrogateescape")
    with load(folder) as model:
        assert len(model.predict(PAIRS)) == 4  # the model works without it
        remedy = f"Delete {folder / FILE} and calibrate the model again."
        with pytest.raises(ModelFileError, match=rf"calibration\.json.*{re.escape(remedy)}$"):
            model.predict(PAIRS, calibrated=True)


def test_a_damaged_file_is_not_written_over(folder: Path) -> None:
    (folder / FILE).write_text("{")
    with pytest.raises(ModelFileError):
        write_calibration(folder, "fp32", PLATT, {})
    assert (folder / FILE).read_text() == "{"


def test_training_leaves_it_behind(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("torch", reason="what is trained is a torch module")
    from torch.nn import Identity

    from crossrank.models import read_spec
    from crossrank.models.saving import save_trained

    def leave_weights(*_: Any) -> None:
        """There are none."""

    monkeypatch.setattr("crossrank.models.torch_modules.saving.save_weights", leave_weights)
    write_calibration(folder, "fp32", PLATT, {})
    sigmoid = "torch.nn.modules.activation.Sigmoid"
    save_trained(read_spec(folder, "mine"), Identity(), tmp_path / "trained", sigmoid)
    assert (tmp_path / "trained" / "config.json").is_file()
    assert not (tmp_path / "trained" / FILE).exists()
    assert (folder / FILE).is_file()


def test_scoring_loads_nothing_of_the_evaluation() -> None:
    code = (
        "import sys; from crossrank import CrossEncoder; CrossEncoder().predict(('a', 'b')); "
        "print([name for name in sys.modules if name.startswith('crossrank.evaluation')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
