"""Program code that comes with a model runs only when the caller says so."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from crossrank import CrossEncoder, UnsupportedModelError

pytest.importorskip("torch", reason="model code is torch code")
pytest.importorskip("transformers", reason="it runs the model's code")
from tests.parity.tiny_models import PAIRS, make_classifier

CODE = """
from transformers import BertConfig, BertForSequenceClassification

class OwnConfig(BertConfig):
    model_type = "own-bert"


class OwnModel(BertForSequenceClassification):
    config_class = OwnConfig

    def forward(self, input_ids, attention_mask=None, token_type_ids=None, **kwargs):
        output = super().forward(input_ids, attention_mask, token_type_ids, **kwargs)
        output.logits = output.logits + 5
        return output
"""


def with_own_code(model: Path, folder: Path) -> Path:
    shutil.copytree(model, folder)
    (folder / "own_model.py").write_text(CODE)
    config = json.loads((folder / "config.json").read_text())
    config["model_type"] = "own-bert"
    config["auto_map"] = {
        "AutoConfig": "own_model.OwnConfig",
        "AutoModelForSequenceClassification": "own_model.OwnModel",
    }
    (folder / "config.json").write_text(json.dumps(config))
    return folder


@pytest.mark.parametrize("backend", ["torch", "openvino"])
def test_a_models_own_code_runs_when_trusted(tmp_path: Path, backend: str) -> None:
    plain_folder = make_classifier(tmp_path / "plain", "bert")
    plain = CrossEncoder(plain_folder, backend="torch")
    own = with_own_code(plain_folder, tmp_path / "own")
    with pytest.raises(UnsupportedModelError, match="trust_remote_code=True"):
        CrossEncoder(own, backend=backend)
    trusted = CrossEncoder(own, backend=backend, trust_remote_code=True)
    np.testing.assert_allclose(
        trusted.predict(PAIRS, activation_fn="identity"),
        plain.predict(PAIRS, activation_fn="identity") + 5,
        atol=1e-4,
    )
